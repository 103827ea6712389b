"""Session managers for Strands Agents. ``private`` alone reaches Strands' private names.

    private                    Strands' private names, and the check that the installed release has them
    errors                     errors that are Strands' ``SessionException`` too
    built_agent                Strands' own state of an agent, besides its messages and its state
    interrupts                 voice agents whose hooks would interrupt them, refused
    approvals                  the questions of an interrupted agent, while a manager has it
    restoring                  agents restored from the session
    multi_agents               Graphs and Swarms
    rewinding                  a session, and all that runs on it, made what it was
    agents                     the agents of a session: built, used, gone
    idempotency                keys of a tool's outside effects
    hooks                      what an agent's hooks record, and wait for
    manager                    a session manager, as Strands calls it
    s3, file                   the managers that users construct
    transfer, transfer_multi_agents    to and from Strands' own layouts, whose parts are in ``layouts``

The changes of agents become records in ``recording``, below ``restoring``.

A module imports only those above it, and ``segue.session`` and what is below that.
"""

from __future__ import annotations

import segue.strands.private  # noqa: F401 - first: a release of Strands that lacks a name is refused in one line
