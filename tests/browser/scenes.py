"""One local stack and one browser, what is done in them, and the timeline of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.browser import speech
from tests.browser.chromium import BrowserError, Chromium, Page
from tests.support.local_stack import LocalStack

ATTEMPTS = 5
"""Times that something is said: a machine without time for its sound makes holes in it, and then people repeat it."""

DESK = {"width": 1000, "height": 640}
PHONE = {"width": 390, "height": 780}

PICTURES = os.environ.get("SEGUE_PICTURES")
"""Folder for pictures of the scenes; docs/images has those of the day on which the page changed last."""

FINAL = ".line[data-final=true]"

LAST_ANSWER = "() => [...document.querySelectorAll('.line.assistant[data-final=true] .words')].at(-1)?.innerText"


@dataclass
class Scenes:
    """All of it."""

    stack: LocalStack
    chromium: Chromium
    microphone: Path
    begun: float = field(default_factory=time.monotonic)
    timeline: list[str] = field(default_factory=list)
    device: int = 0

    def note(self, text: str) -> None:
        """Write a line of the timeline."""
        line = f"{time.monotonic() - self.begun:7.1f} s  {text}"
        self.timeline.append(line)
        print(line)

    def picture(self, page: Page, name: str) -> None:
        """Keep what the page looks like, where that was asked for."""
        if PICTURES:
            page.do("screenshot", path=str(Path(PICTURES) / f"page-{name}.png"))

    def enter(self, page: Page, session: str, how: str = "Talk") -> None:
        """Open a session from the lobby."""
        page.do("fill", role="combobox", name="Session", text=session)
        page.click(how)
        self.ready(page)

    def ready(self, page: Page) -> None:
        """Wait until the holder listens."""
        page.wait("() => document.querySelector('.session-status')?.dataset.state === 'ready'")

    def say(self, page: Page, text: str) -> None:
        """Speak: the microphone's file is written anew, and the page changes to the next microphone, which reads it."""
        speech.write(self.microphone, text)
        self.device = self.device % 2 + 1
        page.evaluate("document.querySelector('.devices').open = true")
        page.wait("(n) => document.querySelectorAll('#microphones option').length > n", self.device)
        label = page.evaluate(f"document.querySelectorAll('#microphones option')[{self.device}].label")
        page.do("choose", selector="#microphones", label=label)
        page.evaluate("document.querySelector('.devices').open = false")

    def ask(self, page: Page, text: str, answer: str) -> None:
        """Speak until the answer is this, and was heard word by word from the loudspeaker."""
        for attempt in range(1, ATTEMPTS + 1):
            self.silence(page)
            before = len(page.texts(FINAL))
            self.say(page, text)
            self.note(f"says “{text}”")
            said = page.wait(
                f"(n) => document.querySelectorAll('{FINAL}').length >= n + 2 && ({LAST_ANSWER})()", before
            )
            heard = self.hear(page, answer) if said == answer else []
            if answer in heard:
                self.note(f"hears “{answer}”" + ("" if attempt == 1 else f" (attempt {attempt})"))
                return
            self.note(f"attempt {attempt}: the page shows “{said}”, the loudspeaker played {heard}")
        raise AssertionError(f"“{text}” was not answered by “{answer}” in {ATTEMPTS} attempts: {self.timeline}")

    def hear(self, page: Page, text: str, seconds: float = 20) -> list[str | None]:
        """Listen to the loudspeaker until a text was heard, or nothing more comes."""
        listener = speech.Listener()
        until = time.monotonic() + seconds
        while time.monotonic() < until and text not in listener.heard and not (listener.heard and listener.quiet):
            listener.feed(*page.played())
            time.sleep(0.2)
        return listener.heard

    def silence(self, page: Page) -> None:
        """Wait until the loudspeaker has been silent for a moment."""
        listener = speech.Listener()
        until = time.monotonic() + 20
        while time.monotonic() < until and not listener.quiet:
            listener.feed(*page.played())
            time.sleep(0.2)

    def handoff(self, page: Page, count: int) -> int:
        """Wait until the page has seen so many handoffs, and return the last one's gap."""
        page.wait("(n) => Number(document.querySelector('[data-handoffs]').dataset.handoffs) >= n", count, seconds=200)
        gap = int(page.evaluate("[...document.querySelectorAll('.holders .handoff')].at(-1).dataset.gap"))
        self.note(
            f"handoff {count}: {gap} ms, epoch {page.evaluate('document.querySelector(`[data-epoch]`).dataset.epoch')}"
        )
        return gap

    def handoffs(self, page: Page) -> int:
        """The number of handoffs that the page has seen."""
        return int(page.evaluate("document.querySelector('[data-handoffs]').dataset.handoffs"))

    def holder(self, page: Page) -> str:
        """The name of the session's holder, as the page shows it."""
        return str(page.evaluate("document.querySelector('[data-holder]').dataset.holder"))

    def answered(self, page: Page, text: str) -> None:
        """Wait until the last answer contains a text."""
        try:
            page.wait(f"(text) => ({LAST_ANSWER})()?.includes(text)", text)
        except BrowserError as error:
            raise AssertionError(f"no answer with “{text}”: {error}") from error
