"""The bot process: builds everything, runs until asked to stop, and ends with a code that says why.

    python bot/run.py [--workspace DIR] [--offline]

--offline answers the playground only: no Discord, no token. Exit codes: docs/ARCHITECTURE.md, section 6.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # started as a file: the project root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from storage.jobs.arguments import plain_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = plain_parser("Run the bot of one workspace until it is asked to stop.")
    made.add_argument("--workspace", help="folder of the server (default: the project root)")
    made.add_argument("--offline", action="store_true", help="answer the playground only, without Discord")
    return made


if __name__ == "__main__":
    parser().parse_args()  # --help, and words it does not know, before anything heavy is loaded

from model.process import prepare_process_environment
from storage.system.priority import lower_priority

prepare_process_environment()

import asyncio
import faulthandler
import logging
import os
import signal
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from bot.inbox import Inbox
from bot.live_status import LiveStatus
from bot.model_slot import Changes, ModelSlot
from bot.playground import PlaygroundAnswerer
from bot.recall import Recall
from bot.reindexing import keep_index_of_the_chosen_model
from bot.responder import Responder
from bot.services import Services
from bot.stopping import Ending, LastResort, StopRequest, ending_of
from bot.storage_thread import TRY_SECONDS, StorageThread
from bot.watchdog import Watchdog, end_process
from bot.withdrawal_follower import sweep_withdrawals
from storage.control import LAYOUT_FACT
from storage.deletions import erase_due
from storage.environment import Environment, read_environment
from storage.errors import AlreadyRunningError, ConfigurationError, KnownError, StorageError
from storage.logs import configure_logging, purge
from storage.paths import Workspace
from storage.records import BotPhase, ExitCode
from storage.settings import (
    ADAPTER_PATH,
    CHAT_TEMPLATE,
    DEBUG,
    EMBEDDING_MODEL,
    LOG_DAYS,
    LOG_LEVEL,
    Settings,
)
from storage.store import Store
from storage.system.console import CLOSE_SECONDS, stop_signals, when_console_closes
from storage.system.locks import FileLock
from storage.system.streams import ensure_streams

HEARTBEAT_SECONDS = 1.0
# Some of the time Windows allows passes before the request is seen and after the last step.
CLOSE_STOP = CLOSE_SECONDS - 1.0
HOUSEKEEPING_SECONDS = 6 * 3600.0
# Bounds of the steps of a stop: replies under way, cancelled tasks (Discord among them), each thread.
DRAIN_SECONDS, CANCEL_SECONDS, CLOSE_SECONDS = 3.5, 3.5, 1.0
log = logging.getLogger("bot")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bot; returns its exit code."""
    ensure_streams()
    options = parser().parse_args(arguments)
    workspace = Workspace.at(options.workspace)
    lock = FileLock(workspace.locks / "bot.lock", holder="A bot")
    try:
        workspace.create()
        lock.acquire()
    except StorageError as error:
        print(error.text(), file=sys.stderr)
        return ExitCode.CRASH
    except AlreadyRunningError as error:
        print(error.text(), file=sys.stderr)
        return ExitCode.CRASH
    lower_priority()
    try:
        code, is_supervised = _run(workspace, is_offline=options.offline)
    finally:
        lock.release()
    if code == ExitCode.RESTART and not is_supervised:
        end_process(supervised=False, code=ExitCode.RESTART)  # nobody else would start it again
    return code


def _run(workspace: Workspace, *, is_offline: bool) -> tuple[int, bool]:
    """The exit code, and whether somebody watches who will act on it."""
    try:
        environment = read_environment(workspace.env_file)
        store = Store.open(workspace)
    except ConfigurationError as error:
        print(error.text(), file=sys.stderr)
        return ExitCode.CONFIGURATION, True
    except KnownError as error:
        print(error.text(), file=sys.stderr)
        return ExitCode.CRASH, True
    settings = store.settings.read()
    configure_logging(
        workspace.logs,
        "bot",
        level=_log_level(settings, environment),
        keep_days=settings[LOG_DAYS],
        secrets=[environment.token],
    )
    stacks = open(workspace.logs / "bot.stacks.log", "a", encoding="utf-8")  # noqa: SIM115 - for native crashes
    faulthandler.enable(stacks)
    status = LiveStatus(mode="offline" if is_offline else "discord")
    watchdog = Watchdog(store, status, stacks_file=workspace.logs / "bot.stacks.log")
    last_resort = LastResort(lambda ending: _end_at_once(store, status, watchdog, ending))
    ending = Ending(ExitCode.CRASH)
    try:
        store.commands.discard_older(pid=status.snapshot().pid)
        store.notes.drop_drafts()
        if left := store.activity.close_due():
            log.warning("%d messages were not answered: the bot ended while it was at it", left)
        store.status.write_bot(status.snapshot())
        watchdog.start()
        ending = asyncio.run(_live(store, environment, status, last_resort, is_offline=is_offline))
    except Exception as error:
        # The last line of defence: the reason must reach the log and the panel before the process ends.
        ending = _ended_by(error)
    finally:
        watchdog.stop()
        _record_end(store, status, ending)
        is_supervised = watchdog.is_supervised()
        store.close()
        last_resort.disarm()
    return ending.code, is_supervised


