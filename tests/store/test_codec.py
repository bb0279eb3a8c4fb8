"""What is written is what is read, for any call and command."""

import msgspec
import pytest
from hypothesis import given
from hypothesis.strategies import builds, from_type, one_of

from ari_app.core.call import Call, Connecting, Ended, Leaving, Ringing, Talking, Waiting
from ari_app.core.commands import Command
from ari_app.core.events import CommandDone, CommandFailed, Event
from ari_app.store import codec
from tests.stories import plan

PLACES = [from_type(kind) for kind in (Waiting, Ringing, Connecting, Talking, Leaving, Ended)]


@given(builds(Call, place=one_of(PLACES)))
def test_any_call(call):
    assert codec.load_call(codec.dump_call(call)) == call


@given(from_type(Command))
def test_any_command(command):
    assert codec.load_command(codec.dump_command(command)) == command


@given(from_type(Event))
def test_any_event_is_written_with_its_type(event):
    body = msgspec.json.decode(codec.dump_event(event))
    assert body["type"] == type(event).__name__
    if isinstance(event, CommandDone | CommandFailed):
        assert body["command"]["type"] == type(event.command).__name__


def test_a_plan():
    known = plan("ann", "bob", devices={"ann": 2})
    assert codec.load_plan(codec.dump_plan(known)) == known


def test_a_call_of_another_schema_is_refused():
    text = codec.dump_call(Call(1, "+49", "c", "", "", 0, 0, Waiting(), 1))
    with pytest.raises(ValueError, match="unknown schema"):
        codec.load_call(text.replace('"schema":1', '"schema":2'))
