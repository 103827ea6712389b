from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler

import boto3
import pytest
from strands import Agent
from strands.bidi.agent import BidiAgent
from strands.multiagent import GraphBuilder
from strands.session import FileSessionManager, S3SessionManager, SnapshotSessionManager
from strands.storage import LocalFileStorage, S3Storage

from segue import GuardedFileSessionManager
from tests.support.fake_model import FakeModel
from tests.support.http_server import LoopbackServer, QuietHandler
from tests.support.scripted_model import ScriptedModel

KEY = "default/talk"


def texts(agent):
    return [block["text"] for message in agent.messages for block in message["content"] if "text" in block]


def voice(manager, **options):
    return BidiAgent(model=ScriptedModel(), session_manager=manager, **options)


@pytest.fixture
def outside(tmp_path):
    return tmp_path / "strands"


def test_a_fork_is_a_new_session(keep, run, facts, conversation):
    keep(KEY, *conversation)

    assert run("fork", "talk", "copy").stdout == "default/copy begins with 8 records of default/talk\n"
    assert facts("fork", "talk", "early", "--at", "2", "--to-principal", "alice") == {
        "session": "alice/early",
        "source": KEY,
        "head": 2,
        "epoch": 2,
    }

    assert run("show", "copy").stdout == run("show", "talk").stdout
    assert len(run("show", "alice/early").stdout.splitlines()) == 2
    assert "'default/copy' exists already: choose another id" in run("fork", "talk", "copy", code=1).stderr
    run("fork", "talk", "more", "--at", "3", code=2)
    run("verify", "copy", "alice/early")


def test_a_fork_stays_with_its_principal(keep, facts, said):
    keep("alice/notes", [said("a")])

    assert facts("fork", "alice/notes", "copy")["session"] == "alice/copy"
    assert facts("fork", "alice/notes", "bob/copy")["session"] == "bob/copy"


def test_fork_takes_retention_days(keep, run, facts, said):
    keep(KEY, [said("a")])
    run("fork", "talk", "short", "--retention-days", "2")
    run("fork", "talk", "long")

    expires = {one["session"]: one["expires_at"] for one in facts("list")}
    assert expires["default/short"] < expires["default/long"]


def test_a_session_exported_to_strands_and_imported_is_equal(keep, run, facts, conversation, outside):
    keep(KEY, *conversation)

    for layout in ("messages", "snapshot"):
        assert facts("export", "talk", str(outside), "--layout", layout, "--as", "out") == {
            "session": KEY,
            "layout": layout,
            "target": str(outside),
            "agents": [{"agent": "default", "kind": "BidiAgent", "messages": 4, "target_session": "out"}],
        }
    out = voice(FileSessionManager("out", storage_dir=str(outside)))
    assert texts(out) == ["What is the weather in Paris?", "Sunny, all day."]
    assert out.state.get() == {"city": "Paris"}
    assert voice(SnapshotSessionManager("out", storage=LocalFileStorage(str(outside)))).messages == out.messages

    for layout in ("messages", "snapshot"):
        found = facts("import", str(outside), layout, "--layout", layout, "--from", "out")
        assert found["agents"] == [{"agent": "default", "kind": "BidiAgent", "messages": 4}]
        assert [one[10:] for one in run("show", layout).stdout.splitlines()] == [
            one[10:] for one in run("show", "talk").stdout.splitlines()
        ]
    run("verify", "messages", "snapshot")


@pytest.mark.parametrize("layout", ["messages", "snapshot"])
def test_exported_folders_are_readable_only_by_their_owner(keep, run, conversation, outside, layout):
    keep(KEY, *conversation)
    before = os.umask(0)
    try:
        run("export", "talk", str(outside / "of" / "mine"), "--layout", layout)
    finally:
        os.umask(before)

    assert (outside / "of" / "mine").stat().st_mode & 0o777 == 0o700


def test_an_imported_session_goes_on_in_segue(run, outside, directory):
    Agent(model=FakeModel(["Hello."]), session_manager=FileSessionManager("s", str(outside)), callback_handler=None)(
        "hi"
    )
    run("import", str(outside), "talk", "--from", "s")

    manager = GuardedFileSessionManager("talk", directory)
    agent = Agent(model=FakeModel(), session_manager=manager, callback_handler=None)
    agent("and now?")
    manager.close_sync()

    assert texts(agent) == ["hi", "Hello.", "and now?", "You said: and now?"]


