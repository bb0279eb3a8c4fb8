"""What no simulated day shows, since Asterisk would never tell it: gaps that mutants found."""

from ari_app.core.call import Connecting, Talking
from tests.stories import Story, plan


def test_another_leg_in_the_bridge_is_not_the_agent():
    story = Story(plan("ann", "bob"))
    story.caller_dials()
    story.rings("ann", "bob")
    story.answers("ann")
    story.enters_talk(None)
    story.enters_talk("bob")
    assert isinstance(story.call().place, Connecting)
    story.enters_talk("ann")
    assert isinstance(story.call().place, Talking)
