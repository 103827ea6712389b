"""The whole story on the page: sign in, speak, and stay on the line whatever happens to the holder.

The scenes build on each other: one page is held through all of them, without a reload until the scene of the reload.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from infra.constants import ROOT
from tests.browser.chromium import Page
from tests.browser.scenes import DESK, PHONE, Scenes

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

SESSION = "on-the-page"


@pytest.fixture(autouse=True)
def without_problems(scenes: Scenes) -> Iterator[None]:
    """No scene writes an error to the console: not of the page's code, and not of its policy."""
    scenes.chromium.problems()
    yield
    assert [each for each in scenes.chromium.problems() if "ERR_INTERNET_DISCONNECTED" not in each] == []


def test_the_link_signs_in_once(scenes: Scenes, page: Page) -> None:
    link = scenes.stack.link()
    page.goto(link)
    page.wait("() => document.querySelector('#session')")
    assert page.evaluate("location.href") == scenes.stack.facts()["page_url"], "no code is left in the address"
    assert page.do("accessibility") == []
    scenes.picture(page, "start")

    other = scenes.chromium.page("other", context="other")
    other.goto(link)
    other.wait("() => document.querySelector('[role=alert]')?.innerText.includes('has been used already')")
    assert other.do("accessibility") == []
    other.do("close")
    scenes.note("signed in")


def test_spoken_words_are_answered_aloud(scenes: Scenes, page: Page) -> None:
    scenes.enter(page, SESSION)
    page.wait("() => document.querySelector('[data-microphone=on]')")
    page.evaluate("globalThis.__same = true")
    scenes.ask(page, "My name is Alice", "Hello Alice, nice to meet you.")
    assert "My name is Alice" in page.texts(".line.user .words")
    scenes.picture(page, "call")


def test_a_call_goes_on_without_a_gap_through_a_redeploy(scenes: Scenes, page: Page) -> None:
    before = scenes.handoffs(page)
    with scenes.stack.redeploying():
        scenes.note("redeploy begins")
        while scenes.handoffs(page) == before:
            scenes.ask(page, "What's my name?", "Your name is Alice.")
        scenes.handoff(page, before + 1)
        scenes.ask(page, "What's my name?", "Your name is Alice.")
    scenes.note("redeploy ended")
    assert page.evaluate("globalThis.__same"), "the page was loaded again"
    assert page.texts(".change")[0].startswith("handed over")
    assert page.do("accessibility") == []
    scenes.picture(page, "redeployed")


def test_a_killed_holder_is_followed_by_another(scenes: Scenes, page: Page) -> None:
    before = scenes.handoffs(page)
    holder = scenes.holder(page)
    killed = scenes.stack.run("kill", "--session", SESSION).strip()
    scenes.note(killed)
    assert killed.endswith(holder), f"the page says that {holder} holds the session"
    scenes.handoff(page, before + 1)
    page.wait("(old) => document.querySelector('[data-holder]').dataset.holder !== old", holder)
    assert page.texts(".change")[-1].startswith("taken over")
    scenes.ask(page, "What's my name?", "Your name is Alice.")
    assert page.evaluate("globalThis.__same")
    scenes.picture(page, "killed")
    page.do("emulate", media={"colorScheme": "dark"})
    assert page.do("accessibility") == []
    scenes.picture(page, "dark")
    page.do("emulate", media={"colorScheme": "light"}, size=PHONE)
    assert page.do("accessibility") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the phone"
    scenes.picture(page, "phone")
    page.do("emulate", size=DESK)


def test_speaking_over_the_agent_cuts_it_off(scenes: Scenes, page: Page) -> None:
    page.write("Count to 60")
    page.wait("() => document.querySelector('.line.assistant.partial')?.innerText.includes('5')")
    scenes.say(page, "Be quiet")
    scenes.answered(page, "Okay")
    counted = page.texts(".line.assistant .words")[-2]
    scenes.note(f"cut off after “{counted[-30:]}”")
    assert "1, 2" in counted
    assert "60" not in counted


def test_typed_text_waits_while_the_network_is_away(scenes: Scenes, page: Page) -> None:
    page.do("network", offline=True)
    page.wait("() => document.querySelector('.session-status').dataset.state === 'offline'")
    scenes.note("no network")
    scenes.picture(page, "offline")
    page.write("Repeat after me: back again")
    page.do("network", offline=False)
    scenes.answered(page, "back again")
    scenes.ready(page)
    scenes.note("network is back, and what was typed is answered")
    assert page.texts(".line.user .words").count("Repeat after me: back again") == 1


