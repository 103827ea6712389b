"""The stack and the browser that all scenes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import speech
from tests.browser.chromium import HOW_TO_GET_IT, Page, executable, started
from tests.browser.scenes import DESK, Scenes, Stack
from tests.support.local_stack import deployed


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    if executable() is None:
        pytest.skip(HOW_TO_GET_IT)
    folder = tmp_path_factory.mktemp("browser")
    microphone = folder / "microphone.wav"
    speech.write(microphone, "")
    stack = Stack(folder / "home")
    with deployed(stack.command()), started(folder, microphone) as chromium:
        yield Scenes(stack, chromium, microphone)


@pytest.fixture(scope="module")
def page(scenes: Scenes) -> Page:
    """The page on which the call is held, from its first scene to its last."""
    return scenes.chromium.page("call", permissions=["microphone"], options={"viewport": DESK})
