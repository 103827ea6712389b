"""Plain WebSocket servers to compare with; each prints its port.

python -m benchmarks.wire.plain_servers agent    one agent a socket, and nothing of Segue: what the agent takes
python -m benchmarks.wire.plain_servers bare     each message straight back: what a socket takes
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any, Final

from strands.bidi.types import AudioDelta
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.measuring import lag
from benchmarks.wire.echo_agent import RATE, build_agent
from local.settings import LOOPBACK

AGENT: Final = "agent"
BARE: Final = "bare"


async def _talk(socket: ServerConnection) -> None:
    """Run one agent, without a session manager, a gate, numbers or acknowledgements."""
    agent = build_agent(None)
    await agent.start()

    async def speak() -> None:
        async for event in agent.receive():
            if audio := _audio(event):
                await socket.send(json.dumps({"type": "audio", "audio": audio, "rate": RATE}))

    speaking = asyncio.create_task(speak())
    try:
        async for text in socket:
            pcm = base64.b64decode(json.loads(text)["audio"])
            await agent.send(AudioDelta(format="pcm", source={"bytes": pcm}))
    finally:
        speaking.cancel()
        await agent.stop()


async def _send_back(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


def _audio(event: Any) -> str | None:
    audio = getattr(event, "audio", None)
    return audio if isinstance(audio, str) else None


async def main(kind: str) -> None:
    """Serve until the process is ended.

    Args:
        kind: ``AGENT`` or ``BARE``.
    """
    lag_task = asyncio.create_task(lag.keep_lag())
    async with serve({AGENT: _talk, BARE: _send_back}[kind], LOOPBACK, 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await server.serve_forever()
    lag_task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
