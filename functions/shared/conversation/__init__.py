"""A conversation as clients are shown it: from an agent's messages and events to frames.

    messages          facts of a session's messages: kind, text, unanswered words
    record_positions  the journal record that a message or a frame belongs to
    approvals         approvals of tools, as frames
    agent_frames      frames for clients, made from an agent's events
    history_pages     pages of a session's conversation

Each module imports only modules that stand above it here.
"""