def test_a_session_that_segue_kept_goes_out(run, outside, directory):
    manager = GuardedFileSessionManager("talk", directory)
    agent = Agent(model=FakeModel(["Hello."]), session_manager=manager, callback_handler=None, state={"n": 1})
    agent("hi")
    manager.close_sync()

    run("export", "talk", str(outside))

    back = Agent(model=FakeModel(), session_manager=FileSessionManager("talk", str(outside)), callback_handler=None)
    assert back.messages == agent.messages
    assert back.state.get() == {"n": 1}


def test_strands_ids_may_have_more_characters(run, facts, outside):
    voice(FileSessionManager("user:1 @home", str(outside)), messages=[{"role": "user", "content": [{"text": "hi"}]}])

    assert facts("import", str(outside), "user-1", "--from", "user:1 @home")["agents"][0]["messages"] == 1
    run("export", "user-1", str(outside), "--as", "user:2")
    assert texts(voice(FileSessionManager("user:2", str(outside)))) == ["hi"]


def test_export_takes_an_earlier_point(keep, run, conversation, outside):
    keep(KEY, *conversation)

    run("export", "talk", str(outside), "--at", "2")

    assert texts(voice(FileSessionManager("talk", str(outside)))) == ["What is the weather in Paris?"]


@pytest.mark.slow
def test_export_and_import_move_the_chosen_agents(keep, run, facts, conversation, outside):
    both = [[record.__replace__(agent=name) for record in group] for name in ("one", "two") for group in conversation]
    keep(KEY, *both)

    assert [one["agent"] for one in facts("export", "talk", str(outside))["agents"]] == ["one", "two"]
    assert "its agents: one, two" in run("export", "talk", str(outside), "--agent", "default", code=2).stderr
    assert "no session" in run("import", str(outside), "back", "--from", "talk", code=1).stderr
    found = facts("import", str(outside), "back", "--from", "talk", "--agent", "two", "--agent", "one")
    assert [one["agent"] for one in found["agents"]] == ["two", "one"]


def test_export_and_import_overwrite_no_session(keep, run, conversation, outside):
    keep(KEY, *conversation)
    run("export", "talk", str(outside))

    assert "exists already" in run("export", "talk", str(outside), code=1).stderr
    assert "exists already" in run("import", str(outside), "talk", code=1).stderr


def graph(manager, name="default_graph"):
    builder = GraphBuilder()
    builder.add_node(Agent(model=FakeModel(["Found it."]), name="one", callback_handler=None), "one")
    builder.set_entry_point("one")
    builder.set_session_manager(manager)
    builder.set_graph_id(name)
    builder.set_max_node_executions(3)
    return builder.build()


@pytest.mark.parametrize("layout", ["messages", "snapshot"])
def test_a_graph_moves_in_and_out(run, facts, outside, tmp_path, layout):
    def there(folder):
        if layout == "messages":
            return FileSessionManager("s", str(folder))
        return SnapshotSessionManager("s", storage=LocalFileStorage(str(folder)))

    graph(there(outside))("Do it")
    where = ("--layout", layout, "--from", "s")

    assert facts("import", str(outside), "talk", *where) == {
        "session": KEY,
        "layout": layout,
        "source": str(outside),
        "head": 1,
        "agents": [],
        "multi_agents": [{"id": "default_graph", "kind": "Graph", "status": "completed"}],
    }
    assert run("import", str(outside), "again", *where, "--multi-agent", "default_graph").stdout.splitlines()[1:] == [
        "default_graph  Graph"
    ]
    assert "Graph or Swarm other" in run("import", str(outside), "x", *where, "--multi-agent", "other", code=1).stderr
    assert "agent default" in run("import", str(outside), "x", *where, "--agent", "default", code=1).stderr
    run("verify", "talk", "again")

    back = str(tmp_path / "back")
    assert facts("export", "talk", back, "--layout", layout)["multi_agents"][0]["id"] == "default_graph"
    assert "exists already" in run("export", "talk", back, "--layout", layout, code=1).stderr
    other = run("export", "talk", back, "--multi-agent", "other", code=2).stderr
    assert "its Graphs and Swarms: default_graph" in other
    assert facts("import", back, "third", "--layout", layout, "--from", "talk")["multi_agents"]


