"""A model's speech, and what of it was heard.

    resampling       the client's rates and the provider's
    transcripts      one sentence, one message
    truncation       an interrupted answer, cut to what was heard before the barge-in
    unheard_answers  the rest of it, told to providers that remember

Each module imports only modules that stand above it here.
"""
