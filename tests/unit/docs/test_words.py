"""CONTRIBUTING.md's rules on words hold in code, log lines, error texts and docs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

CODE = ("layers/session/python/segue", "functions", "infra", "local", "smoke", "benchmarks", "tests")
"""Folders whose Python files are read whole: names, comments, docstrings, log lines and error texts."""

PAGES = ("README.md", "CONTRIBUTING.md", "docs", "functions")
"""Pages that are read whole; of RFCs, whose bodies are frozen, only the first paragraph."""

WITHOUT_A_SUBJECT = re.compile(r"\b(whoever|whomever|somebody|nobody|anybody|everybody)\b", re.IGNORECASE)
"""Pronouns that hide which of worker, client, holder, gateway or caller is meant."""

PRIVATE_WORDS = re.compile(
    r"\b(let(?:s|ting)? go\b(?! of)|lets? it go|gives? back the (?:lease|session)|forsak\w*|upkeep|deeds?)\b",
    re.IGNORECASE,
)
"""Words of this house only; docs/glossary.md has the field's own."""

QUESTION = re.compile(r"(What|Who|Whose|Whom|Whether|Where|Why|How)\b")
"""A docstring that opens with one of these names no thing and tells no action."""

STRING_THAT_ASKS = re.compile(rf"[\"'](?:\s|\\\n|\\[nrt])*{QUESTION.pattern}")
"""A file without such a string has no such docstring, and is not parsed."""

RIDDLE = re.compile(r"^\s*(?:async )?def test_(?:what|who|whose|whom|whether|where|when|which|why|how)(?:ever)?_")
"""A test's name that opens so has no subject; a failure's line is to tell which behaviour broke."""

NOUN_PHRASES = ("layers/session/python/segue", "functions", "infra", "local", "benchmarks", "smoke")
"""Folders whose modules and classes are noun phrases: ``Renewal of one lease``, not ``Renews one lease``."""

THIRD_PERSON = re.compile(
    r"(?:[A-Z][a-z]*[a-rt-z]s (?:an?|the|one|its|their|each|every|any|another|this|what|which|whether|how)"
    r"|Acquires|Asks|Begins|Behaves|Binds|Brings|Carries|Chooses|Closes|Collects|Connects|Cuts|Decides|Decodes|Delivers"
    r"|Does|Drops|Encodes|Enforces|Fills|Finds|Follows|Forgets|Gets|Gives|Has|Holds|Is|Joins|Keeps|Knows|Leaves|Lets"
    r"|Listens|Makes|Moves|Notices|Opens|Owns|Paces|Prepares|Provides|Puts|Reads|Refuses|Remembers|Removes|Renews"
    r"|Replaces|Restores|Returns|Says|Sees|Sends|Serves|Shows|Starts|Stops|Takes|Tells|Tries|Watches|Wraps|Writes)\b"
)
"""A verb in the third person: by itself, or known by its object. ``Records of a session`` is a noun phrase."""

QUOTATION = re.compile(r"^\s*>")
"""A quoted line of a page keeps its words."""

WORDS_THAT_ARE_OUT = re.compile(r"(?<=\|)[^|]*\|\s*$")
"""The last column of the glossary's tables: the words that the others stand in place of."""

SINGLE_BACKTICKS = re.compile(r"(?<![`\\])`[^`\n]+`(?!`)")
"""A code span as Markdown has it; docstrings have two backticks."""

USERS_FILE = ROOT / "functions/worker/agent.py"
"""The house does not judge it."""

CODE_SPAN = re.compile(r"`[^`]*`")
"""A word in a code span is spoken of, or stands in code."""


def code() -> Iterator[Path]:
    for folder in CODE:
        yield from sorted((ROOT / folder).rglob("*.py"))


def pages() -> Iterator[Path]:
    for name in PAGES:
        path = ROOT / name
        yield from [path] if path.is_file() else sorted(path.rglob("*.md"))


