"""Chromium, driven by playwright-core in a process of Node's."""

from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from infra.constants import ROOT

WEB = ROOT / "web"
DRIVER = Path(__file__).with_name("driver.mjs")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

HOW_TO_GET_IT = (
    "THE PAGE WAS NOT TRIED IN A BROWSER: there is no Chromium. Install it (Debian: apt-get install "
    "--no-install-recommends chromium), or name it: SEGUE_CHROMIUM=/path/to/chromium."
)

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--mute-audio", "--autoplay-policy=user-gesture-required",
    "--use-fake-device-for-media-stream",
)  # fmt: skip

WAIT_SECONDS = 60.0
"""Seconds that a condition in the page has; only a machine that is busy with other things needs them."""


def executable() -> str | None:
    """Path of Chromium, or None if there is none."""
    named = os.environ.get("SEGUE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(AssertionError):
    """Raised when the browser cannot do what it was told; the text is the driver's."""


class Chromium:
    """One browser.

    Args:
        process: The driver.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in cast("Iterator[str]", self._process.stdout):
            self._answers.put(json.loads(line))
        self._answers.put(None)

    def greeting(self) -> str:
        """Version of the browser, once it is up."""
        return str(self._take(WAIT_SECONDS)["version"])

    def tell(self, page: str, what: str, **options: Any) -> Any:
        """Have a page do something, and return its answer.

        Raises:
            BrowserError: It could not.
        """
        number = next(self._numbers)
        command = {"id": number, "page": page, "do": what, "with": options}
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(command) + "\n")
        stdin.flush()
        answer = self._take(3 * WAIT_SECONDS)
        assert answer["id"] == number
        if "error" in answer:
            raise BrowserError(f"{page}: {what} {options}: {answer['error']}")
        return answer["value"]

    def _take(self, seconds: float) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise BrowserError(f"the browser did not answer within {seconds:.0f} s") from None
        if answer is None:
            raise BrowserError("the browser has ended")
        return answer

    def page(self, name: str, context: str = "main", **options: Any) -> Page:
        """Open a page; pages of one context share their storage."""
        self.tell(name, "open", context=context, **options)
        return Page(self, name)

    def problems(self) -> list[str]:
        """Errors that pages have written to their console since the last call."""
        return cast("list[str]", self.tell("", "problems"))


@dataclass
class Page:
    """A page of a browser."""

    browser: Chromium
    name: str

    def do(self, what: str, **options: Any) -> Any:
        """Have it do something."""
        return self.browser.tell(self.name, what, **options)

    def goto(self, url: str) -> None:
        """Open an address."""
        self.do("goto", url=url)

    def click(self, name: str, role: str = "button") -> None:
        """Click on what has this role and name."""
        self.do("click", role=role, name=name, timeout=1000 * WAIT_SECONDS)

    def write(self, text: str) -> None:
        """Type a line to the agent."""
        self.do("fill", role="textbox", name="Type to the agent", text=text)
        self.do("press", role="textbox", name="Type to the agent", key="Enter")

    def wait(self, condition: str, argument: Any = None, seconds: float = WAIT_SECONDS) -> Any:
        """Wait until a function of JavaScript's returns something true, and return that."""
        return self.do("wait", condition=condition, argument=argument, timeout=1000 * seconds)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a selector finds."""
        return cast("list[str]", self.do("texts", selector=selector))

    def evaluate(self, expression: str) -> Any:
        """The value of an expression."""
        return self.do("evaluate", expression=expression)

    def played(self) -> tuple[int, bytes]:
        """Rate and samples of what was played since the last call."""
        answer = self.do("played")
        return int(answer["rate"]), base64.b64decode(answer["pcm"])


@contextmanager
def started(folder: Path, microphone: Path, environment: Mapping[str, str] = os.environ) -> Iterator[Chromium]:
    """A browser whose microphone plays a file, in a folder of its own.

    Args:
        folder: Where it keeps what it writes.
        microphone: A WAV file; read whenever the microphone is opened, and then silence.
        environment: Variables that it gets.
    """
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    options = {"web": str(WEB), "executable": executable(), "flags": flags, "profile": str(folder)}
    process = subprocess.Popen(
        ["node", str(DRIVER), json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=dict(environment), cwd=folder,
    )  # fmt: skip
    try:
        chromium = Chromium(process)
        chromium.greeting()
        yield chromium
    finally:
        assert process.stdin is not None
        process.stdin.close()  # the driver closes the browser and ends
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
