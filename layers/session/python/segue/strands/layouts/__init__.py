"""Parts of moving sessions between Segue and Strands' own managers, which ``segue.strands.transfer`` does.

    carrier         agents, Graphs and Swarms that only carry what a session has
    sources         layouts of Strands' managers as they are stored, and what is torn in them
    strands_json    values that Strands' JSON cannot have, changed to what it can

A module imports only those above it, and the rooms below ``segue.strands``.
"""
