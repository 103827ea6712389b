"""The command line's page is true: its examples run, and it leaves out no command, option, or finding."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from segue.cli.app import segue, sessions
from segue.journal.records import Record

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")


def examples():
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = example.partition("\n")
            yield command, expected


@pytest.mark.slow
def test_the_examples_run(keep, conversation, directory, monkeypatch, tmp_path):
    keep("alice/call-17", *conversation)
    keep("alice/call-18", [Record(kind="state", data={})], stay=True, holder="worker-1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_DIRECTORY", str(directory))
    monkeypatch.setenv("SEGUE_PRINCIPAL", "alice")
    seen = 0
    for command, expected in examples():
        program, *arguments = shlex.split(command)
        assert program == "segue"
        result = CliRunner().invoke(segue, arguments)
        assert doctest.OutputChecker().check_output(expected, result.output, doctest.ELLIPSIS), (
            f"$ {command}\n{result.output}"
        )
        seen += 1
    assert seen >= 8


def test_the_page_names_every_command_and_option():
    for name, command in sessions.commands.items():
        assert re.search(rf"`{name}\b|sessions {name}\b", PAGE), name
        for option in command.params:
            if isinstance(option, click.Option) and option.name != "help":
                assert any(f"`{spelling}" in PAGE or f" {spelling}" in PAGE for spelling in option.opts), option.opts


def test_the_page_names_every_finding():
    sources = (Path(segue.callback.__code__.co_filename).parents[1]).rglob("*.py")
    pattern = r'Finding\(\s*"(?:damage|warning|note)", "([a-z]+)"'
    source = "".join(path.read_text(encoding="utf-8") for path in sources)
    codes = set(re.findall(pattern, source)) | {"absent"}

    assert len(codes) > 15
    for code in codes:
        assert f"`{code}`" in PAGE, code
