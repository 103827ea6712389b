"""The input side of a conversation: from its clients' frames to its agent.

    receipts          telling clients what has arrived
    intake            frames of all clients, in one order
    images            images under way
    unanswered_audio  audio that no transcript has answered yet
    marked_silence    silence that clients mark, given to the model
    audio_feed        audio to the model, again after its connection was replaced
    feed              all of these: frames to the agent, and which of them is durable

Each module imports only modules that stand above it here, and of ``worker.conversation`` only ``session_manager`` and
``turn_boundary``.
"""
