"""Play days of calls and faults: `make sim SEEDS=N`, or one seed as a story to read.

python -m ari_app.sim --seeds 1000 --first 1     many; a broken one prints its shortest story
python -m ari_app.sim --seed 42                  one, told line by line
python -m ari_app.sim --script var/sim-42.json   exactly what was printed for a broken seed
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from ari_app.sim.script import dump, load, write
from ari_app.sim.shrink import shrink
from ari_app.sim.story import Told, endpoints, tell

PRINTED = 5  # broken stories; the rest by number


def play(seed: int, *, sqlite: bool, shorten: bool) -> Told:
    """The story of a seed, shortened if a promise breaks."""
    told = tell(seed, write(seed, endpoints()), sqlite=sqlite)
    return shrink(told, sqlite=sqlite) if shorten and told.broken else told


def play_many(seeds: Iterable[int], *, sqlite: bool, shorten: bool) -> Iterator[Told]:
    """The stories of many seeds, on all cores."""
    with ProcessPoolExecutor() as pool:
        yield from pool.map(partial(play, sqlite=sqlite, shorten=shorten), seeds, chunksize=5)


def main() -> int:
    """The exit code: 1 if any promise was broken."""
    asked = _arguments()
    if asked.script is not None:
        seed, script = load(asked.script.read_text())
        return _read_out(tell(seed, script, sqlite=asked.sqlite, traced=True))
    if asked.seed is not None:
        script = write(asked.seed, endpoints())
        return _read_out(tell(asked.seed, script, sqlite=asked.sqlite, traced=True))
    seeds = range(asked.first, asked.first + asked.seeds)
    stories: Iterable[Told]
    if asked.first_only:
        stories = (play(seed, sqlite=asked.sqlite, shorten=not asked.no_shrink) for seed in seeds)
    else:
        stories = play_many(seeds, sqlite=asked.sqlite, shorten=not asked.no_shrink)
    return _play_all(stories, first_only=asked.first_only, sqlite=asked.sqlite)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=300, help="how many (300)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--sqlite", action="store_true", help="keep everything in an SQLite file")
    parser.add_argument("--no-shrink", action="store_true", help="don't shorten a broken story")
    parser.add_argument("--first-only", action="store_true", help="one core, stop at a broken one")
    parser.add_argument("--seed", type=int, help="tell the story of this one")
    parser.add_argument("--script", type=Path, help="tell the story that was written down here")
    return parser.parse_args()


def _read_out(told: Told) -> int:
    for line in told.trace:
        print(line)
    print(f"seed {told.seed}: {told.broken or 'every promise was kept'}")
    return 1 if told.broken else 0


def _play_all(stories: Iterable[Told], *, first_only: bool, sqlite: bool) -> int:
    began = time.monotonic()
    seeds, calls, talked, broken = 0, 0, 0, 0
    for told in stories:
        seeds, calls, talked = seeds + 1, calls + told.calls, talked + told.talked
        if told.broken:
            broken += 1
            _print(told, sqlite=sqlite, whole=broken <= PRINTED)
            if first_only:
                break
    took_s = time.monotonic() - began
    rate = f"{calls / took_s * 60:.0f} calls/min" if took_s else ""
    print(
        f"{seeds} seeds, {calls} calls ({talked} talks) in {took_s:.1f} s, {rate}: {broken} broken"
    )
    return 1 if broken else 0


def _print(told: Told, *, sqlite: bool, whole: bool) -> None:
    print(f"seed {told.seed}: {told.broken}")
    if not whole:
        return
    for item in told.script:
        print(f"    {item}")
    again = f"--seed {told.seed}"
    if told.script != write(told.seed, endpoints()):
        path = Path("var") / f"sim-{told.seed}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(dump(told.seed, told.script))
        again = f"--script {path}"
    print(f"  again: python -m ari_app.sim {again}{' --sqlite' if sqlite else ''}")


if __name__ == "__main__":
    sys.exit(main())
