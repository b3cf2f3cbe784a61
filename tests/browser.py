"""A headless browser, driven over a pipe by the DevTools protocol: real keys, and the width of a phone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)
KEYS = {"Enter": 13, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9, " ": 32, "/": 191}


class Page:
    """One page of a browser, and all that its console said."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._write, self._read, self._data, self._number = to_browser, from_browser, b"", 0
        self._session: str | None = None
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.complaints.append(json.dumps(answer["params"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._data:
            part = os.read(self._read, 1 << 16)
            assert part, "the browser ended"
            self._data += part
        message, _, self._data = self._data.partition(b"\0")
        return json.loads(message)

    def evaluate(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def visit(self, address: str, width: int = 1280, height: int = 900, wait: bool = True) -> None:
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        if wait:
            self.wait(
                "document.readyState === 'complete' && document.querySelector('#corpus')?.textContent.trim() !== ''"
            )

    def wait(self, condition: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never: {condition}; {self.complaints}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        named = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r" if key == "Enter" else key} if key in ("Enter", " ", "/") else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)


@contextmanager
def open_browser(profile: Path) -> Iterator[Page]:
    assert BROWSER is not None
    to_browser, from_browser = os.pipe(), os.pipe()
    for end, wanted in ((to_browser[0], 3), (from_browser[1], 4)):
        assert end != wanted or os.set_inheritable(end, True) is None

    def plug() -> None:
        read, write = os.dup(to_browser[0]), os.dup(from_browser[1])
        os.dup2(read, 3)
        os.dup2(write, 4)

    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}"]
    log = (profile.parent / "browser.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=plug, close_fds=False) as process:
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            yield Page(to_browser[1], from_browser[0])
        finally:
            process.terminate()
            os.close(to_browser[1])
            os.close(from_browser[0])
