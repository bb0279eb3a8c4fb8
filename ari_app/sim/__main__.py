"""`make sim SEEDS=N [FIRST=K]`: play N seeds; a failing one prints its shortest story."""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from ari_app.sim.script import write
from ari_app.sim.shrink import shrink
from ari_app.sim.story import Told, endpoints, tell


def play(seed: int) -> Told:
    """The story of a seed, shortened if a promise breaks."""
    told = tell(seed, write(seed, endpoints()))
    return told if told.broken is None else shrink(told)


def main() -> int:
    """The exit code: 1 if any promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    asked = parser.parse_args()
    began = time.monotonic()
    with ProcessPoolExecutor() as pool:
        seeds = range(asked.first, asked.first + asked.seeds)
        stories = list(pool.map(play, seeds, chunksize=10))
    took_s = time.monotonic() - began
    broken = [told for told in stories if told.broken is not None]
    for told in broken[:5]:
        _print(told)
    calls, talked = sum(t.calls for t in stories), sum(t.talked for t in stories)
    print(
        f"{len(stories)} seeds, {calls} calls ({talked} talks) in {took_s:.1f} s,"
        f" {calls / took_s * 60:.0f} calls/min: {len(broken)} broken"
    )
    return 1 if broken else 0


def _print(told: Told) -> None:
    print(f"seed {told.seed}: {told.broken}")
    for item in told.script:
        print(f"    {item}")


if __name__ == "__main__":
    sys.exit(main())
