"""A look at Asterisk takes a moment, and who leaves in that moment is no new caller."""

from ari_app.ari import wire
from ari_app.ari.observe import Observed, SeenChannel
from ari_app.ari.translate import Translator
from ari_app.ari.wire import CallerID
from ari_app.runtime import recover


def test_a_caller_who_left_while_we_looked_is_not_a_second_call():
    """Seen with a websocket that was cut during a talk (tests/e2e/test_recovery.py, half built).

    /applications listed the channel, then its StasisEnd came by the socket, and then the list
    was read: a phantom call rang the agents, or went to the fallback and into the history.
    """
    callers = {"c.1": 1}
    translator = Translator("team", lambda number, _: f"+{number}", lambda: 8, callers)
    args = ("in", "4930", "DE")
    observed = Observed({"c.1": SeenChannel("c.1", "Up", True, CallerID("Eve", "4917"), args)}, {})
    gone = wire.StasisEnd(application="team", channel=wire.Channel("c.1", "Up"))
    assert translator.translate(gone, 2) is not None
    assert recover.adopt(observed, translator, "team", 3, left={"c.1"}) == []
    assert callers == {}
