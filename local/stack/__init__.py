"""The whole stack on this machine, and how other terminals reach it.

    run_file   ``run.json``: how a second terminal finds the running stack
    provider   the model provider that a person has chosen, and its keys
    addresses  addresses at which clients reach the stack
    control    HTTP on loopback for other terminals
    stack      emulator, deployment and workers together
    up         ``up`` and ``down``: run the stack in this process

Each module imports only modules that stand above it here.
"""