def shown(page: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page that its rules hold for."""
    paragraphs = 0
    frozen = page.parent.name == "rfcs" and page.name != "README.md"
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        paragraphs += bool(frozen and not line.strip())
        if paragraphs > 3:  # the heading, the status, and the first paragraph
            return
        if not QUOTATION.match(line):
            yield number, CODE_SPAN.sub("", WORDS_THAT_ARE_OUT.sub("", line) if page.name == "glossary.md" else line)


def bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The statements of a module, and those in each of them."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        if isinstance(statements := getattr(node, field, None), list):
            if field == "body":
                yield statements
            for statement in statements:
                yield from bodies(statement)


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings of modules, classes and functions, and those that stand under an attribute or a constant."""
    for body in bodies(ast.parse(path.read_text(encoding="utf-8"))):
        for statement in body:
            match statement:
                case ast.Expr(value=ast.Constant(value=str() as text)):
                    yield statement.lineno, text
                case _:
                    pass


def docstrings_of_things(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings of a module and its classes, which are things and do nothing by themselves."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text


def offences(lines: Iterator[tuple[int, str]], path: Path, pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:110]}" for number, line in lines if pattern.search(line)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [WITHOUT_A_SUBJECT, PRIVATE_WORDS], ids=["pronouns", "private words"])
def test_code_names_its_subjects(pattern: re.Pattern[str]) -> None:
    found = [
        offence
        for path in code()
        if path.parent != Path(__file__).parent or not path.name.startswith("test_words")
        for offence in offences(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1), path, pattern)
    ]

    assert not found, f"{len(found)} lines, see docs/glossary.md:\n" + "\n".join(found)


@pytest.mark.parametrize("pattern", [WITHOUT_A_SUBJECT, PRIVATE_WORDS], ids=["pronouns", "private words"])
def test_pages_name_their_subjects(pattern: re.Pattern[str]) -> None:
    found = [offence for page in pages() for offence in offences(shown(page), page, pattern)]

    assert not found, f"{len(found)} lines, see docs/glossary.md:\n" + "\n".join(found)


def test_the_changelog_of_what_is_unreleased_names_its_subjects() -> None:
    changelog = ROOT / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    unreleased = re.split(r"^## \[(?!Unreleased)", text, maxsplit=1, flags=re.MULTILINE)[0]

    assert not offences(enumerate(unreleased.splitlines(), start=1), changelog, WITHOUT_A_SUBJECT)


@pytest.mark.slow
def test_docstrings_open_with_an_imperative_or_a_noun_phrase() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {text.strip().splitlines()[0][:110]}"
        for path in code()
        if STRING_THAT_ASKS.search(path.read_text(encoding="utf-8"))
        for number, text in docstrings(path)
        if text.strip() and QUESTION.match(text.strip())
    ]

    assert not found, f"{len(found)} docstrings:\n" + "\n".join(found)


def test_test_names_open_with_their_subject() -> None:
    found = [
        offence
        for path in code()
        if "def test_wh" in (text := path.read_text(encoding="utf-8")) or "def test_how" in text
        for offence in offences(enumerate(text.splitlines(), start=1), path, RIDDLE)
    ]

    assert not found, f"{len(found)} names, say subject, verb and object:\n" + "\n".join(found)


@pytest.mark.parametrize("folder", NOUN_PHRASES)
def test_docstrings_of_modules_and_classes_open_with_a_noun_phrase(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {text.splitlines()[0][:110]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search(rf'"""{THIRD_PERSON.pattern}', path.read_text(encoding="utf-8"))
        for number, text in docstrings_of_things(path)
        if THIRD_PERSON.match(text)
    ]

    assert not found, f"{len(found)} docstrings:\n" + "\n".join(found)


@pytest.mark.parametrize("opening", ["Renews one lease.", "Keeps callbacks.", "Records what was said.", "Is a model."])
def test_a_verb_in_the_third_person_is_noticed(opening: str) -> None:
    assert THIRD_PERSON.match(opening)


@pytest.mark.parametrize("opening", ["Records of a session.", "Access to one table.", "Turns of an agent.", "Times."])
def test_a_noun_phrase_is_no_verb_in_the_third_person(opening: str) -> None:
    assert not THIRD_PERSON.match(opening)


@pytest.mark.slow
def test_code_spans_of_docstrings_have_two_backticks() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {span.group()}"
        for path in code()
        if path != USERS_FILE and "`" in path.read_text(encoding="utf-8")
        for number, text in docstrings(path)
        for span in SINGLE_BACKTICKS.finditer(text)
    ]

    assert not found, f"{len(found)} code spans:\n" + "\n".join(found)
