"""docs/states.md is what the code says, and its diagram has every way a call can take."""

from ari_app.runtime.turn import Turn
from tests.core.test_properties import AnyWorld
from tools import states


def test_the_page_is_what_the_code_says():
    written = states.PAGE.read_text(encoding="utf-8")
    assert written == states.page(), "run `make docs`"


def test_the_diagram_has_every_way_that_random_worlds_take(monkeypatch):
    taken = set()
    apply = Turn.apply

    def watched(turn):
        taken.update((record.before, record.after) for record in turn.batch().records)
        return apply(turn)

    monkeypatch.setattr(Turn, "apply", watched)
    AnyWorld.TestCase("runTest").runTest()
    drawn = {(start, end) for start, end, _ in states.EDGES}
    moves = {(before or "[*]", after) for before, after in taken if before != after}
    assert moves <= drawn
