"""Sessions looked after from outside of a conversation: listed, read, copied, checked, exported, deleted.

    checks         what a session's objects and records must be
    orphans        objects that no session has
    verify         all checks of a session, or of all
    skip_damaged   a record that makes readers pass over a damaged one
    fork           a copy of a session, up to a point in time

A module imports only those above it, and ``segue.history`` and ``segue.session``.
"""
