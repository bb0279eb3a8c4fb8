"""Which of the members that could be rung are rung now (design.md section 5)."""

from collections.abc import Sequence

from ari_app.core.call import Call, misses_of
from ari_app.core.plan import Member, Strategy


def chosen(strategy: Strategy, free: Sequence[Member], call: Call) -> tuple[Member, ...]:
    """The members to offer the call to, out of those that are free for it."""
    if strategy is Strategy.IN_ORDER:
        return (min(free, key=lambda member: _in_order(member, call)),)
    return tuple(free)


def _in_order(member: Member, call: Call) -> tuple[int, int, int]:
    """Who missed the call comes after those who did not; ties by position, then id."""
    return (misses_of(call, member.agent), member.position, member.agent)
