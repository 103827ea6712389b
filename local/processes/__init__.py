"""Child processes that never outlive the process that started them.

    guard      a process of its own that ends what a dead supervisor left behind
    children   starts child processes in groups of their own and registers each with the guard

Each module imports only modules that stand above it here.
"""
