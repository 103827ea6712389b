"""Mistakes in agent.py are found before anything is replaced: each is one line, with file and line."""

from __future__ import annotations

import itertools

import pytest

from infra.constants import ROOT
from worker import agent_check

_NUMBERS = itertools.count()

GOOD = '''
from strands import Agent, tool
from strands.bidi import BidiAgent
from segue.testing.offline import OfflineVoiceModel
from segue.testing.offline.text_model import OfflineTextModel

@tool
def lamp(room: str) -> str:
    """Switch a lamp on."""
    return room

def build_agent(session_manager):
    return BidiAgent(model=OfflineVoiceModel(), tools=[lamp], session_manager=session_manager)

def build_text_agent(session_manager):
    return Agent(model=OfflineTextModel(), tools=[lamp], session_manager=session_manager, callback_handler=None)
'''


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """Check a text as if it were agent.py; returns the exit code and what was said, without the folder."""

    def check(text, *options):
        name = f"agent_of_a_user_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(agent_check, "MODULE", name)
        code = agent_check.main(list(options))
        return code, capsys.readouterr().err.replace(str(tmp_path / f"{name}.py"), "agent.py")

    return check


@pytest.mark.slow
def test_the_file_as_it_is_delivered_is_fine(monkeypatch, capsys):
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    locks = [f"--lock={ROOT / 'requirements' / name}" for name in ("worker.txt", "turn.txt")]
    assert agent_check.main(locks) == 0, capsys.readouterr().err


def test_a_good_file_says_nothing(checked):
    assert checked(GOOD) == (0, "")


MISTAKES = {
    "a syntax error": (GOOD + "\ndef broken(:\n", r"agent.py:18: SyntaxError: invalid syntax"),
    "a package that is not there": (
        "import no_such_package\n" + GOOD,
        "agent.py:1: there is no module 'no_such_package' here: for a package of PyPI, make add PACKAGE=no_such_",
    ),
    "a wrong option of the model": (
        GOOD.replace("OfflineVoiceModel()", "OfflineVoiceModel(speed=2)"),
        "agent.py:13: build_agent raised TypeError: ",
    ),
    "a tool without a docstring": (
        GOOD.replace('    """Switch a lamp on."""\n', ""),
        "agent.py:7: the tool lamp has no docstring: it tells the model what the tool does and when to use it",
    ),
    "no builder": (
        GOOD.replace("def build_text_agent", "def build_text_agents"),
        "agent.py:1: there is no function build_text_agent; it builds the text agent, and gets session_manager",
    ),
    "the other kind of agent": (
        GOOD.replace("return BidiAgent(model=OfflineVoiceModel()", "return Agent(model=OfflineTextModel()"),
        "agent.py:12: build_agent returned Agent; it has to return Strands' BidiAgent",
    ),
    "nothing returned": (
        GOOD.replace("return Agent", "Agent"),
        "agent.py:15: build_text_agent returned NoneType; it has to return Strands' Agent",
    ),
    "a name that is not there": (
        GOOD.replace("tools=[lamp], session_manager=session_manager)", "tools=[light])"),
        "agent.py:13: build_agent raised NameError: name 'light' is not defined",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_one_line_with_its_place(checked, mistake):
    text, expected = MISTAKES[mistake]
    code, said = checked(text)
    assert code == 1
    assert said.startswith(expected), said
    if "docstring" not in mistake:
        assert said.count("\n") == 1


def test_a_tool_without_a_docstring_is_told_once_for_each_agent_that_has_it(checked):
    _, said = checked(MISTAKES["a tool without a docstring"][0])
    assert said.count("agent.py:7") == 2
    assert checked(MISTAKES["a tool without a docstring"][0], "--only", "text")[1].count("\n") == 1


def test_a_wrong_provider_option_is_named(monkeypatch, capsys):
    monkeypatch.setenv("SEGUE_PROVIDER", "offline")
    monkeypatch.setenv("SEGUE_PROVIDER_OPTIONS", '{"pase": 2}')
    assert agent_check.main(["--only", "voice"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "functions/worker/agent.py:" in line
    assert "SEGUE_PROVIDER_OPTIONS has 'pase'; offline takes limit_s, pace, connection" in line


@pytest.mark.parametrize(
    ("lacking", "text"),
    [
        ('import os\nURL = os.environ["SEGUE_TEST_NOWHERE"]\n', "needs the environment variable 'SEGUE_TEST_NOWHERE'"),
        ('raise ConnectionRefusedError("no server")\n', "ConnectionRefusedError: no server"),
    ],
)
def test_a_module_or_variable_that_only_the_deployment_has_is_a_note_elsewhere(checked, lacking, text):
    code, said = checked(lacking + GOOD)
    assert (code, text in said) == (1, True), said
    code, said = checked(lacking + GOOD, "--elsewhere")
    assert code == 0
    assert text in said
    assert "cannot be told here" in said


@pytest.mark.slow
def test_an_import_that_is_not_locked_is_found_although_it_works_here(checked, tmp_path):
    lock = tmp_path / "turn.txt"
    lock.write_text("strands-agents==1.62.0 \\\n    --hash=sha256:0\n")
    code, said = checked("import json\nimport hypothesis\n" + GOOD, f"--lock={lock}")
    assert code == 1
    assert said == (
        "agent.py:2: hypothesis is installed here, and not in turn.txt: make add PACKAGE=hypothesis, or import it in "
        "the function that needs it\n"
    )
