"""A small Discord of our own on the loopback: REST and gateway as documented, with faults on request.

In a test it runs on its own thread (`with DiscordServer(world) as server:`) and a real bot process finds it
through DISCORD_API_BASE and DISCORD_GATEWAY. By hand: `python -m tests.support.discord_server --data FOLDER`.
Sources: docs.discord.com, "Gateway", "Gateway Events", "Rate Limits", "Opcodes and Status Codes", "Receiving and
Responding". What it does not do: voice, components, OAuth, sharding, compression.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from aiohttp import WSMsgType, web

from tests.support.discord_world import (
    BOT_ID,
    DIRECT,
    READ_MESSAGE_HISTORY,
    ApiError,
    Json,
    Sent,
    World,
    check_content,
    without_words,
)

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.GaBcDe.loopback-only-not-a-real-token-000000"
MESSAGE_CONTENT, GUILD_MEMBERS, GUILD_PRESENCES = 1 << 15, 1 << 1, 1 << 8
GUILD_TYPING, DIRECT_TYPING = 1 << 11, 1 << 14
T = TypeVar("T")


@dataclass
class Fault:
    """An answer to give instead of the real one, `times` times, after letting `skip` requests through."""

    method: str
    path: str
    status: int
    times: int
    body: Json | str | None
    headers: dict[str, str]
    skip: int = 0


@dataclass
class Request:
    """One REST request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: Any = None
    at: float = 0.0


@dataclass
class Session:
    """One gateway session: what was dispatched stays for RESUME."""

    id: str
    intents: int
    events: list[tuple[int, str, Json]] = field(default_factory=list)
    socket: web.WebSocketResponse | None = None


