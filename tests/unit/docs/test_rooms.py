"""CONTRIBUTING.md's rules on rooms: imports point downwards, rooms stay small, a class name stands once."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

LIBRARY = ROOT / "layers/session/python"
FUNCTIONS = ROOT / "functions"

ORDER = {
    "segue": "errors ids clock environment storage lease journal history session strands admin cli",
    "benchmarks": "measuring sessions wire scale",
    "local": "processes fakes deployment page workers terminal developing stack demo",
    "worker": "aws telemetry providers conversation hosting direct",
}
"""Rooms in the order of their imports: each imports only rooms that stand before it."""

LARGEST = 18
"""Modules in a folder at most; more of them cannot be surveyed."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "dependencies" not in path.parts and "node_modules" not in path.parts:
                yield path


def module_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Names that a module imports when it runs, also those of functions, but not those for type checkers only."""

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.expr() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
                    continue
                case ast.Import(names=names):
                    yield from (each.name for each in names)
                case ast.ImportFrom(module=str() as module, names=names):
                    yield from (f"{module}.{each.name}" for each in names)
                    yield module
            yield from visit(child)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")))


def graph(root: Path, *folders: str) -> dict[str, set[str]]:
    modules = {module_of(path, root): path for path in sources(*folders)}
    return {name: {each for each in imported(path) if each in modules} - {name} for name, path in modules.items()}


GRAPHS = {
    "library": (LIBRARY, "layers/session/python/segue"),
    "functions": (FUNCTIONS, "functions"),
    "project": (ROOT, "infra", "local", "benchmarks", "smoke"),
}


@functools.cache
def graph_of(part: str) -> dict[str, set[str]]:
    """Read a part's imports, when a test asks for them: each process that collects tests would read all files."""
    return graph(*GRAPHS[part])


@pytest.mark.slow
@pytest.mark.parametrize("part", GRAPHS)
def test_no_modules_import_each_other_in_a_circle(part: str) -> None:
    packages = {name: {each for each in found if each + "." not in name} for name, found in graph_of(part).items()}
    try:
        list(TopologicalSorter(packages).static_order())
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.mark.slow
@pytest.mark.parametrize("package", ORDER)
def test_rooms_import_only_rooms_below_them(package: str) -> None:
    order = ORDER[package].split()
    upwards = []
    for name, found in {name: found for each in GRAPHS for name, found in graph_of(each).items()}.items():
        for other in found:
            rooms = [each.split(".")[1] for each in (name, other) if each.startswith(f"{package}.")]
            if len(rooms) == 2 and set(rooms) <= set(order) and order.index(rooms[1]) > order.index(rooms[0]):
                upwards.append(f"{name} imports {other}")

    assert not upwards


AGENT = ("turn", "worker.agent")
"""The user's one file, from which the text function builds its agent: all that a package imports of another's."""


@pytest.mark.slow
def test_deployment_packages_import_of_each_other_only_what_is_shared() -> None:
    imports = [(name, other) for name, found in graph_of("functions").items() for other in found]
    crossing = [
        f"{name} imports {other}"
        for name, other in imports
        if other.partition(".")[0] not in {(package := name.partition(".")[0]), "shared"} and (package, other) != AGENT
    ]

    assert not crossing


