"""A real browser for tests: Chromium without a window, spoken to through its DevTools socket."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


def chromium() -> str | None:
    """A Chromium on this computer, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Tab:
    """One page. `js` evaluates an expression, `key` presses a key as a person would."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One DevTools command and its answer."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            answer = await asyncio.wait_for(self._socket.receive_json(), 30)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    async def js(self, expression: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def key(self, key: str) -> None:
        """Press and release a key; one letter also types itself."""
        codes = {"Enter": 13, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}
        code = codes.get(key, ord(key.upper()[0]))
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        common = {"key": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        for _ in range(200):
            if await self.js(expression):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {expression}")


@asynccontextmanager
async def open_page(url: str, *, downloads: Path) -> AsyncIterator[Tab]:
    """A fresh browser with one page; what it downloads lands in `downloads`."""
    program = chromium()
    assert program is not None
    profile = tempfile.mkdtemp(prefix="chromium-")
    process = subprocess.Popen(
        [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            f"--user-data-dir={profile}",
            "--remote-debugging-port=0",
            url,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"DBUS_SESSION_BUS_ADDRESS": "none"},
    )
    try:
        port_file = Path(profile) / "DevToolsActivePort"
        for _ in range(600):
            if port_file.exists() and port_file.read_text().count("\n") == 1:
                break
            await asyncio.sleep(0.05)
        port = int(port_file.read_text().split()[0])
        async with aiohttp.ClientSession() as session:
            pages: list[dict[str, Any]] = []
            while not pages:
                async with session.get(f"http://127.0.0.1:{port}/json") as response:
                    pages = [each for each in json.loads(await response.text()) if each["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                await tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
                yield tab
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(profile, ignore_errors=True)
