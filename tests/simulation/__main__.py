"""Run seeds: many for a night, or one again.

python -m tests.simulation --seeds 100000           # from seed 0 on
python -m tests.simulation --start 5000 --seeds 500
python -m tests.simulation --seed 4711              # one, with its timeline if it breaks something
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.truth import Violation
from tests.simulation.world import simulate


def main() -> int:
    """Run; the exit code is 1 if a seed broke something."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10_000, help="number of seeds; default: %(default)s")
    parser.add_argument("--start", type=int, default=0, help="first seed; default: %(default)s")
    parser.add_argument("--seed", type=int, help="run only this seed, and print its timeline")
    parser.add_argument("--keep-going", action="store_true", help="go on after a seed that breaks an invariant")
    arguments = parser.parse_args()
    seeds = range(arguments.start, arguments.start + arguments.seeds)
    if arguments.seed is not None:
        seeds = range(arguments.seed, arguments.seed + 1)

    began, broken, totals = time.process_time(), 0, [0, 0, 0, 0, 0]
    for count, seed in enumerate(seeds, start=1):
        try:
            outcome = simulate(seed, verbose=arguments.seed is not None)
        except Violation as violation:
            print(violation, file=sys.stderr)
            broken += 1
            if not arguments.keep_going:
                break
            continue
        done = outcome.records, outcome.acknowledged, outcome.takeovers, outcome.folds, outcome.volumes
        for index, number in enumerate(done):
            totals[index] += number
        if count % 1000 == 0:
            print(f"{count} seeds, {time.process_time() - began:.0f} s of CPU", flush=True)
    records, acknowledged, takeovers, folds, volumes = totals
    print(
        f"{count} seeds in {time.process_time() - began:.1f} s of CPU: {records} records committed, "
        f"{acknowledged} acknowledged, {takeovers} takeovers, {folds} pages folded, "
        f"{volumes} volumes bound, {broken} seeds broken"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
