"""Lines from a pipe, a file and nothing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from local.terminal.lines import Lines


async def test_lines_of_a_pipe_come_as_they_are_written():
    reader, writer = os.pipe()
    found = Lines(reader)
    os.write(writer, "grüß ".encode()[:3])
    os.write(writer, "grüß ".encode()[3:] + b"dich\r\nse")
    assert await anext(found) == "grüß dich"
    waiting = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0)
    assert not waiting.done()
    os.write(writer, b"cond\nlast")
    assert await waiting == "second"
    os.close(writer)
    assert [line async for line in found] == ["last"]
    os.close(reader)


async def test_a_cancelled_read_leaves_the_descriptor_unwatched():
    reader, writer = os.pipe()
    waiting = asyncio.ensure_future(anext(Lines(reader)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not asyncio.get_running_loop().remove_reader(reader)
    os.close(reader)
    os.close(writer)


async def test_a_file_and_the_null_device_work_too(tmp_path: Path):
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")
    with path.open("rb") as file:
        assert [line async for line in Lines(file.fileno())] == ["one", "two"]
    with Path(os.devnull).open("rb") as file:
        assert [line async for line in Lines(file.fileno())] == []


async def test_a_wait_that_is_cancelled_loses_no_line():
    reader, writer = os.pipe()
    found = Lines(reader)
    os.write(writer, b"one\ntwo\nthr")
    assert await anext(found) == "one"
    assert await anext(found) == "two"
    waiting = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    os.write(writer, b"ee\n")
    assert await anext(found) == "three"
    os.close(writer)
    assert [line async for line in found] == []
    assert not found.may_continue
    os.close(reader)
