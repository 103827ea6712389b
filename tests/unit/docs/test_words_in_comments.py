"""CONTRIBUTING.md's rules on words hold in comments of TypeScript, style sheets, the model, scripts and settings."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.test_words import PRIVATE_WORDS, QUESTION, ROOT, THIRD_PERSON, WITHOUT_A_SUBJECT

WEB = ("web/client/src", "web/client/test", "web/client/scripts", "web/page/src", "web/page/test", "web/scripts")
"""Folders of web/ whose files are read, with those that lie beside them."""

OTHERS = (
    "web/*.ts",
    "web/client/*.ts",
    "web/client/*.mjs",
    "web/page/*.ts",
    "tests/browser/*.mjs",
    "tests/model/*.pml",
    ".ci/run",
    ".pre-commit-config.yaml",
    "Makefile",
    "docs/examples/*.yml",
    "functions/worker/Dockerfile*",
    "local/*.sh",
    "mkdocs.yml",
    "pyproject.toml",
    "requirements/*.in",
)

TEXT = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`"""
"""A text in quotes, which may have a comment's sign in it."""

PATTERN = r"(?<=[(=,:])\s*/(?![*/ ])(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n])+/"
"""A regular expression of JavaScript, which may have a quote in it."""

SLASHES = re.compile(
    rf"(?P<comment>/\*.*?\*/|(?:^[ \t]*//[^\n]*\n?)+|//[^\n]*)|{PATTERN}|{TEXT}", re.DOTALL | re.MULTILINE
)
BLOCKS = re.compile(r"(?P<comment>/\*.*?\*/)", re.DOTALL)
HASHES = re.compile(rf"(?P<comment>(?:^[ \t]*#(?!!)[^\n]*\n?)+|(?<=\s)#\s[^\n]*)|{TEXT}", re.MULTILINE)

COMMENTS = {".ts": SLASHES, ".tsx": SLASHES, ".mjs": SLASHES, ".css": BLOCKS, ".pml": BLOCKS}
"""The form of a file's comments by its suffix; all others have them behind ``#``."""

MARKS = re.compile(r"^[ \t]*(?:/\*+|\*+/|\*|//|#)[ \t]?|\s*\*/$", re.MULTILINE)

OPENING = re.compile(QUESTION.pattern, re.IGNORECASE)
"""A comment that opens so names no thing and gives no reason; a comment behind code begins with a small letter."""

RIDDLES = re.compile(r"\b(all the same|some(?:one|body)|any(?:one|body)|every(?:one|body)|no one)\b", re.IGNORECASE)
"""More pronouns without a subject, and the end that says nothing."""

TITLE = re.compile(
    r"(?:\b(?:test|it|describe)|\))\(\s*[\"'`](?:what|who|whose|whom|whether|where|when|which|why|how)(?:ever)?\b"
)
"""A test's title that opens so has no subject; a failure's line is to tell which behaviour broke."""


def sources() -> Iterator[Path]:
    for folder in WEB:
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in COMMENTS)
    for pattern in OTHERS:
        yield from sorted(ROOT.glob(pattern))


@functools.cache
def comments(path: Path) -> list[tuple[int, str]]:
    """The comments of a file without their signs, and the lines at which they begin."""
    text = path.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, match.start()) + 1, MARKS.sub("", match["comment"]).strip())
        for match in COMMENTS.get(path.suffix, HASHES).finditer(text)
        if match["comment"]
    ]


def offences(path: Path, *patterns: re.Pattern[str], opening: bool = False) -> list[str]:
    """The comments in which, or at the opening of which, one of the patterns is found."""
    return [
        f"{path.name}:{line}: {comment.splitlines()[0][:110]}"
        for line, comment in comments(path)
        for pattern in patterns
        if (pattern.match(comment) if opening else pattern.search(comment))
    ]


def written() -> list[Path]:
    return [path for path in sources() if "generated" not in path.parts]


def test_the_files_that_are_read_are_there() -> None:
    read = {path.suffix or path.name for path in written()}

    assert {".ts", ".tsx", ".mjs", ".css", ".pml", ".sh", ".toml", ".yml", ".yaml", ".in", "run", "Makefile"} <= read
    assert all(list(ROOT.glob(pattern)) for pattern in OTHERS)


def test_comments_open_with_an_imperative_or_a_noun_phrase() -> None:
    found = [each for path in written() for each in offences(path, OPENING, THIRD_PERSON, opening=True)]

    assert not found, f"{len(found)} comments:\n" + "\n".join(found)


def test_comments_name_their_subjects() -> None:
    found = [each for path in written() for each in offences(path, WITHOUT_A_SUBJECT, PRIVATE_WORDS, RIDDLES)]

    assert not found, f"{len(found)} comments, see docs/glossary.md:\n" + "\n".join(found)


def test_titles_of_web_tests_open_with_their_subject() -> None:
    found = [
        f"{path.name}: {match.group()}"
        for path in written()
        if path.name.endswith(".test.ts")
        for match in TITLE.finditer(path.read_text(encoding="utf-8"))
    ]

    assert not found, f"{len(found)} titles, say subject, verb and object:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.ts", 'const path = "//";\n// Whether it is late.\n', 2),
        ("b.tsx", "const quotes = /['\"`]/;\n/**\n * What is shown.\n */\n", 2),
        ("c.mjs", "go(); // how far it came\n", 1),
        ("d.css", "a { b: c }\n/* Who is in front. */\n", 2),
        ("e.pml", "byte x; /* What is there. */\n", 1),
        ("run", "#!/bin/sh\n\n# Where it runs.\necho '# What'\n", 3),
        ("f.toml", 'a = "#"  # why not\n', 1),
    ],
)
def test_a_riddle_in_each_kind_of_comment_is_found(tmp_path: Path, name: str, text: str, line: int) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert [each.split(":")[1] for each in offences(tmp_path / name, OPENING, opening=True)] == [str(line)]


def test_a_subject_without_a_name_is_found_in_any_line_of_a_comment(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text("// The lease of a holder.\n// Whoever comes is told.\n\nfoo(); // all the same\n")

    assert len(offences(tmp_path / "a.ts", WITHOUT_A_SUBJECT, RIDDLES)) == 2
