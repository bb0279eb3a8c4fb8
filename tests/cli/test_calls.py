"""`sharedline calls`: what is shown of calls, whoever the callers say they are."""

import json

import pytest
from sqlalchemy import insert

from ari_app.store import config
from ari_app.store.tables import ATTEMPT, CALL, JOURNAL

AT = 1_767_323_045_000_000  # 2026-01-02T03:04:05Z
SALES, SUPPORT = "+493012345", "+493067890"
HOSTILE = "[red]\x1b]0;owned\x07\u202eevil\n"


@pytest.fixture
def history(shell, engine):
    """Three calls to ann: one over, one to another number, and one that lives."""
    shell.ok("agents", "add", "ann", "--endpoint", "PJSIP/ann")
    with config.changing(engine) as db:
        ann = config.find_agent(db, "ann").id
        talked = {"agent_id": ann, "answered_at": AT + 2_000_000, "ended_at": AT + 65_000_000}
        over = {"place": "Ended", "live": False}
        db.execute(insert(CALL).values(a_call(1) | over | talked | {"outcome": "answered"}))
        lost = {"outcome": "abandoned", "number": SUPPORT, "ended_at": AT + 9_000_000}
        db.execute(insert(CALL).values(a_call(2) | over | lost | {"caller_number": ""}))
        db.execute(insert(CALL).values(a_call(3) | {"caller_name": HOSTILE}))
        attempt = {"call_id": 1, "agent_id": ann, "round": 1, "outcome": "answered"}
        db.execute(
            insert(ATTEMPT).values(attempt | {"since_at": AT + 1, "ended_at": AT + 2_000_000})
        )
        db.execute(
            insert(JOURNAL).values(a_step("CallArrived", "", "Waiting", '[{"type":"Ring"}]'))
        )
        db.execute(
            insert(JOURNAL).values(a_step("LegRang", "Ringing", "Ringing") | {"ignored": "late"})
        )
    return shell


def a_call(id_):
    return {
        "id": id_, "number": SALES, "caller_number": "+4917", "caller_name": "", "channel": "c",
        "place": "Waiting", "outcome": None, "agent_id": None, "arrived_at": AT + id_,
        "answered_at": None, "ended_at": None, "live": True, "plan_version": 1, "body": "{}",
        "version": 1, "shard": "sharedline", "epoch": 1, "node": "",
    }  # fmt: skip


def a_step(event, before, after, commands="[]"):
    moved = {"event": event, "before": before, "after": after, "ignored": ""}
    return moved | {"call_id": 1, "at": AT + 500_000, "body": '{"type":"x"}', "commands": commands}


def test_no_calls_yet(shell):
    assert shell.json("calls", "list") == []
    assert shell.lines("calls", "list") == ["id  arrived  number  caller  state  agent  talked s"]


def test_the_newest_first(history):
    assert [call["id"] for call in history.json("calls", "list")] == [3, 2, 1]
    assert [call["id"] for call in history.json("calls", "list", "--limit", "1")] == [3]


def test_of_one_number_and_those_that_live(history):
    number = history.json("calls", "list", "--number", "030 67890")
    assert [call["id"] for call in number] == [2]
    assert [call["id"] for call in history.json("calls", "list", "--live")] == [3]


def test_a_call_for_programs(history):
    assert history.json("calls", "list", "--number", SALES)[1] == {
        "id": 1,
        "number": SALES,
        "caller_number": "+4917",
        "caller_name": "",
        "place": "Ended",
        "outcome": "answered",
        "agent": "ann",
        "live": False,
        "arrived_at": "2026-01-02T03:04:05.000001+00:00",
        "answered_at": "2026-01-02T03:04:07.000000+00:00",
        "ended_at": "2026-01-02T03:05:10.000000+00:00",
    }


def test_a_call_for_people(history):
    _, live, lost, talked = history.lines("calls", "list", env={"TZ": "UTC"})
    assert live.split()[-1] == "Waiting"
    assert "[red]\\x1b]0;owned\\x07\\u202eevil\\n +4917" in live
    assert lost.split()[3:] == [SUPPORT, "anonymous", "abandoned"]
    assert talked.split()[3:] == [SALES, "+4917", "answered", "ann", "63"]


def test_hostile_callers_reach_no_terminal(history):
    for words in (("calls", "list"), ("calls", "show", "3")):
        for extra in ((), ("--json",)):
            printed = history.ok(*words, *extra)
            assert all(line.isprintable() for line in printed.splitlines())
    assert history.json("calls", "show", "3")["caller_name"] == HOSTILE


def test_one_call_with_its_attempts_and_steps(history):
    shown = history.json("calls", "show", "1")
    assert shown["attempts"] == [
        {
            "round": 1,
            "agent": "ann",
            "outcome": "answered",
            "since_at": "2026-01-02T03:04:05.000001+00:00",
            "ended_at": "2026-01-02T03:04:07.000000+00:00",
        }
    ]
    assert shown["steps"][0] == {
        "at": "2026-01-02T03:04:05.500000+00:00",
        "event": "CallArrived",
        "before": "",
        "after": "Waiting",
        "ignored": "",
        "event_body": {"type": "x"},
        "commands": [{"type": "Ring"}],
    }
    lines = [line.split() for line in history.lines("calls", "show", "1")]
    assert ["1", "ann", "+0.000", "2", "answered"] in lines
    assert ["waited", "s", "2"] in lines
    assert ["talked", "s", "63"] in lines
    assert ["+0.500", "CallArrived", "->", "Waiting", "Ring"] in lines
    assert ["+0.500", "LegRang", "Ringing", "ignored:", "late"] in lines


def test_why_each_phone_rang_or_did_not(history, engine):
    verdicts = [
        {"agent": 1, "name": "ann", "says": "free"},
        {"agent": 2, "name": HOSTILE, "says": "in a call"},
    ]
    body = json.dumps({"type": "Offered", "verdicts": verdicts})
    with config.changing(engine) as db:
        db.execute(insert(JOURNAL).values(a_step("Offered", "Waiting", "Ringing") | {"body": body}))
    printed = history.ok("calls", "show", "1")
    assert "ann: free, [red]\\x1b" in printed
    assert all(line.isprintable() for line in printed.splitlines())


def test_a_removed_agent_keeps_the_name_in_the_history(history):
    history.ok("agents", "remove", "ann", "--yes")
    assert history.json("calls", "show", "1")["agent"] == "ann"
    assert history.json("calls", "show", "1")["attempts"][0]["agent"] == "ann"


def test_a_call_that_never_was(shell):
    assert shell.refused("calls", "show", "7") == "there is no call 7: see `sharedline calls list`"


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--limit", "0"),
        ("list", "--limit", "1001"),
        ("list", "--number", "sales"),
        ("show", "x"),
        ("show", "0"),
        ("show", str(2**64)),
    ],
    ids=" ".join,
)
def test_what_can_not_be_asked_for(shell, words):
    assert f"(see `sharedline calls {words[0]} --help`)" in shell.refused("calls", *words, code=2)
