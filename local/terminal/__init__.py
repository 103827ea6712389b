"""The terminal of a person who talks.

    lines        lines from standard input without a thread
    transcript   frames in, text out
    chat         a conversation through the deployed WebSocket API
    sound        a microphone and a loudspeaker
    talk         the conversation, spoken
    report       facts of a running stack

Each module imports only modules that stand above it here.
"""
