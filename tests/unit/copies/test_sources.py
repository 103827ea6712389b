"""Sessions of Strands' own managers as sources: torn files, text that stands alone, Graphs and Swarms."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from strands import Agent
from strands.agent.conversation_manager import SummarizingConversationManager
from strands.multiagent import GraphBuilder, Swarm
from strands.multiagent.base import Status
from strands.session import FileSessionManager, S3SessionManager, SnapshotSessionManager
from strands.storage import LocalFileStorage, S3Storage
from strands.types.exceptions import SessionException

from segue import GuardedFileSessionManager
from segue.admin.fork import commits_of, create
from segue.clock import SystemClock
from segue.errors import SegueError, SessionExists, SessionNotFound
from segue.history.fold import fold
from segue.session.runtime import Runtime
from segue.strands.file import file_stores
from segue.strands.layouts.sources import SourceDamaged
from segue.strands.transfer import import_, portable
from segue.strands.transfer_multi_agents import export_multi_agent, import_multi_agent
from tests.support.fake_model import FakeModel, PowerCut, tool_call
from tests.support.mocked_aws import mocked_aws

Layout = Callable[..., Any]


def file_layout(folder: Path, session_id: str = "talk") -> Any:
    return FileSessionManager(session_id, storage_dir=str(folder))


def snapshot_layout(folder: Path, session_id: str = "talk") -> Any:
    return SnapshotSessionManager(session_id, storage=LocalFileStorage(str(folder)))


LAYOUTS = {"messages": file_layout, "snapshot": snapshot_layout}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "strands"


def talk(manager: Any, *replies: Any, **options: Any) -> Agent:
    agent = Agent(model=FakeModel(replies), session_manager=manager, callback_handler=None, **options)
    agent("hi")
    return agent


def changed(**fields: Any) -> Callable[[bytes], bytes]:
    """The same file with other fields, in the object itself or in its ``data``."""

    def change(body: bytes) -> bytes:
        found = json.loads(body)
        within = found.get("data", found)
        return json.dumps({**found, **({"data": {**within, **fields}} if "data" in found else fields)}).encode()

    return change


BAD_BYTES = {"role": "user", "content": [{"image": {"source": {"__bytes_encoded__": True, "data": 5}}}]}

TEARS: dict[str, Callable[[bytes], bytes]] = {
    "half of it": lambda body: body[: len(body) // 2],
    "nothing": lambda body: b"",
    "zeros": lambda body: bytes(len(body)),
    "not UTF-8": lambda body: b"\xff\xfe" + body[2:],
    "a list": lambda body: b"[]",
    "a number": lambda body: b"5",
    "an empty object": lambda body: b"{}",
}
MESSAGE_TEARS = {
    **TEARS,
    "no message": changed(message=5),
    "a message without a role": changed(message={"content": []}),
    "content that is none": changed(message={"role": "user", "content": 7}),
    "a block that is none": changed(message={"role": "user", "content": ["h"]}),
    "bytes that are none": changed(message=BAD_BYTES),
    "a time that is none": changed(created_at="yesterday"),
}
AGENT_TEARS = {
    **TEARS,
    "a state that is none": changed(state=5),
    "a conversation manager that is none": changed(conversation_manager_state=7),
    "a summary that is none": changed(conversation_manager_state={"summary_message": 5}),
}
SNAPSHOT_TEARS = {
    **TEARS,
    "a state that is none": changed(state=5),
    "messages that are none": changed(messages=[5]),
    "bytes that are none": changed(messages=[BAD_BYTES]),
}
TORN = [
    *(("messages", "message_0.json", name) for name in MESSAGE_TEARS),
    *(("messages", "message_1.json", name) for name in MESSAGE_TEARS),
    *(("messages", "agent.json", name) for name in AGENT_TEARS),
    *(("snapshot", "snapshot_latest.json", name) for name in SNAPSHOT_TEARS),
]


def torn(path: Path, name: str) -> None:
    tears = {"message": MESSAGE_TEARS, "agent.j": AGENT_TEARS, "snapsho": SNAPSHOT_TEARS}[path.name[:7]]
    path.write_bytes(tears[name](path.read_bytes()))


@pytest.mark.parametrize(("layout", "file", "name"), TORN)
@pytest.mark.slow
def test_a_torn_file_names_itself(folder: Path, layout: str, file: str, name: str) -> None:
    talk(LAYOUTS[layout](folder))
    (path,) = folder.rglob(file)
    torn(path, name)

    with pytest.raises(SourceDamaged) as damaged:
        import_(LAYOUTS[layout](folder))

    assert damaged.value.file == str(path.relative_to(folder))
    assert str(damaged.value).startswith(f"{path.relative_to(folder)}: ")
    assert "restore that file from a backup" in str(damaged.value)
    assert isinstance(damaged.value, SegueError)
    assert isinstance(damaged.value, SessionException)


def test_the_torn_one_of_many_messages_is_named_whatever_is_missing_before_it(folder: Path) -> None:
    agent = talk(file_layout(folder))
    for _ in range(4):
        agent("and?")
    messages = next(folder.rglob("messages"))
    (messages / "message_3.json").unlink()
    torn(messages / "message_7.json", "a list")

    with pytest.raises(SourceDamaged, match=r"message_7\.json"):
        import_(file_layout(folder))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half of it", "a number"])
@pytest.mark.parametrize("layout", ["messages", "snapshot"])
def test_a_torn_object_names_itself(layout: str, name: str) -> None:
    with mocked_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="strands")

        def manager() -> Any:
            if layout == "messages":
                return S3SessionManager("talk", bucket="strands")
            return SnapshotSessionManager("talk", storage=S3Storage("strands"))

        talk(manager())
        file = {"messages": "message_1.json", "snapshot": "snapshot_latest.json"}[layout]
        (key,) = [one["Key"] for one in s3.list_objects_v2(Bucket="strands")["Contents"] if one["Key"].endswith(file)]
        body = s3.get_object(Bucket="strands", Key=key)["Body"].read()
        s3.put_object(Bucket="strands", Key=key, Body=TEARS[name](body))

        with pytest.raises(SourceDamaged) as damaged:
            import_(manager())
        assert damaged.value.file == key


def test_a_missing_messages_folder_is_not_reported_as_damage(folder: Path) -> None:
    talk(file_layout(folder))
    shutil.rmtree(next(folder.rglob("messages")))

    with pytest.raises(SessionException, match="Messages directory missing") as missing:
        import_(file_layout(folder))
    assert not isinstance(missing.value, SourceDamaged)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_text_that_stands_alone_is_one_text(folder: Path, layout: str) -> None:
    result = {"toolResult": {"toolUseId": "t", "status": "success", "content": "sunny, all day"}}
    use = {"toolUse": {"toolUseId": "t", "name": "weather", "input": {}}}
    messages: Any = [
        {"role": "user", "content": "What is it like?"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "Sunny."},
    ]
    manager = LAYOUTS[layout](folder)
    manager.sync_agent(Agent(model=FakeModel(), session_manager=manager, messages=messages))

    records = import_(LAYOUTS[layout](folder))

    contents = [record.data["message"]["content"] for record in records if record.kind == "message"]
    assert contents == [
        [{"text": "What is it like?"}],
        [use],
        [{"toolResult": {"toolUseId": "t", "status": "success", "content": [{"text": "sunny, all day"}]}}],
        [{"text": ""}],
        [{"text": "Sunny."}],
    ]
    moving = portable(records)
    texts = [block.get("text") for message in moving.messages for block in message["content"]]
    assert texts == ["What is it like?", None, None, "Sunny."]


def test_a_summary_whose_content_is_a_bare_text_is_one_text(folder: Path) -> None:
    talk(file_layout(folder), conversation_manager=SummarizingConversationManager())
    (path,) = folder.rglob("agent.json")
    found = json.loads(path.read_text())
    found["conversation_manager_state"]["summary_message"] = {"role": "user", "content": "We said hi."}
    path.write_text(json.dumps(found))

    first = next(record for record in import_(file_layout(folder)) if record.kind == "message")

    assert first.data["message"]["content"] == [{"text": "We said hi."}]


# Graphs and Swarms.


def node(name: str, model: FakeModel) -> Agent:
    return Agent(name=name, agent_id=name, model=model, callback_handler=None)


def a_graph(manager: Any, first: FakeModel, second: FakeModel, name: str | None = None) -> Any:
    builder = GraphBuilder()
    builder.add_node(node("first", first), "first")
    builder.add_node(node("second", second), "second")
    builder.add_edge("first", "second")
    builder.set_entry_point("first")
    builder.set_session_manager(manager)
    builder.set_max_node_executions(5)
    if name is not None:
        builder.set_graph_id(name)
    return builder.build()


def a_swarm(manager: Any, first: FakeModel, second: FakeModel, name: str = "default_swarm") -> Swarm:
    first._replies.insert(0, tool_call("handoff_to_agent", "h", agent_name="second", message="Go on"))
    return Swarm([node("first", first), node("second", second)], session_manager=manager, id=name)


IMAGE: Any = {"image": {"format": "png", "source": {"bytes": bytes(range(256))}}}
TASK: Any = [{"text": "What is in this picture?"}, IMAGE]


def cut_off(build: Any, layout: Layout, folder: Path, **options: Any) -> Path:
    """Run one until its second node is asked, and return the folder as the process left it then."""
    left = folder.with_name("left")
    second = PowerCut(lambda: shutil.copytree(folder, left) and None)
    running = build(layout(folder), FakeModel(["Found it."]), second, **options)
    with contextlib.suppress(RuntimeError):  # a Graph says so
        assert running(TASK).status is Status.FAILED
    return left


def asked(multi_agent: Any, name: str) -> list[Any]:
    return list(multi_agent.nodes[name].executor.model.asked)


def begun(tmp_path: Path, records: Any, session_id: str = "talk") -> Any:
    """A Segue session that begins with records."""
    stores = file_stores(Runtime.shared(), tmp_path / "segue")
    Runtime.shared().run_sync(create(stores, f"default/{session_id}", commits_of(records), SystemClock()))
    return GuardedFileSessionManager(session_id, tmp_path / "segue")


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("build", "name"), [(a_graph, "default_graph"), (a_swarm, "default_swarm")])
def test_a_graph_or_swarm_that_was_cut_off_goes_on_in_segue(
    folder: Path, tmp_path: Path, build: Any, name: str, layout: str
) -> None:
    left = cut_off(build, LAYOUTS[layout], folder)

    manager = begun(tmp_path, import_multi_agent(LAYOUTS[layout](left), name))

    going_on = build(manager, FakeModel(["Never asked."]), FakeModel(["Written."]))
    result = going_on(TASK)
    manager.close_sync()
    assert result.status is Status.COMPLETED
    assert asked(going_on, "first") == [], "what was done is not done again"
    assert "Found it." in str(asked(going_on, "second")) or "Go on" in str(asked(going_on, "second"))
    assert IMAGE in asked(going_on, "second")[0][0]["content"], "the task came with it, bytes and all"


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("build", "name"), [(a_graph, "default_graph"), (a_swarm, "default_swarm")])
def test_a_graph_or_swarm_goes_back_out(folder: Path, tmp_path: Path, build: Any, name: str, layout: str) -> None:
    records = import_multi_agent(LAYOUTS[layout](cut_off(build, LAYOUTS[layout], folder)), name)
    out = tmp_path / "out"

    export_multi_agent(name, fold(records).multi_agents[name], LAYOUTS[layout](out))

    assert import_multi_agent(LAYOUTS[layout](out), name)[0].data == records[0].data
    going_on = build(LAYOUTS[layout](out), FakeModel(["Never asked."]), FakeModel(["Written."]))
    assert going_on(TASK).status is Status.COMPLETED
    assert asked(going_on, "first") == []
    with pytest.raises(SessionExists, match=name):
        export_multi_agent(name, {"type": "graph"}, LAYOUTS[layout](out))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_importing_a_missing_graph_or_swarm_makes_no_file(folder: Path, layout: str) -> None:
    talk(LAYOUTS[layout](folder))
    before = sorted(folder.rglob("*"))

    with pytest.raises(SessionNotFound, match="Graph or Swarm nothing"):
        import_multi_agent(LAYOUTS[layout](folder), "nothing")

    assert sorted(folder.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "name"),
    # An empty object is, in a message layout, the state of one that has not begun.
    [(layout, name) for layout in LAYOUTS for name in TEARS if (layout, name) != ("messages", "an empty object")],
)
def test_a_torn_file_of_a_graph_names_itself(folder: Path, layout: str, name: str) -> None:
    a_graph(LAYOUTS[layout](folder), FakeModel(["One."]), FakeModel(["Two."]))("Do it")
    file = {"messages": "multi_agent.json", "snapshot": "snapshot_latest.json"}[layout]
    (path,) = folder.rglob(file)
    path.write_bytes(TEARS[name](path.read_bytes()))
    with pytest.raises(SourceDamaged) as damaged:
        import_multi_agent(LAYOUTS[layout](folder), "default_graph")
    assert damaged.value.file == str(path.relative_to(folder))