class DiscordServer:
    """The wire around a World. Public methods may be called from any thread; they run on the server's loop."""

    def __init__(self, world: World, *, token: str = TOKEN, port: int = 0) -> None:
        self.world = world
        self.token = token
        self.port = port
        self.requests: list[Request] = []
        self.identifies = 0
        self.resumes = 0
        self.heartbeat_seconds = 41.25
        self.approved_intents = MESSAGE_CONTENT | GUILD_MEMBERS | GUILD_PRESENCES
        self.gateway_close_code: int | None = None
        self.refuse_gateway_times = 0
        self.can_resume = True
        self.repeats_events_on_resume = False
        # Drop the connection at the next message the bot posts: "before" it is taken, or "after".
        self.drop_posts = ""
        self.leaves_out_author = False
        self._frozen: set[web.WebSocketResponse] = set()
        self.typing: list[int] = []
        self.interactions: dict[str, list[Json]] = {}
        self._faults: list[Fault] = []
        self._sessions: dict[str, Session] = {}
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="discord-server", daemon=True)
        self._runner: web.AppRunner | None = None

    # ---- life -------------------------------------------------------------------------------------------

    def start(self) -> Self:
        self._thread.start()
        self.listen()
        return self

    def close(self) -> None:
        if self._thread.is_alive():
            self.go_away()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def listen(self) -> None:
        """Accept connections (again), on the same port as before."""
        self._call(self._listen())

    def go_away(self) -> None:
        """Refuse connections and drop the open ones, like a network that is gone."""
        self._call(self._go_away())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v10"

    @property
    def gateway(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway"

    @property
    def environment(self) -> dict[str, str]:
        """What a bot process needs to come here."""
        return {
            "DISCORD_TOKEN": self.token,
            "SERVER_ID": str(self.world.guild_id),
            "DISCORD_API_BASE": self.api_base,
            "DISCORD_GATEWAY": self.gateway,
        }

    # ---- what tests do --------------------------------------------------------------------------------

    def do(self, action: Callable[[World], T]) -> T:
        """Change or read the world without telling anyone (as if the bot had been offline)."""

        async def run() -> T:
            return action(self.world)

        return self._call(run())

    def say(self, channel_id: int, author_id: int, content: str, *, reply_to: int | None = None, **extra: Any) -> int:
        """A member writes; returns the message id."""

        async def run() -> int:
            message = self.world.write(channel_id, author_id, content, reply_to=reply_to, **extra)
            await self._dispatch_message("MESSAGE_CREATE", message)
            return int(message["id"])

        return self._call(run())

    def delete_many(self, channel_id: int, message_ids: Sequence[int]) -> None:
        """A moderator's purge: one event for all."""

        async def run() -> None:
            for message_id in message_ids:
                self.world.delete(channel_id, message_id)
            ids = [str(message_id) for message_id in message_ids]
            await self._dispatch("MESSAGE_DELETE_BULK", self._place(channel_id) | {"ids": ids})

        self._call(run())

    def edit(self, channel_id: int, message_id: int, content: str) -> None:
        async def run() -> None:
            await self._dispatch_message("MESSAGE_UPDATE", self.world.edit(channel_id, message_id, content))

        self._call(run())

    def delete(self, channel_id: int, message_id: int) -> None:
        async def run() -> None:
            self.world.delete(channel_id, message_id)
            await self._dispatch("MESSAGE_DELETE", self._place(channel_id) | {"id": str(message_id)})

        self._call(run())

    def react(self, channel_id: int, message_id: int, user_id: int, emoji: str, *, add: bool = True) -> None:
        async def run() -> None:
            if self.world.react(channel_id, message_id, user_id, emoji, add=add):
                await self._dispatch_reaction(channel_id, message_id, user_id, emoji, add=add)

        self._call(run())

    def slash(self, channel_id: int, user_id: int, name: str, **options: Any) -> str:
        """A member uses a registered slash command; answers collect in `interactions[token]`, the token returned."""

        async def run() -> str:
            command = self.world.commands[name]
            kinds = {option["name"]: option["type"] for option in command.get("options", ())}
            interaction_id, token = self.world.next_id(), f"interaction-{self.world.next_id()}"
            self.interactions[token] = []
            await self._dispatch(
                "INTERACTION_CREATE",
                {
                    "id": str(interaction_id),
                    "application_id": str(BOT_ID),
                    "type": 2,
                    "token": token,
                    "version": 1,
                    "data": {
                        "id": command["id"],
                        "name": name,
                        "type": 1,
                        "guild_id": str(self.world.guild_id),
                        "options": [{"name": k, "value": v, "type": kinds[k]} for k, v in options.items()],
                    },
                    "guild_id": str(self.world.guild_id),
                    "channel_id": str(channel_id),
                    "guild": {"id": str(self.world.guild_id), "locale": "en-US", "features": []},
                    "channel": self.world.channels[channel_id],
                    "locale": "en-US",
                    "guild_locale": "en-US",
                    "member": self.world.member_json(user_id) | {"permissions": "0"},
                    "app_permissions": "8",
                    "entitlements": [],
                    "authorizing_integration_owners": {},
                    "context": 0,
                    "attachment_size_limit": 10485760,
                },
            )
            return token

        return self._call(run())

    def fail(
        self,
        status: int,
        *,
        method: str = ".*",
        path: str = ".*",
        times: int = 1,
        body: Json | str | None = None,
        headers: dict[str, str] | None = None,
        skip: int = 0,
    ) -> None:
        """Answer the next matching requests with an error. A 429 with `Via` is Discord's, without it a ban's."""
        self._faults.append(Fault(method, path, status, times, body, headers or {}, skip))

    def clear_faults(self) -> None:
        """Answer everything properly again."""
        self._faults.clear()

    def close_gateway(self, code: int = 1001) -> None:
        """End every gateway connection with this close code."""
        self._call(self._close_sockets(code))

    def freeze(self) -> None:
        """The connections of now go silent without being closed; new ones work."""

        async def run() -> None:
            self._frozen |= {session.socket for session in self._sessions.values() if session.socket is not None}

        self._call(run())

    def ask_to_reconnect(self) -> None:
        """Opcode 7."""
        self._call(self._send_all({"op": 7, "d": None, "s": None, "t": None}))

    def invalidate_sessions(self, *, can_resume: bool = False) -> None:
        """Opcode 9; the sessions are forgotten unless they can be resumed."""

        async def run() -> None:
            await self._send_all({"op": 9, "d": can_resume, "s": None, "t": None})
            if not can_resume:
                self._sessions.clear()

        self._call(run())

    def begin_to_write(self, channel_id: int, user_id: int) -> None:
        """A member's client says that they are typing."""

        async def run() -> None:
            place = self._place(channel_id)
            event = place | {"user_id": str(user_id), "timestamp": int(time.time())}
            wanted = DIRECT_TYPING
            if "guild_id" in place:
                event["member"], wanted = self.world.member_json(user_id), GUILD_TYPING
            for session in [session for session in self._sessions.values() if session.intents & wanted]:
                await self._send(session, "TYPING_START", event)

        self._call(run())

    def repeat(self, message_id: int, channel_id: int) -> None:
        """Dispatch a message a second time, as the gateway may after a resume."""

        async def run() -> None:
            await self._dispatch_message("MESSAGE_CREATE", self.world.require(channel_id, message_id))

        self._call(run())

    def tell(self, name: str, data: Any) -> None:
        """Dispatch anything at all as an event, sound or not."""
        self._call(self._dispatch(name, data))

    def wait_for(self, condition: Callable[[], T], *, timeout: float = 30.0, what: str = "the condition") -> T:
        """Wait until the condition is truthy; checked whenever something happens on the server."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (value := condition()):
                left = deadline - time.monotonic()
                assert left > 0, f"waited {timeout:g} s for {what}; last requests: {self.requests[-5:]}"
                self._changed.wait(min(left, 0.2))
        return value

    def wait_for_sent(self, count: int, *, timeout: float = 60.0) -> list[Sent]:
        """The bot's messages once there are `count` of them."""
        self.wait_for(lambda: len(self.world.sent) >= count, timeout=timeout, what=f"{count} messages by the bot")
        return list(self.world.sent)

    def wait_until_online(self, *, timeout: float = 60.0) -> None:
        self.wait_for(
            lambda: any(s.socket for s in self._sessions.values()), timeout=timeout, what="the bot to be online"
        )

    def asked(self, method: str, path: str) -> list[Request]:
        """Requests whose path matches."""
        return [r for r in self.requests if r.method == method and re.fullmatch(path, r.path)]

    @property
    def is_anyone_online(self) -> bool:
        return any(session.socket is not None for session in self._sessions.values())

    # ---- REST -------------------------------------------------------------------------------------------

    async def _rest(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/api/v10")
        body = await _body(request)
        self.requests.append(Request(request.method, path, dict(request.query), body, time.monotonic()))
        try:
            if (fault := self._fault(request.method, path)) is not None:
                return _faulty(fault)
            if (
                not path.startswith(("/webhooks/", "/interactions/"))
                and request.headers.get("Authorization") != f"Bot {self.token}"
            ):
                raise ApiError(401, 0, "401: Unauthorized")
            is_post = request.method == "POST" and path.endswith("/messages")
            dropped, self.drop_posts = (self.drop_posts, "") if is_post else ("", self.drop_posts)
            if dropped == "before":
                _hang_up(request)
            answer = await self._route(request.method, path, request.query, body)
            if dropped == "after":
                _hang_up(request)
            return answer
        except ApiError as error:
            return _answer(error.body, error.status)
        finally:
            self._notify()

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self._faults:
            if re.fullmatch(fault.method, method) and re.fullmatch(fault.path, path):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    async def _route(self, method: str, path: str, query: Any, body: Any) -> web.Response:
        for pattern, name in _ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                return await getattr(self, f"_{name}")(query, body, **match.groupdict())
        raise ApiError(404, 0, f"404: Not Found ({method} {path} is not served here)")

    async def _get_me(self, query: Any, body: Any) -> web.Response:
        return _answer(self.world.bot | {"verified": True, "mfa_enabled": False, "locale": "en-US", "flags": 0})

    async def _get_application(self, query: Any, body: Any) -> web.Response:
        flags = (1 << 19 if self.approved_intents & MESSAGE_CONTENT else 0) | (1 << 15)
        return _answer(
            {
                "id": str(BOT_ID),
                "name": self.world.bot["username"],
                "icon": None,
                "description": "",
                "flags": flags,
                "bot_public": False,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "team": None,
                "owner": self.world.bot,
                "summary": "",
                "rpc_origins": [],
            }
        )

    async def _get_gateway(self, query: Any, body: Any) -> web.Response:
        return _answer(
            {
                "url": self.gateway,
                "shards": 1,
                "session_start_limit": {
                    "total": 1000,
                    "remaining": 999,
                    "reset_after": 86_400_000,
                    "max_concurrency": 1,
                },
            }
        )

    async def _get_my_guilds(self, query: Any, body: Any) -> web.Response:
        guild = self.world.guild_json()
        return _answer(
            [{key: guild[key] for key in ("id", "name", "icon", "features")} | {"owner": False, "permissions": "8"}]
        )

    async def _get_guild(self, query: Any, body: Any, guild: str) -> web.Response:
        if int(guild) != self.world.guild_id:
            raise ApiError(404, 10004, "Unknown Guild")
        return _answer(self.world.guild_json())

    async def _get_member(self, query: Any, body: Any, guild: str, user: str) -> web.Response:
        if int(user) not in self.world.users:
            raise ApiError(404, 10007, "Unknown Member")
        return _answer(self.world.member_json(int(user)))

    async def _get_guild_channels(self, query: Any, body: Any, guild: str) -> web.Response:
        return _answer(self.world.guild_channels())

    async def _get_active_threads(self, query: Any, body: Any, guild: str) -> web.Response:
        return _answer({"threads": self.world.threads(is_archived=False), "members": []})

    async def _get_archived_threads(self, query: Any, body: Any, channel: str, kind: str) -> web.Response:
        self.world.channel_for_bot(int(channel))
        found = self.world.threads(parent_id=int(channel), is_archived=True, is_private=kind == "private")
        if "before" in query:
            found = [t for t in found if t["thread_metadata"]["archive_timestamp"] < query["before"]]
        limit = int(query.get("limit", 50))
        return _answer({"threads": found[:limit], "members": [], "has_more": len(found) > limit})

    async def _get_channel(self, query: Any, body: Any, channel: str) -> web.Response:
        return _answer(self.world.channel_for_bot(int(channel)))

    async def _get_messages(self, query: Any, body: Any, channel: str) -> web.Response:
        places = {key: int(query[key]) for key in ("limit", "before", "after", "around") if key in query}
        return _answer([self._as_read(message) for message in self.world.history(int(channel), **places)])

    async def _get_message(self, query: Any, body: Any, channel: str, message: str) -> web.Response:
        self.world.channel_for_bot(int(channel))
        if not self.world.bot_may(int(channel), READ_MESSAGE_HISTORY):
            raise ApiError(403, 50013, "Missing Permissions")
        found = self.world.require(int(channel), int(message))
        return _answer(self._as_read(without_words(found) if int(channel) in self.world.wordless else found))

    def _as_read(self, message: Json) -> Json:
        """The same for REST, where the intent of the application counts."""
        is_direct = self.world.channels[int(message["channel_id"])]["type"] == DIRECT
        if self.approved_intents & MESSAGE_CONTENT or is_direct or _concerns_bot(message):
            return message
        return without_words(message)

    async def _post_message(self, query: Any, body: Any, channel: str) -> web.Response:
        known = len(self.world.sent)
        sent = self.world.send_as_bot(int(channel), body)
        if len(self.world.sent) > known:
            await self._dispatch_message("MESSAGE_CREATE", sent.message)
        answer = sent.message | ({"nonce": body["nonce"]} if body.get("nonce") else {})
        return _answer({k: v for k, v in answer.items() if k != "author"} if self.leaves_out_author else answer)

    async def _patch_message(self, query: Any, body: Any, channel: str, message: str) -> web.Response:
        found = self.world.require(int(channel), int(message))
        if found["author"]["id"] != str(BOT_ID):
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        check_content(body.get("content") or "", body)
        edited = self.world.edit(int(channel), int(message), body["content"])
        await self._dispatch_message("MESSAGE_UPDATE", edited)
        return _answer(edited)

    async def _delete_message(self, query: Any, body: Any, channel: str, message: str) -> web.Response:
        self.world.channel_for_bot(int(channel))
        self.world.delete(int(channel), int(message))
        await self._dispatch("MESSAGE_DELETE", self._place(int(channel)) | {"id": message})
        return web.Response(status=204)

    async def _put_reaction(self, query: Any, body: Any, channel: str, message: str, emoji: str) -> web.Response:
        self.world.channel_for_bot(int(channel))
        if self.world.react(int(channel), int(message), BOT_ID, emoji):
            await self._dispatch_reaction(int(channel), int(message), BOT_ID, emoji, add=True)
        return web.Response(status=204)

    async def _post_typing(self, query: Any, body: Any, channel: str) -> web.Response:
        self.world.channel_for_bot(int(channel))
        self.typing.append(int(channel))
        return web.Response(status=204)

    async def _put_commands(self, query: Any, body: Any, guild: str | None = None) -> web.Response:
        registered = [
            command
            | {
                "id": str(self.world.next_id()),
                "application_id": str(BOT_ID),
                "version": "1",
                "type": command.get("type", 1),
            }
            for command in body
        ]
        self.world.commands = {command["name"]: command for command in registered}
        return _answer(registered)

    async def _get_commands(self, query: Any, body: Any, guild: str | None = None) -> web.Response:
        return _answer(list(self.world.commands.values()))

    async def _post_direct_channel(self, query: Any, body: Any) -> web.Response:
        return _answer(self.world.channels[self.world.open_direct(int(body["recipient_id"]))])

    async def _post_callback(self, query: Any, body: Any, token: str) -> web.Response:
        answers = self.interactions[token]
        if answers:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if body["type"] == 4:
            check_content(body["data"].get("content") or "", body["data"])
        answers.append(body)
        return _answer(
            {
                "interaction": {"id": "1", "type": 2, "response_message_ephemeral": False},
                "resource": {"type": body["type"]},
            }
        )

    async def _post_followup(self, query: Any, body: Any, token: str) -> web.Response:
        check_content(body.get("content") or "", body)
        self.interactions[token].append({"type": "followup", "data": body})
        return _answer(self._followup(body))

    async def _patch_original(self, query: Any, body: Any, token: str) -> web.Response:
        check_content(body.get("content") or "", body)
        self.interactions[token].append({"type": "edit", "data": body})
        return _answer(self._followup(body))

    def _followup(self, body: Json) -> Json:
        return {
            "id": str(self.world.next_id()),
            "type": 20,
            "channel_id": next(iter(map(str, self.world.channels))),
            "author": self.world.bot,
            "content": body.get("content", ""),
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            "flags": body.get("flags", 0),
            "components": [],
        }

    # ---- gateway ----------------------------------------------------------------------------------------

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_gateway_times > 0:
            self.refuse_gateway_times -= 1
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        session: Session | None = None
        await socket.send_json(
            {"op": 10, "d": {"heartbeat_interval": int(self.heartbeat_seconds * 1000)}, "s": None, "t": None}
        )
        if self.gateway_close_code is not None:
            await socket.close(code=self.gateway_close_code)
            return socket
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                break
            message = json.loads(frame.data)
            if socket in self._frozen:
                continue
            if message["op"] == 1:
                await socket.send_json({"op": 11, "d": None, "s": None, "t": None})
            elif message["op"] == 2:
                session = await self._identify(socket, message["d"])
            elif message["op"] == 6:
                session = await self._resume(socket, message["d"])
            self._notify()
        if session is not None and session.socket is socket:
            session.socket = None
        self._notify()
        return socket

    async def _identify(self, socket: web.WebSocketResponse, asked: Json) -> Session | None:
        self.identifies += 1
        if asked["token"] != self.token:
            await socket.close(code=4004, message=b"Authentication failed.")
            return None
        privileged = MESSAGE_CONTENT | GUILD_MEMBERS | GUILD_PRESENCES
        if asked["intents"] & privileged & ~self.approved_intents:
            await socket.close(code=4014, message=b"Disallowed intent(s).")
            return None
        session = Session(f"session-{self.identifies}", asked["intents"], socket=socket)
        self._sessions[session.id] = session
        guild = self.world.guild_json()
        await self._send(
            session,
            "READY",
            {
                "v": 10,
                "user": self.world.bot | {"verified": True, "mfa_enabled": False, "flags": 0},
                "session_id": session.id,
                "resume_gateway_url": self.gateway,
                "guilds": [{"id": guild["id"], "unavailable": True}],
                "shard": [0, 1],
                "application": {"id": str(BOT_ID), "flags": 0},
                "private_channels": [],
                "relationships": [],
            },
        )
        everyone = self.world.users if session.intents & GUILD_MEMBERS else {BOT_ID: None}
        await self._send(
            session,
            "GUILD_CREATE",
            guild
            | {
                "joined_at": "2024-01-01T00:00:00+00:00",
                "large": False,
                "unavailable": False,
                "member_count": self.world.member_count,
                "voice_states": [],
                "presences": [],
                "stage_instances": [],
                "members": [self.world.member_json(user_id) for user_id in everyone],
                "soundboard_sounds": [],
                "channels": self.world.guild_channels(),
                "threads": self.world.threads(is_archived=False),
                "guild_scheduled_events": [],
            },
        )
        return session

    async def _resume(self, socket: web.WebSocketResponse, asked: Json) -> Session | None:
        self.resumes += 1
        session = self._sessions.get(asked["session_id"])
        if session is None or not self.can_resume:
            await socket.send_json({"op": 9, "d": False, "s": None, "t": None})
            return None
        session.socket = socket
        since = 2 if self.repeats_events_on_resume else asked["seq"] or 0
        for number, name, data in session.events:
            if number > since:
                await socket.send_json({"op": 0, "d": data, "s": number, "t": name})
        await self._send(session, "RESUMED", {})
        return session

    async def _send(self, session: Session, name: str, data: Json) -> None:
        session.events.append((len(session.events) + 1, name, data))
        if session.socket is not None and not session.socket.closed and session.socket not in self._frozen:
            try:
                await session.socket.send_json({"op": 0, "d": data, "s": len(session.events), "t": name})
            except ConnectionError:
                session.socket = None

    async def _dispatch(self, name: str, data: Json) -> None:
        for session in list(self._sessions.values()):
            await self._send(session, name, data)

    async def _dispatch_message(self, name: str, message: Json) -> None:
        for session in list(self._sessions.values()):
            await self._send(session, name, self._as_seen(message, session.intents))

    def _as_seen(self, message: Json, intents: int) -> Json:
        """The message for this session: without the content intent, strangers' texts are empty."""
        channel_id = int(message["channel_id"])
        seen = message | self._place(channel_id)
        if "guild_id" in seen and not message.get("webhook_id"):
            member = self.world.member_json(int(message["author"]["id"]))
            seen["member"] = {key: value for key, value in member.items() if key != "user"}
        if not intents & MESSAGE_CONTENT and "guild_id" in seen and not _concerns_bot(message):
            seen = without_words(seen)
        return seen

    async def _dispatch_reaction(
        self, channel_id: int, message_id: int, user_id: int, emoji: str, *, add: bool
    ) -> None:
        name, _, emoji_id = emoji.partition(":")
        author = self.world.require(channel_id, message_id)["author"]["id"]
        await self._dispatch(
            "MESSAGE_REACTION_ADD" if add else "MESSAGE_REACTION_REMOVE",
            self._place(channel_id)
            | {
                "user_id": str(user_id),
                "message_id": str(message_id),
                "emoji": {"id": emoji_id or None, "name": name},
                "member": self.world.member_json(user_id),
                "message_author_id": author,
                "burst": False,
                "type": 0,
            },
        )

    def _place(self, channel_id: int) -> Json:
        channel = self.world.channels[channel_id]
        place = {"channel_id": str(channel_id)}
        return place if channel["type"] == DIRECT else place | {"guild_id": str(self.world.guild_id)}

    async def _send_all(self, payload: Json) -> None:
        for session in self._sessions.values():
            if session.socket is not None and not session.socket.closed:
                await session.socket.send_json(payload)

    async def _close_sockets(self, code: int) -> None:
        for session in list(self._sessions.values()):
            if session.socket is not None:
                socket, session.socket = session.socket, None
                await socket.close(code=code)

    # ---- the loop -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _listen(self) -> None:
        app = web.Application(client_max_size=32 * 1024**2)
        app.router.add_get("/gateway", self._gateway)
        app.router.add_get("/gateway/", self._gateway)
        app.router.add_route("*", "/api/v10/{rest:.*}", self._rest)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _go_away(self) -> None:
        for session in self._sessions.values():
            if session.socket is not None:
                socket, session.socket = session.socket, None
                if (transport := socket._req.transport if socket._req is not None else None) is not None:
                    transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


_CHANNEL, _MESSAGE = r"/channels/(?P<channel>\d+)", r"/messages/(?P<message>\d+)"
_ROUTES = (
    (r"GET /users/@me", "get_me"),
    (r"GET /oauth2/applications/@me|GET /applications/@me", "get_application"),
    (r"GET /gateway(/bot)?", "get_gateway"),
    (r"GET /users/@me/guilds", "get_my_guilds"),
    (r"GET /guilds/(?P<guild>\d+)", "get_guild"),
    (r"GET /guilds/(?P<guild>\d+)/members/(?P<user>\d+)", "get_member"),
    (r"GET /guilds/(?P<guild>\d+)/channels", "get_guild_channels"),
    (r"GET /guilds/(?P<guild>\d+)/threads/active", "get_active_threads"),
    (rf"GET {_CHANNEL}(/users/@me)?/threads/archived/(?P<kind>public|private)", "get_archived_threads"),
    (rf"GET {_CHANNEL}", "get_channel"),
    (rf"GET {_CHANNEL}/messages", "get_messages"),
    (rf"GET {_CHANNEL}{_MESSAGE}", "get_message"),
    (rf"POST {_CHANNEL}/messages", "post_message"),
    (rf"PATCH {_CHANNEL}{_MESSAGE}", "patch_message"),
    (rf"DELETE {_CHANNEL}{_MESSAGE}", "delete_message"),
    (rf"PUT {_CHANNEL}{_MESSAGE}/reactions/(?P<emoji>[^/]+)/@me", "put_reaction"),
    (rf"POST {_CHANNEL}/typing", "post_typing"),
    (r"PUT /applications/\d+(/guilds/(?P<guild>\d+))?/commands", "put_commands"),
    (r"GET /applications/\d+(/guilds/(?P<guild>\d+))?/commands", "get_commands"),
    (r"POST /users/@me/channels", "post_direct_channel"),
    (r"POST /interactions/\d+/(?P<token>[^/]+)/callback", "post_callback"),
    (r"POST /webhooks/\d+/(?P<token>[^/]+)", "post_followup"),
    (r"PATCH /webhooks/\d+/(?P<token>[^/]+)/messages/@original", "patch_original"),
)


def _hang_up(request: web.Request) -> None:
    """The connection is gone before an answer is written."""
    if request.transport is not None:
        request.transport.close()


async def _body(request: web.Request) -> Any:
    raw = await request.read()
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def _concerns_bot(message: Json) -> bool:
    """Its own messages and those that mention it come with their words, intent or not."""
    return message["author"]["id"] == str(BOT_ID) or any(user["id"] == str(BOT_ID) for user in message["mentions"])


def _answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # Exactly this content type: discord.py compares it as a whole and would read JSON as text otherwise.
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Via": "1.1 google"} | (headers or {}),
    )


def _faulty(fault: Fault) -> web.Response:
    if isinstance(fault.body, str) or fault.body is None:
        text = fault.body or f"<html>error {fault.status}</html>"
        return web.Response(status=fault.status, text=text, headers={"Content-Type": "text/html"} | fault.headers)
    headers = {"Content-Type": "application/json"} | fault.headers
    return web.Response(status=fault.status, body=json.dumps(fault.body).encode(), headers=headers)


def main() -> None:
    """Serve a folder until Ctrl+C; every line typed is said by a member in the first channel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with guild.json, channels.json and messages.jsonl")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    world = World.from_folder(options.data) if options.data else World()
    if not world.channels:
        world.add_channel("general")
    world.add_member(700_000_000_000_000_001, "Mira")
    with DiscordServer(world, port=options.port) as server:
        for key, value in server.environment.items():
            print(f"{key}={value}")
        channel_id = next(iter(world.channels))
        try:
            while True:
                server.say(channel_id, 700_000_000_000_000_001, input())
        except (EOFError, KeyboardInterrupt):
            return


if __name__ == "__main__":
    main()
