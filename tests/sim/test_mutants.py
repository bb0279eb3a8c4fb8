"""Planted bugs must be caught: each patch under mutants/ breaks something, and says who notices.

A patch is applied to a copy of the code, never to the checkout. Its head has two lines:
`# breaks: ...` and `# caught by: sim --first K --seeds N` or `# caught by: tests/...`. The
simulator is preferred; a test is named where no simulated day would show the bug.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ari_app.sim.script import write
from ari_app.sim.story import endpoints, tell

ROOT = Path(__file__).parents[2]
PATCHES = sorted((Path(__file__).parent / "mutants").glob("*.patch"))
CORES = 2


def head(patch):
    lines = (line.removeprefix("# ") for line in patch.read_text().splitlines()[:2])
    return dict(line.split(": ", 1) for line in lines)


def copied(folder):
    shutil.copytree(ROOT / "ari_app", folder / "ari_app", ignore=shutil.ignore_patterns("__pyc*"))
    for name in ("tests", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def run(folder, *argv):
    """PYTHONPATH puts the copy before the checkout; nothing is written next to the code."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def judge(patch, folder):
    """What the one who should notice says of the code in the folder."""
    how, *arguments = head(patch)["caught by"].split()
    if how == "sim":
        flags = ("--first-only", "--no-shrink")
        return run(folder, sys.executable, "-m", "ari_app.sim", *flags, *arguments)
    pytest_flags = ("-q", "-x", "-p", "no:cacheprovider", "--timeout", "60")
    return run(folder, sys.executable, "-m", "pytest", *pytest_flags, how, *arguments)


def play(patch, folder):
    copied(folder)
    applied = run(folder, "patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-i", str(patch))
    return applied, judge(patch, folder) if applied.returncode == 0 else None


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """All of them at once, on both cores."""
    folders = [tmp_path_factory.mktemp(patch.stem) for patch in PATCHES]
    with ThreadPoolExecutor(CORES) as pool:
        return dict(zip(PATCHES, pool.map(play, PATCHES, folders), strict=True))


def test_there_are_enough_of_them():
    assert len(PATCHES) >= 10
    by_simulation = [patch for patch in PATCHES if head(patch)["caught by"].startswith("sim ")]
    assert len(by_simulation) >= 10


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_planted_bug_is_caught(patch, outcomes):
    applied, seen = outcomes[patch]
    assert applied.returncode == 0, f"make the patch anew: {applied.stdout}{applied.stderr}"
    told = seen.stdout + seen.stderr
    assert seen.returncode == 1, f"nobody noticed that {head(patch)['breaks']}\n{told}"
    if head(patch)["caught by"].startswith("sim "):
        assert ": 1 broken" in seen.stdout, told
    else:
        assert "1 failed" in seen.stdout, told


def test_without_a_bug_nobody_complains(tmp_path):
    """Or the proof above would be none."""
    named = {head(patch)["caught by"] for patch in PATCHES}
    tests = sorted(how for how in named if not how.startswith("sim "))
    flags = ("-q", "-p", "no:cacheprovider", "--timeout", "60")
    seen = run(copied(tmp_path), sys.executable, "-m", "pytest", *flags, *tests)
    assert seen.returncode == 0, seen.stdout
    seeds = sorted({int(how.split()[2]) for how in named if how.startswith("sim ")})
    days = [tell(seed, write(seed, endpoints())) for seed in seeds]
    assert [f"{day.seed}: {day.broken}" for day in days if day.broken] == []