async def _live(
    store: Store, environment: Environment, status: LiveStatus, last_resort: LastResort, *, is_offline: bool
) -> Ending:
    stop = StopRequest()
    _stop_on_signals(stop)
    services = _build(store, environment, status, stop)
    playground = PlaygroundAnswerer(
        store, storage=services.storage, responder=services.responder, slot=services.slot, status=status
    )
    inbox = Inbox(
        store,
        storage=services.storage,
        playground=playground,
        slot=services.slot,
        status=status,
        stop=stop,
        hands=lambda: services.hands,
    )
    tasks = [
        asyncio.create_task(work, name=name)
        for name, work in (
            ("heartbeat", _heartbeat(services)),
            ("housekeeping", _housekeeping(services)),
            ("reindexing", keep_index_of_the_chosen_model(store)),
            ("erasures", sweep_withdrawals(store)),
            ("model", services.slot.run()),
            ("inbox", inbox.run()),
            ("main", _main_work(services, is_offline=is_offline)),
            ("stop", stop.wait()),
        )
    ]
    log.info("Bot started (%s)", status.snapshot().mode)
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    ending = stop.ending if stop.is_asked else _ended_by(_error_of(next(iter(done))))
    last_resort.arm(ending)
    await end_in_order(services, tasks)
    return ending


async def end_in_order(services: Services, tasks: Collection[asyncio.Task[None]]) -> None:
    """Replies, Discord, the model, the index, the databases; each step has a bound and all of them one together."""
    stop = services.stop
    stop.begin()
    services.status.update(phase=BotPhase.STOPPING)
    # Before anything is cancelled: a reply under way may still be sent.
    await services.responder.drain(timeout_seconds=stop.allow(DRAIN_SECONDS))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=stop.allow(CANCEL_SECONDS))
    await asyncio.to_thread(_close, services)


def _error_of(task: asyncio.Task[None]) -> BaseException:
    error = None if task.cancelled() else task.exception()
    return error or RuntimeError(f"The {task.get_name()} task ended on its own")


def _ended_by(error: BaseException) -> Ending:
    if not isinstance(error, KnownError):
        log.error("Unexpected error", exc_info=error)
    return ending_of(error)


async def _main_work(services: Services, *, is_offline: bool) -> None:
    if is_offline:
        services.status.update(phase=BotPhase.RUNNING)
        await services.stop.wait()
        return
    from bot.client import run_discord

    await run_discord(services)


async def _heartbeat(services: Services) -> None:
    pending = None
    while True:
        model = services.slot.model
        services.status.update(
            queue_length=model.queue_length if model is not None else 0,
            is_resting=model is not None and model.is_released,
        )
        services.status.stamp()
        if pending is None or pending.done():
            pending = services.pulse.post(services.store.status.write_bot, services.status.snapshot())
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def _housekeeping(services: Services) -> None:
    """Several times a day: old activity becomes daily totals, old logs and what the owner deleted a week ago go."""
    while True:
        try:
            rolled = await services.storage.run(services.store.activity.roll_up)
            await services.storage.run(services.store.notes.forget_old)
            keep_days = (await services.storage.run(services.store.settings.read))[LOG_DAYS]
            purged = await asyncio.to_thread(purge, services.store.workspace.logs, keep_days=keep_days)
            await asyncio.to_thread(erase_due, services.store)
            log.debug("Housekeeping: %d activity rows rolled up, %d log files purged", rolled, purged)
        except KnownError as error:  # a full disk or a locked database may be fine at the next round
            log.warning("Housekeeping: %s", error.text())
        await asyncio.sleep(HOUSEKEEPING_SECONDS)


def _build(store: Store, environment: Environment, status: LiveStatus, stop: StopRequest) -> Services:
    """The only place where the parts of the live bot meet."""
    from model.chat import gpu
    from model.chat.trial import require_usable
    from model.embeddings import serving_embedder, serving_model
    from model.inference import ChatModel, close_model, get_configured_model
    from model.publishing.switching import load_or_take_back
    from storage.vectordb import VectorIndex

    def check(changes: Changes) -> tuple[Path, Path | None]:
        settings = store.settings.read()
        path, adapter = find_model_files(store.workspace, settings, environment, changes)
        # In a process of its own: a file that ends whoever loads it must not end the bot.
        require_usable(path, adapter, store.facts, chat_template=settings[CHAT_TEMPLATE])
        return path, adapter

    def load_as_it_is(changes: Changes) -> ChatModel:
        settings = store.settings.read()
        path, adapter = check(changes)
        store.facts.set(gpu.FACT, gpu.gpu_facts())  # the panel offers GPU layers only where they do something
        model = get_configured_model(path, adapter, settings, store.facts, is_polite=True)
        if not changes:  # what is shown as the settings' defaults is what the bot's own model is asked with
            store.facts.set(LAYOUT_FACT, model.layout)
        return model

    def load(changes: Changes) -> ChatModel:
        if changes:  # another model for one question says nothing about the bot's own
            return load_as_it_is(changes)
        return load_or_take_back(store, lambda: load_as_it_is(changes))

    def open_index() -> VectorIndex:
        # By whoever made it: while a better model's index is being made, or its files are missing, the old one serves.
        wanted = store.settings.get(EMBEDDING_MODEL)
        found = VectorIndex.open(store.workspace.embeddings, model=wanted, dimension=384)
        serving = serving_model(wanted, store.workspace, made_by=found.made_by)
        if serving == wanted:
            return found
        return VectorIndex.open(store.workspace.embeddings, model=serving, dimension=384)

    recall = Recall(
        store,
        open_index=open_index,
        open_embedder=lambda: serving_embedder(
            store.settings.get(EMBEDDING_MODEL), store.workspace, made_by=open_index().made_by
        ),
    )
    slot = ModelSlot(check=check, load=load, unload=close_model, status=status)
    return Services(
        store=store,
        environment=environment,
        status=status,
        storage=StorageThread(on_start=lambda: store.wait_at_most(TRY_SECONDS)),
        pulse=StorageThread(on_start=lambda: store.wait_at_most(TRY_SECONDS)),
        slot=slot,
        recall=recall,
        responder=Responder(lambda: slot.model, recall),
        stop=stop,
    )


