"""The voice worker: an asyncio process that holds conversations (``python -m worker``).

    claims queue ─▶ claims ─▶ host ─▶ session ─┬─ input ──▶ intake (order) ──▶ agent
    gateway ──POST /frames──▶ http ─▶ host ─▶ ─┤
    clients ══ direct ═▶ sockets ─▶ host ─▶ ───┘

                                               ┌─ output ◀── speech (frames) ◀── agent
    clients ◀── poster ◀── outbox ◀── audience ┴─ gate: journal content waits until it is durable

``worker.agent`` is the file that a user of the stack edits; everything else is the same for every agent.
"""