def test_a_second_tab_shows_the_same_conversation(scenes: Scenes, page: Page) -> None:
    second = scenes.chromium.page("second")
    second.goto(f"{scenes.stack.facts()['page_url']}#session={SESSION}")
    scenes.ready(second)
    second.wait("() => document.querySelectorAll('.line').length > 5")
    assert "My name is Alice" in second.texts(".line.user .words"), "spoken"
    assert "Repeat after me: back again" in second.texts(".line.user .words"), "typed"
    second.write("Repeat after me: from the second tab")
    for each in (page, second):
        scenes.answered(each, "from the second tab")
        each.wait("() => document.body.innerText.split('Repeat after me: from the second tab').length === 2")
    second.do("close")
    scenes.note("the second tab was signed in, and both show the same")


def test_a_reload_shows_the_whole_conversation_again(scenes: Scenes, page: Page) -> None:
    page.wait("() => !document.querySelector('.line.partial')")
    before = [text for text in page.texts(".line .words") if text != "[inaudible]"]
    page.do("reload")
    scenes.ready(page)
    page.wait("(n) => document.querySelectorAll('.line .words').length >= n", len(before))
    assert [text for text in page.texts(".line .words") if text != "[inaudible]"] == before
    scenes.note(f"reloaded: {len(before)} lines again")


def test_a_microphone_that_is_denied_leaves_the_keyboard(scenes: Scenes) -> None:
    denied = scenes.chromium.page("denied", context="denied")
    denied.goto(scenes.stack.link())
    denied.wait("() => document.querySelector('#session')")
    scenes.enter(denied, "denied")
    denied.wait("() => document.querySelector('[role=alert]')?.innerText.includes('microphone is blocked')")
    scenes.picture(denied, "denied")
    denied.write("My name is Bob")
    scenes.answered(denied, "Hello Bob")
    assert denied.do("accessibility") == []
    denied.do("close")
    scenes.note("microphone denied: typed instead")


def test_an_image_that_is_dropped_is_shown(scenes: Scenes, page: Page) -> None:
    picture = ROOT / "web" / "page" / "test" / "picture.png"
    page.do("drop", file=str(picture), type="image/png", selector=".conversation")
    page.wait("() => document.querySelector('.picture')?.naturalWidth > 0")
    page.do("drop", file=str(ROOT / "LICENSE"), type="text/plain", selector=".conversation")
    page.wait("() => document.querySelector('.notices')?.innerText.includes('Only images can be sent')")


def test_a_tool_that_asks_first_is_allowed_with_a_click(scenes: Scenes, page: Page) -> None:
    picture = page.evaluate("document.querySelector('.picture').src")
    page.evaluate(
        "(() => { const free = URL.revokeObjectURL, freed = globalThis.__freed = [];"
        "URL.revokeObjectURL = (url) => { freed.push(url); free.call(URL, url); }; })()"
    )
    page.click("Leave")
    page.wait("(src) => globalThis.__freed.includes(src)", picture)  # or else the browser keeps each image
    scenes.enter(page, "typed", how="Only type")
    page.write("Remember the milk")
    page.wait("() => document.querySelector('.tool.success[data-tool=remember]')")
    page.write("Forget everything")
    page.wait("() => document.querySelector('[role=alertdialog]')?.innerText.includes('Forget all notes?')")
    assert page.do("accessibility") == []
    scenes.picture(page, "approval")
    page.click("Allow")
    scenes.answered(page, "Everything is forgotten")
    assert scenes.handoffs(page) == 0, "each turn of text has a holder of its own"
    scenes.note("a tool asked, and was allowed")


def test_tokens_that_end_are_renewed(scenes: Scenes) -> None:
    short = scenes.chromium.page("short", context="short")
    short.goto(scenes.stack.link("--expires", "4"))
    short.wait("() => document.querySelector('#session')")
    first = short.evaluate("sessionStorage.getItem('segue.tokens')")
    scenes.enter(short, "short")
    short.wait("(t) => JSON.parse(t).until + 11000 < Date.now()", first)  # the authorizer gives 10 s
    short.write("My name is Carol")
    scenes.answered(short, "Hello Carol")
    assert short.evaluate("sessionStorage.getItem('segue.tokens')") != first
    short.do("close")
    scenes.note("the token has ended, and the conversation goes on")


def test_the_protocols_snippet_works_as_printed(scenes: Scenes, page: Page) -> None:
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```js\n(const socket = .*?)```", text, re.DOTALL)
    facts = scenes.stack.facts()
    page.evaluate(
        f"(() => {{ const url = {facts['browser_url']!r}, token = {facts['token']!r};"
        "const console = { log: (...said) => (globalThis.__snippet ??= []).push(said), warn() {} };"
        f"{snippet} }})()"
    )
    page.wait("() => globalThis.__snippet?.some(([who, said]) => who === 'assistant' && said.includes('name'))")
