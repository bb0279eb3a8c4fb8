"""The shortest script that still breaks a promise: items are taken away while it does."""

from ari_app.sim.script import Item
from ari_app.sim.story import Told, tell


def shrink(told: Told, *, sqlite: bool = False) -> Told:
    """The shortest story we can find; `told` must be a broken one."""
    size = max(1, len(told.script) // 2)
    while size:
        shorter = _without(told, size, sqlite=sqlite)
        if shorter is None:
            size //= 2
        else:
            told = shorter
    return told


def _without(told: Told, size: int, *, sqlite: bool) -> Told | None:
    """The story with `size` neighbouring items taken away, if some such story is still broken."""
    for start in range(0, len(told.script), size):
        script: tuple[Item, ...] = told.script[:start] + told.script[start + size :]
        shorter = tell(told.seed, script, sqlite=sqlite)
        if shorter.broken is not None:
            return shorter
    return None
