"""The bot's one model: loaded beside the event loop, tried again when the file is bad, replaced on request."""
from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.live_status import LiveStatus
from storage.errors import KnownError
from storage.records import ModelState

if TYPE_CHECKING:
    from model.inference import ChatModel

RETRY_SECONDS = 30.0
log = logging.getLogger(__name__)


class ModelSlot:
    """Holds the chat model, or None while there is none; `load` and `unload` run in a worker thread."""

    def __init__(self, *, load: Callable[[], ChatModel], unload: Callable[[], None], status: LiveStatus,
                 retry_seconds: float = RETRY_SECONDS) -> None:
        self._load = load
        self._unload = unload
        self._status = status
        self._retry_seconds = retry_seconds
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self.model: ChatModel | None = None

    async def run(self) -> None:
        """Keep a model loaded until cancelled: first load, every retry, every reload."""
        self._wanted.set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if not await self._load_once():
                await self._wait_for_retry()

    def reload(self) -> None:
        """Take the model that the settings and the deployment pointer name now."""
        self._settled.clear()
        self._wanted.set()

    async def wait_until_settled(self) -> bool:
        """True once a model is loaded, False when the last attempt failed."""
        await self._settled.wait()
        return self.model is not None

    async def _load_once(self) -> bool:
        self._status.update(model_state=ModelState.LOADING, model_error="")
        self.model = None
        try:
            await asyncio.to_thread(self._unload)
            model = await asyncio.to_thread(self._load)
        except KnownError as error:
            log.error("The model could not be loaded: %s", error.text())
            self._status.update(model_state=ModelState.FAILED, model_error=error.text(), model_name="", model_bytes=0)
            self._settled.set()
            return False
        self.model = model
        self._status.update(model_state=ModelState.READY, model_name=model.name, model_bytes=model.size_bytes)
        log.info("Model loaded: %s (%.1f GB)", model.name, model.size_bytes / 1e9)
        self._settled.set()
        return True

    async def _wait_for_retry(self) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), self._retry_seconds)
        except TimeoutError:
            self._wanted.set()
