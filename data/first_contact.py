"""First contact with a server in the terminal: what only the owner can answer; then the fetch itself."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from data.fetcher import Fetcher, FetchSummary, ServerView, require_server
from data.fetcher_api import DiscordRest, FetchError
from storage import policy
from storage.environment import Environment, read_environment
from storage.jobs.progress import ProgressCallback, silent
from storage.records import Channel
from storage.store import Store
from storage.system.streams import is_person_there

T = TypeVar("T")
OWNER = "owner (terminal)"


def fetch_from_discord(
    store: Store,
    options: argparse.Namespace,
    report: ProgressCallback = silent,
    *,
    say: Callable[[str], object] = print,
    ask: Callable[[str], str] | None = None,
) -> FetchSummary:
    """First contact where answers are missing, then everything new. KnownError says what is missing.

    say and ask are the terminal; ask is None where nobody can answer.
    """
    environment = read_environment(store.workspace.env_file)
    environment.require_token()
    require_server(environment)
    terminal = Terminal(store, options, say, ask if ask is not None else _keyboard())
    terminal.settle_policy()
    if policy.open_question(store.facts, store.consents) is not None and not terminal.is_first_contact:
        terminal.confirm(_with_fetcher(store, environment, options, silent, lambda f: f.discover()))
    if terminal.is_first_contact:
        terminal.settle_server(_with_fetcher(store, environment, options, silent, lambda f: f.discover()))
    return _with_fetcher(store, environment, options, report, lambda fetcher: fetcher.fetch())


def discover(store: Store, options: argparse.Namespace) -> ServerView:
    """Only look at the server; the panel's first-run page reads the result from the job."""
    environment = read_environment(store.workspace.env_file)
    environment.require_token()
    require_server(environment)
    server = _with_fetcher(store, environment, options, silent, lambda fetcher: fetcher.discover())
    if server.is_large and not policy.is_large_server_confirmed(store.consents, server.id):
        policy.ask_about_large_server(store.facts, server.id, _about(server), now=time.time())
    return server


def _about(server: ServerView) -> str:
    return policy.large_server_text(server.name, server.members, is_discoverable=server.is_discoverable)


_PICK_QUESTION = (
    "Learn from, look lines up in and speak in which? Enter: the suggested ones; or numbers, e.g. 1,3,4 "
    "(a private one is only learnt from, after a question of its own): "
)