def find_model_files(
    workspace: Workspace, settings: Settings, environment: Environment, changes: Changes
) -> tuple[Path, Path | None]:
    """The model file and the adapter on it, both whole; `changes` are settings of one question.

    A question may name an adapter where a model is expected: it is put on the bot's own model. Raises ModelFileError.
    """
    from model.catalog import resolve_model
    from model.files.gguf_check import check_gguf
    from model.files.model_kind import FileKind, check_adapter, check_chat_model, kind_of

    wanted = settings.with_values(dict(changes))
    path = resolve_model(workspace, wanted, environment)
    adapter = Path(wanted[ADAPTER_PATH]) if wanted[ADAPTER_PATH] else None
    if changes and kind_of(check_gguf(path)) is FileKind.ADAPTER:
        path, adapter = resolve_model(workspace, settings, environment), path
    header = check_chat_model(path)
    if adapter is not None:
        check_adapter(adapter, base=header)
    return path, adapter


def _log_level(settings: Settings, environment: Environment) -> str:
    """.env gives the first value; what was chosen in the panel wins."""
    if settings[DEBUG]:
        return "DEBUG"
    return settings[LOG_LEVEL] if settings.is_set(LOG_LEVEL) else environment.log_level or settings[LOG_LEVEL]


def _close(services: Services) -> None:
    from model.inference import close_model

    close_model()  # first: it ends at the next operation and gives the processors to the others
    for name, close in (
        ("recall", services.recall.close),
        ("storage", services.storage.close),
        ("heartbeat", services.pulse.close),
    ):
        if not close(timeout_seconds=services.stop.allow(CLOSE_SECONDS)):
            log.warning("The %s thread is still at work and is left behind", name)


def _record_end(store: Store, status: LiveStatus, ending: Ending) -> None:
    is_wanted = ending.code in (ExitCode.STOPPED, ExitCode.RESTART)
    if is_wanted:
        log.info("Ending: %s", ending.reason or "stopped")
    else:
        log.error("Ending with code %d: %s %s", ending.code, ending.reason, ending.cure)
    last = replace(
        status.snapshot(),
        phase=BotPhase.STOPPED,
        is_connected=False,
        exit_code=ending.code,
        exit_reason=ending.reason,
        last_error="" if is_wanted else ending.reason,
        last_error_cure=ending.cure,
    )
    try:
        store.status.write_bot(last)
    except KnownError as error:
        log.error("The end could not be recorded: %s", error.text())
        with suppress(OSError):  # the log may be on the same full disk; standard error may lead elsewhere
            print(error.text() if error.what in ending.reason else f"{ending.reason} {error.text()}", file=sys.stderr)


def _end_at_once(store: Store, status: LiveStatus, watchdog: Watchdog, ending: Ending) -> None:
    """Something does not let go: the process ends all the same. Nothing is lost: what is stored is committed."""
    log.warning("The stop takes too long; ending at once")
    _record_end(store, status, ending)
    is_supervised = watchdog.is_supervised()
    if ending.code == ExitCode.RESTART and not is_supervised:
        end_process(supervised=False, code=ExitCode.RESTART)
    leave(ending.code)


def leave(code: int) -> NoReturn:
    """End this process without waiting for threads: one may sit in a native call."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop_on_signals(stop: StopRequest) -> None:
    loop = asyncio.get_running_loop()
    closed = partial(
        stop.ask, ExitCode.STOPPED, "Its window was closed, or Windows is shutting down.", within=CLOSE_STOP
    )
    when_console_closes(lambda: loop.call_soon_threadsafe(closed))
    for number in stop_signals():
        try:
            loop.add_signal_handler(number, stop.ask, ExitCode.STOPPED, f"Stopped by {signal.Signals(number).name}.")
        except NotImplementedError:  # Windows: the handler runs between bytecodes, so hand over to the loop
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.ask, ExitCode.STOPPED, "Stopped."))


if __name__ == "__main__":
    leave(main())
