"""The stack and the browser that all scenes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import speech
from tests.browser.chromium import HOW_TO_GET_IT, Page, executable, started
from tests.browser.scenes import DESK, Scenes
from tests.support.local_stack import LocalStack


@pytest.fixture(scope="module")
def browser() -> None:
    """Skips the scenes where there is no browser, before anything is deployed."""
    if executable() is None:
        pytest.skip(HOW_TO_GET_IT)


@pytest.fixture(scope="module")
def scenes(browser: None, local_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    folder = tmp_path_factory.mktemp("browser")
    microphone = folder / "microphone.wav"
    speech.write(microphone, "")
    with started(folder, microphone) as chromium:
        yield Scenes(local_stack, chromium, microphone)


@pytest.fixture(scope="module")
def page(scenes: Scenes) -> Page:
    """The page on which the call is held, from its first scene to its last."""
    return scenes.chromium.page("call", permissions=["microphone"], options={"viewport": DESK})
