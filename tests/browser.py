"""A headless Chromium by its debugging pipe: open a page at a size, ask it things. Standard library only."""

import fcntl
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    """One window. Raises FileNotFoundError where no Chromium is installed."""

    def __init__(self) -> None:
        program = next(filter(None, map(shutil.which, NAMES)), None)
        if program is None:
            raise FileNotFoundError(f"none of {', '.join(NAMES)} is installed")
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self._to = _pipe()
        self._from, answers = _pipe()
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
        self._process = os.posix_spawn(
            program,
            [program, *options, f"--user-data-dir={self._profile.name}", "about:blank"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, commands, 3),
                (os.POSIX_SPAWN_DUP2, answers, 4),
            ],
        )
        os.close(commands)
        os.close(answers)
        self._answers = os.fdopen(self._from, "rb")
        self._number = 0
        self._session: str | None = None
        self.told: list[str] = []  # what the console was told, violations of the policy among it
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self.do(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._to)
        self._answers.close()
        self._profile.cleanup()

    def open(self, path: Path, width: int = 1280, *, scripts: bool = True) -> None:
        """Loads a page, at a width in CSS pixels."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.do("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.told.clear()
        self.do("Page.navigate", url=path.resolve().as_uri())
        while self._message().get("method") != "Page.loadEventFired":
            pass

    def ask(self, expression: str, *, wait: bool = False) -> Any:
        """The value of an expression in the page, or of the promise that it is."""
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=wait)
        return answer["result"].get("value")

    def do(self, method: str, **parameters: object) -> dict[str, Any]:
        """Gives a command of the debugging protocol; returns its result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while (message := self._message()).get("id") != self._number:
            pass
        assert "result" in message, message
        return message["result"]

    def _message(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            data += byte
        message = json.loads(data)
        if message.get("method") == "Log.entryAdded":
            self.told.append(message["params"]["entry"]["text"])
        return message


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are no low numbers: the browser takes commands at descriptor 3 and answers at 4."""
    low = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low]
    for end in low:
        os.close(end)
    return high[0], high[1]
