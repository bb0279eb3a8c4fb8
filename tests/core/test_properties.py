"""Whatever happens, in whatever order: the promises that hold for every sequence of events."""

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import booleans, data, sampled_from

from ari_app.core.call import Ended, is_over, live_legs, wake_at
from ari_app.core.commands import HangUpCaller, LeaveTo, Ring
from ari_app.core.events import (
    CallerLeft,
    CommandDone,
    CommandFailed,
    JoinedTalk,
    LegAnswered,
    LegDigit,
    LegEnd,
    LegEnded,
    LegRang,
)
from ari_app.core.plan import Strategy
from ari_app.runtime.happenings import Answered
from tests.stories import NUMBER, Story, plan, with_number

SECOND = "+493054321"


class AnyWorld(RuleBasedStateMachine):
    """Callers, phones and Asterisk do what they like; also what they never should."""

    def __init__(self):
        super().__init__()
        first = plan("ann", "bob", "cat", devices={"ann": 2}, confirm=("cat",))
        second = plan("bob", "cat", "dan", strategy=Strategy.IN_ORDER)
        self.story = Story(first, with_number(second, SECOND))

    def _calls(self):
        return range(1, self.story._calls_made + 1)

    def _legs(self):
        return [s.command.leg for s in self.story.sent if isinstance(s.command, Ring)]

    @rule(number=sampled_from([NUMBER, SECOND, "+4999"]))
    def a_caller_dials(self, number):
        if len(self.story.live.calls) < 5:
            self.story.caller_dials(number)

    @precondition(lambda self: self.story._calls_made)
    @rule(data=data())
    def a_caller_hangs_up(self, data):
        self.story.happens(CallerLeft(self.story.at, data.draw(sampled_from(self._calls()))))

    @precondition(lambda self: self._legs())
    @rule(data=data(), end=sampled_from(LegEnd))
    def a_leg_does_something(self, data, end):
        leg = data.draw(sampled_from(self._legs()))
        at = self.story.at
        deeds = [
            LegRang(at, leg.call, leg),
            LegAnswered(at, leg.call, leg),
            LegDigit(at, leg.call, leg, "1"),
            LegEnded(at, leg.call, leg, end),
            JoinedTalk(at, leg.call, leg),
            JoinedTalk(at, leg.call, None),
        ]
        self.story.happens(data.draw(sampled_from(deeds)))

    @precondition(lambda self: self.story.live.unanswered)
    @rule(data=data(), good=booleans(), flag=booleans())
    def asterisk_answers(self, data, good, flag):
        id_, command = data.draw(sampled_from(sorted(self.story.live.unanswered.items())))
        at = self.story.at
        event = (
            CommandDone(at, command.call, command, gone=flag)
            if good
            else CommandFailed(at, command.call, command, unknown=flag, why="x")
        )
        self.story.happens(Answered(id_, event))

    @rule(seconds=sampled_from([0.5, 3, 5, 20, 60]))
    def time_passes(self, seconds):
        self.story.after_s(seconds)

    @invariant()
    def no_agent_is_in_two_calls(self):
        held = {}
        for call in self.story.live.calls.values():
            agents = {leg.agent for leg in live_legs(call)} | {c.agent for c in call.closing}
            for agent in agents:
                assert held.setdefault(agent, call.id) == call.id

    @invariant()
    def exactly_the_agents_with_legs_are_reserved(self):
        for agent in self.story.live.agents.values():
            holders = [
                call.id
                for call in self.story.live.calls.values()
                if agent.id in {leg.agent for leg in live_legs(call)}
                or agent.id in {closing.agent for closing in call.closing}
            ]
            assert holders == ([] if agent.reserved_by is None else [agent.reserved_by])

    @invariant()
    def nobody_waits_for_ever(self):
        """Every call that is not talking has a deadline, or waits for a leg's end that has one."""
        for call in self.story.live.calls.values():
            at = wake_at(call)
            is_next_round = call.retry_at is not None and at == call.retry_at
            assert at is None or at > self.story.at or is_next_round
            assert at is not None or type(call.place).__name__ == "Talking"

    def teardown(self):
        """When phones and callers go away, everything ends and everybody is free."""
        story = self.story
        for leg in self._legs():
            story.happens(LegEnded(story.at, leg.call, leg, LegEnd.HUNG_UP))
        for call in self._calls():
            story.happens(CallerLeft(story.at, call))
        for leg in self._legs():
            story.happens(LegEnded(story.at, leg.call, leg, LegEnd.HUNG_UP))
        assert story.live.calls == {}
        assert story.busy() == []
        for call in story.over.values():
            assert is_over(call)
            assert isinstance(call.place, Ended)
        told = {s.command.call for s in story.sent if isinstance(s.command, LeaveTo)}
        hung_up = {s.command.call for s in story.sent if isinstance(s.command, HangUpCaller)}
        assert told & hung_up == set(), "who is sent to the fallback is not hung up on"


AnyWorld.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyWorld = AnyWorld.TestCase