def sibling_imports(part: str) -> dict[tuple[str, str], list[str]]:
    """The imports between two folders that stand in the same folder, by those two."""
    root = GRAPHS[part][0]
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, others in graph_of(part).items():
        for other in others:
            paths = name.split("."), other.split(".")
            shared = next((i for i, (one, two) in enumerate(zip(*paths, strict=False)) if one != two), None)
            if shared:
                one, two = (path[: shared + 1] for path in paths)
                if root.joinpath(*one).is_dir() and root.joinpath(*two).is_dir():
                    found[".".join(one), ".".join(two)].append(f"{name} imports {other}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("part", GRAPHS)
def test_no_two_sibling_folders_import_each_other(part: str) -> None:
    found = sibling_imports(part)

    assert found
    assert {pair: names for pair, names in found.items() if pair[::-1] in found} == {}


def listed(page: str) -> list[str]:
    """The modules that a room's page lists, in its order: the words before the gap of two spaces."""
    rows = re.findall(r"^ {4}(\w+(?:, \w+)*)  +\S", page, flags=re.MULTILINE)
    return [name for row in rows for name in row.split(", ")]


def rooms() -> Iterator[tuple[Path, str, str]]:
    """Each folder of modules: its page, its package, and the part of the project in which that is imported."""
    for part, (root, *folders) in GRAPHS.items():
        for page in (path for path in sources(*folders) if path.name == "__init__.py"):
            yield page, ".".join(page.parent.relative_to(root).parts), part


@pytest.mark.slow
@pytest.mark.parametrize("room", [pytest.param(room, id=room[1]) for room in rooms()])
def test_a_rooms_page_lists_its_modules_in_the_order_of_imports(room: tuple[Path, str, str]) -> None:
    page, package, part = room
    names = listed(ast.get_docstring(ast.parse(page.read_text(encoding="utf-8")), clean=False) or "")

    assert sorted(names) == sorted(path.stem for path in page.parent.glob("*.py") if not path.stem.startswith("__"))
    for position, name in enumerate(names):
        later = {f"{package}.{each}" for each in names[position + 1 :]}
        assert not graph_of(part)[f"{package}.{name}"] & later, f"{name} imports what is listed below it"


def test_rooms_stay_small() -> None:
    sizes: dict[str, int] = defaultdict(int)
    for path in sources("layers/session", "functions", "infra", "local", "benchmarks", "smoke"):
        sizes[str(path.parent.relative_to(ROOT))] += path.stem != "__init__"

    assert {folder: size for folder, size in sizes.items() if size > LARGEST} == {}


@pytest.mark.slow
def test_a_class_name_stands_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sources("layers/session", "functions"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


VERBS = {"take", "give", "forget", "tell", "look", "note", "meet", "offer"}
"""Verbs that say little without their object: ``take`` was the name of nineteen methods that did different things."""


@pytest.mark.slow
def test_a_method_has_its_object_in_its_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sources("layers/session", "functions"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name in VERBS:
                        places[method.name].append(node.name)

    assert {verb: found for verb, found in places.items() if len(found) > 3} == {}


PRIVATE = "layers/session/python/segue/strands/private.py"

PRIVATE_IMPORTS = {
    # Clients are told of a tool's result, an event that strands.bidi.types.events does not have.
    "functions/shared/conversation/agent_frames.py": ["strands.types._events"],
    # The same event says that a group of tools has run, so an answer is owed.
    "functions/worker/conversation/turn_boundary.py": ["strands.types._events"],
}
"""Modules of the functions that import private modules of Strands, and which."""


@pytest.mark.slow
def test_only_named_modules_reach_what_strands_keeps_private() -> None:
    name = re.compile(r"strands\.(?:.*\.)?_\w+")
    attribute = re.compile(
        r"\.(_concurrency|_background_tasks|_interrupt_state|_intervention_registry|_interrupt_id)\b"
    )
    found = {}
    for path in sources("layers/session", "functions"):
        private = [one for one in imported(path) if one.startswith("strands.") and name.fullmatch(one)]
        private += attribute.findall(path.read_text(encoding="utf-8"))
        found[str(path.relative_to(ROOT))] = sorted(private)

    assert len(found.pop(PRIVATE)) > 5
    assert {path: names for path, names in found.items() if names} == PRIVATE_IMPORTS


FACADE = {
    *("checks.Finding", "exchange.MovedPart", "listing.SessionFacts", "listing.State", "principals.DeletedPrincipal"),
    *("sessions.Sessions", "skip_damaged.Skipped", "source.DEFAULT_PRINCIPAL", "verify.Report"),
}
"""Names of ``segue.admin`` that every command may import: ``Sessions``, and the types of what it tells."""

BEYOND_SESSIONS = {
    # The guard item, read once, is what is asked about, and names who is watched and for how long.
    "delete_release": {f"delete_release.{name}" for name in ("item_of", "needs_release", "release", "watching")},
    # A fork's epoch is printed. What moves is chosen from what is there, and printed with the kind of each.
    "fork_export_import": {
        *("exchange.read_agent", "exchange.read_multi_agent", "exchange.write"),
        *("fork.commits_of", "fork.create", "fork.fork"),
    },
    # The number of holders is shown while they are watched; a stream is printed as it is found.
    "list_points": {"listing.list_sessions", "listing.mark_stale", "listing.stream_sessions"},
    # Keys of the guard are checked as they stand, also those that no id gives. A repair takes the lease.
    "verify": {
        *("delete_release.session_by_hand", "delete_release.watching"),
        *("skip_damaged.skip_damaged", "verify.verify"),
    },
}
"""Modules of the command line that do what no method of ``Sessions`` does, and what they import for it."""


def taken_from(room: str, path: Path) -> set[str]:
    """Names of a room that a module imports, also for type checkers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                found |= {each.name for each in names}
            case ast.ImportFrom(module=str() as module, names=names):
                found |= {f"{module}.{each.name}" for each in names}
    return {name.removeprefix(f"{room}.") for name in found if f"{name}.".startswith(f"{room}.")}


def test_commands_use_sessions_but_for_what_no_method_of_it_does() -> None:
    found = {path.stem: taken_from("segue.admin", path) for path in sources("layers/session/python/segue/cli")}

    assert "sessions.Sessions" in found["location"]
    assert {module: names - FACADE for module, names in found.items() if names - FACADE} == BEYOND_SESSIONS
