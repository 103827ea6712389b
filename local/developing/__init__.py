"""A person who writes an agent: mistakes found early, packages added, edits deployed as they are saved.

    check      agent.py is imported and its agents are built, in a process of its own
    packages   a package of PyPI for the agent: into requirements/agent.in and the locks
    watch      a redeployment at each save
    sessions   ``segue sessions`` on the running stack's bucket and table

Each module imports only modules that stand above it here.
"""
