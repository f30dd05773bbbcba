"""A real browser, spoken to over a pipe in the Chrome DevTools protocol: no driver and no port."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--remote-debugging-pipe")
_WAIT_MS = 20_000
_UNTIL = """new Promise((resolve, reject) => {
  const started = Date.now();
  (function look() {
    const value = (CONDITION);
    if (value) resolve(value);
    else if (Date.now() - started < WAIT) setTimeout(look, 20);
    else reject(new Error("never came true; the page says: " + document.body.innerText.slice(0, 500)));
  })();
})"""
_BECOME = (
    "import os, sys; [os.dup2(int(fd), n) for fd, n in zip(sys.argv[1:3], (3, 4))]; os.execv(sys.argv[3], sys.argv[3:])"
)
"""The browser reads commands from file descriptor 3 and answers on 4."""


class Browser:
    """One page of a browser."""

    def __init__(self, commands: int, answers: asyncio.StreamReader) -> None:
        self._commands, self._answers = commands, answers
        self._ids = count(1)
        self._session: str | None = None
        self._target: str | None = None
        self.complaints: list[str] = []
        """Exceptions and errors that the page logged."""

    async def open(self, url: str, *, width: int = 1280, height: int = 900) -> None:
        """Open an address in a new page, in place of the one before it."""
        self._session, self.complaints = None, []
        if self._target is not None:
            await self._call("Target.closeTarget", targetId=self._target)
        self._target = (await self._call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self._call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            await self._call(f"{domain}.enable")
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self._call("Page.navigate", url=url)

    async def js(self, expression: str) -> Any:
        """Return the value of an expression, awaited if it is a promise."""
        found = await self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait until an expression is true on the page, and return its value."""
        return await self.js(_UNTIL.replace("CONDITION", condition).replace("WAIT", str(_WAIT_MS)))

    async def key(self, key: str) -> None:
        """Press and release a key."""
        code = {"Enter": 13, "Tab": 9}.get(key, ord(key[0].upper()))
        text = {"Enter": "\r", "Tab": ""}.get(key, key)
        for kind in ("keyDown", "keyUp"):
            await self._call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text)

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        command = {"id": number, "method": method, "params": params}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            answer = json.loads((await self._answers.readuntil(b"\0"))[:-1])
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            if answer.get("sessionId") == self._session:  # not of a page opened before
                self._listen(answer)

    def _listen(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """Yield a browser with a new profile in a folder."""
    assert CHROMIUM is not None
    command_end, commands = os.pipe()
    answers, answer_end = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _BECOME, str(command_end), str(answer_end)),
        *(CHROMIUM, *_FLAGS, f"--user-data-dir={folder / 'profile'}"),
        pass_fds=(command_end, answer_end),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(command_end)
    os.close(answer_end)
    reader = asyncio.StreamReader(limit=1 << 24)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb", buffering=0)
    )
    try:
        yield Browser(commands, reader)
    finally:
        process.kill()
        await process.wait()
        transport.close()
        os.close(commands)
