"""The bot's one model: loaded beside the event loop, tried again when the file is bad, replaced or lent on request.

There is never more than one model in memory: whoever borrows another one waits until the bot's own is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.live_status import LiveStatus
from storage.errors import KnownError, ModelFileError
from storage.records import ModelState

if TYPE_CHECKING:
    from model.inference import ChatModel

RETRY_SECONDS = 30.0
# Settings by key that name another model than the bot's own; empty for its own.
Changes = Mapping[str, Any]
OWN: Changes = {}
log = logging.getLogger(__name__)


def unexpected(error: Exception) -> ModelFileError:
    """A model file that made the program stumble, as a sentence."""
    return ModelFileError(
        f"The model file could not be used ({type(error).__name__}: {str(error)[:120]}).",
        "Choose another file in Settings > Model; the log says more.",
    )


class ModelTakenBackError(KnownError):
    """A borrowed model was replaced before its reply was done."""


class ModelSlot:
    """Holds the chat model, or None while there is none; `check` (the files that changes name, both whole), `load` and
    `unload` run in a worker thread."""

    def __init__(
        self,
        *,
        check: Callable[[Changes], tuple[Path, Path | None]],
        load: Callable[[Changes], ChatModel],
        unload: Callable[[], None],
        status: LiveStatus,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._check = check
        self._load = load
        self._unload = unload
        self._status = status
        self._retry_seconds = retry_seconds
        self._changes = OWN
        self._loan_error: KnownError | None = None
        self._complaint = ""
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
        """Take the model that the settings and the deployment pointer name now; a loan ends with it."""
        self._want(OWN)

    async def follow(self) -> None:
        """The settings may name another model by now: take it when its files are whole. Otherwise the present one goes
        on, and the status says why."""
        if self.model is None or self._changes is not OWN:
            return  # whoever is about to load reads the settings anyway
        try:
            named = await asyncio.to_thread(self._check_own)
        except KnownError as error:
            self._complaint = error.what
            self._status.update(last_error=error.what, last_error_cure=error.cure)
            return
        if self._complaint and self._status.snapshot().last_error == self._complaint:
            self._status.update(last_error="", last_error_cure="")
        self._complaint = ""
        if self.model is not None and self._changes is OWN and named != (self.model.path, self.model.adapter):
            self.reload()

    def _check_own(self) -> tuple[Path, Path | None]:
        try:
            return self._check(OWN)
        except KnownError:
            raise
        except Exception as error:
            # The same as in loading: a file just chosen must not end the bot that has a good one.
            log.exception("The chosen model could not be checked")
            raise unexpected(error) from error

    async def wait_until_settled(self) -> bool:
        """True once a model is loaded, False when the last attempt failed."""
        await self._settled.wait()
        return self.model is not None

    @asynccontextmanager
    async def borrowed(self, changes: Changes) -> AsyncIterator[None]:
        """Another model in the bot's own one's place; the own one comes back at the end, whatever happened.

        Raises KnownError when the other one cannot be loaded; a file that is plainly wrong costs no reload.
        """
        await asyncio.to_thread(self._check, changes)
        self._loan_error = None
        self._want(changes)
        try:
            await self._settled.wait()
            if self._loan_error is not None:
                raise self._loan_error
            if self._changes is not changes:
                raise ModelTakenBackError("The bot's model was reloaded in the meantime.", "Ask again.")
            yield
        finally:
            if self._changes is changes:
                self.reload()

    def _want(self, changes: Changes) -> None:
        self._changes = changes
        # At once: nobody may be answered by the model that is about to go.
        self.model = None
        self._settled.clear()
        self._wanted.set()

    async def _load_once(self) -> bool:
        changes = self._changes
        self._status.update(model_state=ModelState.LOADING, model_error="", is_borrowed=changes is not OWN)
        self.model = None
        try:
            await asyncio.to_thread(self._unload)
            model = await asyncio.to_thread(self._load, changes)
        except KnownError as error:
            return self._failed(error, changes)
        except Exception as error:
            # Whatever a file makes the loader raise: a bot without a model is better than none, and says why.
            log.exception("The model could not be loaded")
            return self._failed(unexpected(error), changes)
        if changes is not self._changes:
            return True  # somebody wants another one by now; the next round unloads this one
        self.model = model
        self._status.update(
            model_state=ModelState.READY,
            model_name=model.name,
            model_bytes=model.size_bytes,
            is_borrowed=changes is not OWN,
        )
        log.info("Model loaded: %s (%.1f GB)", model.name, model.size_bytes / 1e9)
        self._settled.set()
        return True

    def _failed(self, error: KnownError, changes: Changes) -> bool:
        """True when there is nothing to retry: what was borrowed is the borrower's business."""
        log.error("The model could not be loaded: %s", error.text())
        if changes is not self._changes:
            return True
        is_own = changes is OWN
        if is_own:
            self._status.update(model_state=ModelState.FAILED, model_error=error.text(), model_name="", model_bytes=0)
        else:
            self._loan_error = error
        self._settled.set()
        return not is_own

    async def _wait_for_retry(self) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), self._retry_seconds)
        except TimeoutError:
            self._wanted.set()
