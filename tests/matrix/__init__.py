"""The library on each Python and each release of Strands that it supports: ``make matrix``, or one release only.

    round_trip      the check inside one environment: Python 3.11 or newer, the installed wheel, nothing of this project
    environments    interpreters of this machine, the wheel, and environments with it
    __main__        the table

``make matrix STRANDS=1.63.0`` tries a new release of Strands. It says which names are missing, and which step of a
session breaks. It also runs the library's own tests and those of the providers with that release.
"""
