"""What may happen between us and an Asterisk, told once for the real one and for the fake.

Contract: `SCENARIOS` is a name and its steps, each a method of fake_story.Story and its arguments.
tests/e2e/test_fake.py plays them on both; statuses are compared exactly, and events step by step.

Asterisk (22.10.1) does not guarantee, and so nothing here compares:
- whether an event comes before or after the answer to the request that causes it;
- the order of events of different channels within a step, and of a phone's state beside them. One
  is kept, and compared: addChannel of two lets them enter in the order asked for (60 of 60);
- 23/302 or 0/0 as the causes of a leg whose phone sent a 302 (fake_story.cause);
- how often a phone's same state is said (test_fake.Hears).
"""

from collections.abc import Iterator

from ari_app.core.commands import HangUpReason

REFUSALS = (486, 600, 603, 480, 408, 404, 488, 500, 503, 302)
STAGES = {
    "dialled": "rings ann",
    "ringing": "rings ann, phone_rang ann",
    "answered": "rings ann, phone_rang ann, phone_answered ann",
}

TOLD = """
# callers
a caller arrives and gives up:
    caller_dials, looks, rings_back, rings_back, guards, guards 0, caller_hangs_up
    looks
two callers:
    caller_dials, caller_dials second, looks, caller_hangs_up, looks, caller_hangs_up second
an answered caller hangs up:
    caller_dials, answers, answers, rings_back, looks, caller_hangs_up
a caller is hung up unanswered:
    caller_dials caller, hangs_up caller NORMAL, caller_dials second
    hangs_up second ELSEWHERE, caller_dials third, hangs_up third NO_ANSWER
a caller is hung up answered:
    caller_dials caller, answers caller, hangs_up caller NORMAL, caller_dials second
    answers second, hangs_up second ELSEWHERE, caller_dials third, answers third
    hangs_up third NO_ANSWER
a waiting caller goes on in the dialplan:
    caller_dials, rings_back, leaves, looks, rings_back, guards, answers, leaves
    caller_hangs_up
a caller who went on is hung up by us:
    caller_dials, leaves, hangs_up caller, looks
a gone caller:
    caller_dials, caller_hangs_up, rings_back, guards, answers, leaves, hangs_up caller
a caller hangs up while phones ring:
    caller_dials, rings ann, phone_rang ann, caller_hangs_up, looks, hangs_up ann
# phones
a phone rings and answers:
    rings ann, looks, phone_rang ann, phone_rang ann, looks, phone_answered ann, looks
    phone_hangs_up ann, looks
a phone answers without ringing:
    rings ann, phone_answered ann, hangs_up ann
nobody answers in time:
    rings ann 1, phone_rang ann, phone_timed_out ann
a phone says nothing at all:
    rings ann 1, phone_timed_out ann
a phone that is not registered:
    rings away, looks, rings ann, rings ann, rings away, phone_rang ann, hangs_up ann
a phone goes and comes:
    phone_goes ann, rings ann, phone_comes ann, phone_comes ann, rings ann, phone_goes ann
    looks, phone_answered ann, phone_comes ann, cuts, phone_goes ann, phone_comes ann
    connects, phone_goes ann
the same leg twice:
    rings ann, rings ann, phone_rang ann, phone_answered ann, rings ann, hangs_up ann
    hangs_up ann
two phones answer:
    rings ann, rings bob, phone_rang bob, phone_rang ann, phone_answered ann
    phone_answered bob, looks, hangs_up bob ELSEWHERE, phone_hangs_up ann
# talks
the caller ends the talk:
    talks, looks, caller_hangs_up, looks, hangs_up ann, looks, ends_talk, ends_talk, looks
the agent ends the talk:
    talks, phone_hangs_up ann, looks, ends_talk, looks, leaves, looks, caller_hangs_up
a loser is cancelled before the talk:
    caller_dials, rings ann, rings bob, phone_rang ann, phone_rang bob, phone_answered bob
    hangs_up ann ELSEWHERE, answers, makes_talk, joins bob, hangs_up caller, hangs_up bob
    ends_talk
we end the talk:
    talks, ends_talk, looks, phone_hangs_up ann, hangs_up caller
an unanswered caller is joined:
    caller_dials, rings ann, phone_answered ann, makes_talk, joins ann, looks, answers
    caller_hangs_up
every request of a talk is repeated:
    talks, rings_back, answers, makes_talk, joins ann, looks
the caller in a talk goes on in the dialplan:
    talks, leaves, looks, joins ann, looks, hangs_up ann, ends_talk
a talk without a bridge:
    caller_dials, rings ann, phone_answered ann, joins ann, ends_talk, looks
a talk with a gone leg:
    caller_dials, rings ann, phone_answered ann, answers, makes_talk, phone_hangs_up ann
    joins ann, looks, ends_talk
a talk with a gone caller:
    caller_dials, rings ann, phone_answered ann, answers, makes_talk, caller_hangs_up
    joins ann, looks, hangs_up ann, ends_talk
a talk with a leg that still rings:
    caller_dials, rings ann, phone_rang ann, answers, makes_talk, joins ann, looks
    phone_answered ann, joins ann
a third joins and the first leaves:
    talks, rings bob, phone_answered bob, joins bob, looks, phone_hangs_up ann, looks
# the socket is closed for a while
a new caller while the socket is closed:
    caller_dials, cuts, caller_dials second, connects, looks, caller_hangs_up
    caller_hangs_up second
a new caller when nothing of ours lived:
    cuts, caller_dials, looks, connects, looks, caller_dials second
a ringing leg survives and answers:
    caller_dials, rings ann, phone_rang ann, cuts, connects, looks, phone_answered ann
a leg survives alone and refuses:
    rings ann, cuts, phone_rang ann, connects, looks, phone_refused ann 486, looks
a leg answers while the socket is closed:
    caller_dials, rings ann, phone_rang ann, cuts, phone_answered ann, connects, looks
all hang up while the socket is closed:
    talks, caller_dials second, rings bob, cuts, caller_hangs_up, caller_hangs_up second
    phone_refused bob 486, connects, looks, cuts, phone_hangs_up ann, connects, looks
    ends_talk
a talk survives:
    talks, cuts, connects, looks, phone_hangs_up ann, caller_hangs_up, ends_talk
requests while the socket is closed:
    caller_dials, rings ann, phone_answered ann, cuts, answers, makes_talk, joins ann
    rings bob, connects, looks, phone_rang bob, phone_refused bob 486, leaves, hangs_up ann
    ends_talk
a leg that is rung while nothing of ours lives:
    cuts, rings ann, connects, looks, phone_rang ann, phone_answered ann, phone_hangs_up ann
    looks
a leg that is rung after the last caller left:
    caller_dials, cuts, caller_hangs_up, rings ann, connects, looks, hangs_up ann, looks
a leg that is rung while only a bridge lives:
    makes_talk, cuts, rings ann, connects, looks, phone_rang ann, phone_refused ann 486
    ends_talk
a leg that is rung while only a leg lives:
    rings ann, cuts, rings bob, connects, phone_rang bob, hangs_up bob
    phone_refused ann 486
a leg that is rung while only an unwatched leg lives:
    cuts, rings ann, rings bob, connects, phone_answered ann, cuts, connects, looks
    hangs_up ann, hangs_up bob, looks
a caller leaves while the socket is closed:
    caller_dials, cuts, leaves, connects, looks, caller_hangs_up
asterisk dies:
    talks, rings bob, asterisk_dies, looks, hangs_up ann, ends_talk, joins ann
"""


def written() -> Iterator[tuple[str, str]]:
    """Each name and its steps as text."""
    name = ""
    for line in filter(None, TOLD.splitlines()):
        if not line.startswith((" ", "#")):
            name = line.rstrip(":")
        elif line.startswith(" "):
            yield name, line
    for sip in REFUSALS:
        yield f"a phone sends {sip}", f"rings ann, phone_refused ann {sip}, looks"
        after = f"rings ann, phone_rang ann, phone_refused ann {sip}, looks"
        yield f"a phone sends {sip} after its 180", after
    for reason in HangUpReason:
        for stage, steps in STAGES.items():
            hangs_up = f"hangs_up ann {reason.name}, looks, hangs_up ann {reason.name}"
            yield f"a leg is hung up {stage}, {reason}", f"{steps}, {hangs_up}"


SCENARIOS: dict[str, list[list[str]]] = {}
for each, deeds in written():
    SCENARIOS.setdefault(each, []).extend(deed.split() for deed in deeds.split(","))
