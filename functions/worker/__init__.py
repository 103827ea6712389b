"""The voice worker: an asyncio process that holds conversations (``python -m worker``).

    claims queue ─▶ claims ─▶ host ─▶ session ─┬─ input ──▶ intake (order) ──▶ agent
    gateway ─POST /frames─▶ server ─▶ host ─▶ ─┤
    clients ══ direct ═▶ sockets ─▶ host ─▶ ───┘

                                               ┌─ output ◀── agent_frames (shared) ◀── agent
    clients ◀── poster ◀── outbox ◀── audience ┴─ gate: journal content waits until it is durable

    aws/, telemetry/, providers/, conversation/, hosting/, direct/    rooms, in the order of their imports
    rehearsal/                                                        former path of the offline text model
    settings     environment variables of the worker
    agent        the agent: the file that a user edits
    server       HTTP for the gateway and the other workers
    agent_check  ``agent.py``, tried before anything is replaced
    app          the process: everything wired together, from ready to drained

``worker.agent`` is the file that a user of the stack edits; everything else is the same for every agent.
"""