class Terminal:
    """Asks the owner what only the owner can answer, and records it."""

    def __init__(
        self, store: Store, options: argparse.Namespace, say: Callable[[str], object], ask: Callable[[str], str] | None
    ) -> None:
        self._store = store
        self._options = options
        self._say = say
        self._ask = ask

    @property
    def is_first_contact(self) -> bool:
        """True while no channel is chosen, or when the command line answers something."""
        options = self._options
        answers = (options.learn_from, options.recall_from, options.speak_in, options.include_private)
        return (
            any(answers)
            or options.confirm_large_server
            or not any(c.learn and c.guild_id for c in self._store.channels.all())
        )

    def settle_policy(self) -> None:
        """The rule in plain words and the answer; FetchError for a no, or when nobody can be asked."""
        if policy.is_accepted(self._store.consents):
            return
        self._say(policy.POLICY_TEXT)
        is_accepted = self._options.accept_policy or self._yes(policy.POLICY_QUESTION, "--accept-policy")
        policy.record_policy(self._store.consents, accepted=is_accepted, given_by=OWNER)
        if not is_accepted:
            raise FetchError(
                "Nothing was read from Discord: the answer was no.",
                "You can import exports of your members' own data with --import FILE.",
            )

    def settle_server(self, server: ServerView) -> None:
        """A large server's confirmation, then the channels."""
        self.confirm(server)
        known = {c.id: c for c in self._store.channels.all()}
        channels = [known[c.id] for c in server.channels if c.id in known]
        self._switch("recall", self._listed(channels, self._options.recall_from))
        self._switch("speak", self._listed(channels, self._options.speak_in))
        chosen = self._chosen(channels)
        for channel in chosen + self._named(channels, self._options.include_private):
            if channel.is_private and not channel.include_private:
                self._settle_private(channel)

    def confirm(self, server: ServerView) -> None:
        """The owner's yes to a large server; FetchError without it."""
        if not server.is_large or policy.is_large_server_confirmed(self._store.consents, server.id):
            return
        text = _about(server)
        self._say(text)
        # Where nobody is there to answer, the panel asks.
        policy.ask_about_large_server(self._store.facts, server.id, text, now=time.time())
        is_confirmed = self._options.confirm_large_server or self._yes("Go on?", "--confirm-large-server")
        policy.record_large_server(self._store.consents, server.id, text, accepted=is_confirmed, given_by=OWNER)
        if not is_confirmed:
            raise FetchError("Nothing was read: the server was not confirmed.")

    def _switch(self, name: str, channels: list[Channel]) -> None:
        """One switch, in channels that were named for it, private ones too."""
        for channel in channels:
            self._store.channels.switch(channel.id, **{name: True})

    def _listed(self, channels: list[Channel], text: str | None) -> list[Channel]:
        is_public = (text or "").strip().lower() == "public"
        return policy.preselected(channels) if is_public else self._named(channels, text)

    def _chosen(self, channels: list[Channel]) -> list[Channel]:
        """The channels to learn from, switched on as far as that needs no further question."""
        if self._options.learn_from:
            named = self._listed(channels, self._options.learn_from)
            policy.choose_channels(self._store.channels, [c.id for c in named], switches=["learn"])
            return named
        if any(channel.learn for channel in channels) or self._options.include_private:
            return []
        if self._ask is None:
            raise FetchError(
                "No channel is chosen yet.",
                "Choose them in the panel, or with --learn-from general,memes (or --learn-from public).",
            )
        picked = self._pick(channels)
        policy.choose_channels(self._store.channels, [c.id for c in picked])
        return picked

    def _pick(self, channels: list[Channel]) -> list[Channel]:
        suggested = policy.preselected(channels)
        self._say("Channels of the server (x: everyone can read it, suggested):")
        for number, channel in enumerate(channels, start=1):
            mark = " " if channel.is_private else "x"
            self._say(f"  [{mark}] {number:2d}  #{channel.name}{'  (private)' if channel.is_private else ''}")
        while True:
            answer = self._question(_PICK_QUESTION).strip()
            if not answer:
                return suggested
            numbers = answer.replace(",", " ").split()
            if all(n.isdigit() and 1 <= int(n) <= len(channels) for n in numbers):
                return [channels[int(n) - 1] for n in numbers]
            self._say(f"Please type numbers between 1 and {len(channels)}.")

    def _settle_private(self, channel: Channel) -> None:
        text = policy.private_channel_text(channel.name)
        self._say(text)
        is_allowed = channel in self._named([channel], self._options.include_private) or self._yes(
            "Learn from it?", f"--include-private {channel.name}"
        )
        policy.allow_private(self._store.channels, self._store.consents, channel, accepted=is_allowed, given_by=OWNER)

    def _named(self, channels: list[Channel], text: str | None) -> list[Channel]:
        """Channels by name or id; FetchError names the first that does not exist."""
        found = []
        for name in filter(None, (part.strip().lstrip("#") for part in (text or "").split(","))):
            match = next((c for c in channels if c.name.lower() == name.lower() or str(c.id) == name), None)
            if match is not None:
                found.append(match)
            elif len(channels) > 1:
                raise FetchError(
                    f"There is no channel '{name}' on the server.",
                    "Known: " + ", ".join(c.name for c in channels) + ".",
                )
        return found

    def _yes(self, question: str, flag: str) -> bool:
        if self._ask is None:
            raise FetchError(
                "This question needs an answer and there is no terminal to ask in.",
                f"Answer it on the panel's page for setting up, start it in a terminal, or add {flag} if the answer is "
                "yes.",
            )
        while True:
            answer = self._question(f"{question} [yes/no] ").strip().lower()
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")

    def _question(self, text: str) -> str:
        assert self._ask is not None
        try:
            return self._ask(text)
        except EOFError:
            raise FetchError("The question was not answered.", "Start it again and answer yes or no.") from None


def summary_lines(summary: FetchSummary) -> list[tuple[str, object]]:
    """The result for the terminal: totals, then one line per channel with something to say."""
    lines: list[tuple[str, object]] = [("new", summary.new), ("edited", summary.edited)]
    lines += [("missing", summary.missing)] if summary.missing else []
    lines += [("deleted", summary.deleted)]
    for channel in summary.channels:
        parts = [f"{channel.new:,} new", f"{channel.edited:,} edited", f"{channel.deleted:,} deleted"]
        parts += [f"{channel.missing:,} missing (hidden, not erased)"] if channel.missing else []
        parts += [f"{channel.returned:,} found again"] if channel.returned else []
        parts += [channel.question] if channel.question else []
        parts += [f"{count:,} skipped ({reason})" for reason, count in sorted(channel.skipped.items())]
        lines.append((f"#{channel.name}", channel.problem or ", ".join(parts)))
    return lines


def _with_fetcher(
    store: Store,
    environment: Environment,
    options: argparse.Namespace,
    report: ProgressCallback,
    work: Callable[[Fetcher], Awaitable[T]],
) -> T:
    async def run() -> T:
        async with DiscordRest(environment.token, api_base=environment.api_base) as api:
            fetcher = Fetcher(store, api, require_server(environment), refresh_days=options.refresh_days, report=report)
            return await work(fetcher)

    return asyncio.run(run())


def _keyboard() -> Callable[[str], str] | None:
    return input if is_person_there() else None
