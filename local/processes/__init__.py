"""Child processes that never outlive the process that started them.

    ports         loopback TCP ports, and one that is kept for a process that starts
    guard         a process of its own that ends what a dead supervisor left behind
    fork_server   a process of its own that has imported libraries, and forks programs that need them
    forks         asks it for a program
    children      starts child processes in groups of their own and registers each with the guard

Each module imports only modules that stand above it here.
"""