def test_export_and_import_choose_among_agents_and_multi_agents(run, facts, outside, directory, tmp_path):
    manager = GuardedFileSessionManager("talk", directory)
    Agent(model=FakeModel(["Hello."]), session_manager=manager, callback_handler=None)("hi")
    graph(manager, "plan")("Do it")
    manager.close_sync()

    everything = facts("export", "talk", str(outside))
    assert ([one["agent"] for one in everything["agents"]], [one["id"] for one in everything["multi_agents"]]) == (
        ["default"],
        ["plan"],
    )
    assert "multi_agents" not in facts("export", "talk", str(tmp_path / "a"), "--agent", "default")
    assert facts("export", "talk", str(tmp_path / "b"), "--multi-agent", "plan")["agents"] == []
    both = facts("import", str(outside), "back", "--from", "talk", "--agent", "default", "--multi-agent", "plan")
    assert (len(both["agents"]), len(both["multi_agents"])) == (1, 1)
    assert "multi_agents" not in facts("import", str(outside), "by-itself", "--from", "talk")


def test_a_torn_file_is_named(run, outside):
    Agent(model=FakeModel(), session_manager=FileSessionManager("s", str(outside)), callback_handler=None)("hi")
    for name in ("message_1.json", "agent.json", "session.json"):
        (path,) = outside.rglob(name)
        for body in (b"", b"[]", b"\xff"):
            before = path.read_bytes()
            path.write_bytes(body)
            result = run("import", str(outside), "talk", "--from", "s", code=1)
            assert str(path.relative_to(outside)) in result.stderr
            assert "restore that file from a backup" in result.stderr
            path.write_bytes(before)
    run("import", str(outside), "talk", "--from", "s")


@pytest.mark.parametrize("layout", ["messages", "snapshot"])
def test_importing_a_missing_session_creates_nothing(run, outside, directory, layout):
    result = run("import", str(outside), "talk", "--layout", layout, code=1)

    assert "no session" in result.stderr
    assert not outside.exists()
    outside.mkdir()
    run("import", str(outside), "talk", "--layout", layout, code=1)
    assert [path for path in outside.rglob("*") if path.is_file()] == []
    assert list(directory.iterdir()) == []


def test_an_import_may_make_its_directory(keep, run, conversation, outside, tmp_path):
    keep(KEY, *conversation)
    run("export", "talk", str(outside))

    run("import", str(outside), "talk", place=["--directory", str(tmp_path / "fresh")])

    assert "Sunny" in run("show", "talk", place=["--directory", str(tmp_path / "fresh")]).stdout


def test_invalid_ids_of_export_import_and_fork_are_wrong_usage(keep, run, said, outside):
    keep(KEY, [said("a")])

    run("export", "talk", str(outside), "--as", "../x", code=2)
    run("import", str(outside), "talk", "--from", "a/b", code=2)
    run("export", "talk", "s3://", code=2)
    run("fork", "talk", "a/b/c", code=2)
    run("fork", "talk", "..", code=2)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["messages", "snapshot"])
def test_a_session_is_exported_to_and_imported_from_a_bucket(keep, run, aws, conversation, layout):
    boto3.client("s3").create_bucket(Bucket="strands")
    keep(KEY, *conversation)
    where = ("s3://strands/some/prefix", "--layout", layout)

    run("export", "talk", *where)

    manager = {
        "messages": lambda: S3SessionManager("talk", bucket="strands", prefix="some/prefix"),
        "snapshot": lambda: SnapshotSessionManager("talk", storage=S3Storage("strands", prefix="some/prefix")),
    }[layout]()
    assert texts(voice(manager)) == ["What is the weather in Paris?", "Sunny, all day."]
    run("import", where[0], "back", *where[1:], "--from", "talk")
    assert "Sunny" in run("show", "back").stdout
    assert "no session" in run("import", where[0], "other", *where[1:], code=1).stderr
    assert "nowhere" in run("export", "talk", "s3://nowhere", *where[1:], code=1).stderr


@pytest.mark.parametrize("layout", ["messages", "snapshot"])
def test_an_import_that_a_proxy_redirects_says_so_at_once_and_imports_nothing(run, monkeypatch, layout):
    """botocore alone asks for the bucket's region, is redirected again, and asks until the stack ends."""

    class Page(QuietHandler, BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(302, b"<html><body>Sign in</body></html>")

        def do_HEAD(self):
            self.do_GET()

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "k")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = LoopbackServer(Page)
    try:
        arguments = ("s3://strands/some", "talk", "--layout", layout, "--endpoint-url", server.url)
        failed = run("import", *arguments, code=1)
        assert "s3://strands/some" in failed.stderr
        assert server.connected < 5
        assert run("list").stdout.strip() in {"", "no sessions"}
    finally:
        server.stop()
