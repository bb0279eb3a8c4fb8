"""Agents: names, e-mail addresses and the phones they have. What we make is in test_phones.py."""

import pytest
from sqlalchemy import select

from ari_app.store.tables import AGENT, DEVICE

SALES = "+4930123456"
ANN = {"name": "ann", "email": None, "devices": [], "numbers": []}


def device(endpoint, *, managed=False, state="ready", problem=""):
    return {"endpoint": endpoint, "managed": managed, "state": state, "problem": problem}


def rows(engine, table):
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


# --- people


def test_a_person_without_a_phone(shell):
    assert shell.lines("agents", "add", "ann") == ["ann (no phone yet) is an agent on 0 numbers"]
    assert shell.json("agents", "list") == [ANN]
    assert shell.json("agents", "show", "ann") == ANN


def test_an_agent_is_known_by_name_and_by_email(shell):
    shell.ok("agents", "add", "ann", "--email", " Ann@Example.COM")
    expected = ANN | {"email": "ann@example.com"}
    assert [expected, expected] == [
        shell.json("agents", "show", who) for who in ("ann", "ANN@example.com")
    ]


def test_phones_that_exist_already(shell):
    said = shell.lines(
        "agents", "add", "ann", "--endpoint", "PJSIP/ann", "--endpoint", "PJSIP/ann_soft.2"
    )
    assert said == ["ann (PJSIP/ann, PJSIP/ann_soft.2) is an agent on 0 numbers"]
    expected = [device("PJSIP/ann"), device("PJSIP/ann_soft.2")]
    assert expected == shell.json("agents", "show", "ann")["devices"]


def test_list_and_show_for_people(shell):
    shell.ok("agents", "add", "bob", "--endpoint", "PJSIP/bob")
    shell.ok("agents", "add", "ann", "--email", "ann@example.com")
    shell.ok("numbers", "add", SALES)
    shell.ok("members", "add", SALES, "bob")
    assert [line.split() for line in shell.lines("agents", "list")] == [
        ["name", "e-mail", "phones", "numbers"],
        ["ann", "ann@example.com", "no", "phone", "yet"],
        ["bob", "PJSIP/bob", SALES],
    ]
    assert [line.split() for line in shell.lines("agents", "show", "bob")] == [
        ["name", "bob"],
        ["e-mail"],
        ["numbers", SALES],
        [],
        ["phone", "made", "by", "state"],
        ["PJSIP/bob", "you", "ready"],
    ]


def test_a_name_can_be_changed_and_the_email_taken_away(shell):
    shell.ok("agents", "add", "ann", "--email", "ann@example.com", "--endpoint", "PJSIP/ann")
    said = shell.lines("agents", "set", "ann@example.com", "--name", "Ann B.", "--email", "")
    assert said == ["Ann B. (PJSIP/ann) is an agent on 0 numbers"]
    expected = ANN | {"name": "Ann B.", "devices": [device("PJSIP/ann")]}
    assert [expected] == shell.json("agents", "list")


def test_an_agent_keeps_the_own_name_and_email(shell):
    shell.ok("agents", "add", "ann", "--email", "ann@example.com")
    shell.ok("agents", "set", "ann", "--name", "ann", "--email", "ann@example.com")
    assert shell.json("agents", "list") == [ANN | {"email": "ann@example.com"}]


def test_a_removed_agent_is_gone_but_for_the_history(shell, engine):
    shell.ok("numbers", "add", SALES)
    shell.ok("agents", "add", "ann", "--email", "ann@example.com", "--endpoint", "PJSIP/ann")
    shell.ok("members", "add", SALES, "ann")
    assert shell.lines("agents", "remove", "ann", "--yes") == ["ann is no longer an agent"]
    assert shell.json("agents", "list") == []
    assert shell.json("members", "list", SALES) == []
    expected = [{"id": 1, "name": "ann", "email": "ann@example.com", "removed": True}]
    assert expected == rows(engine, AGENT)
    assert rows(engine, DEVICE) == []


def test_a_name_email_and_endpoint_are_free_again_after_removal(shell, engine):
    words = ("agents", "add", "ann", "--email", "ann@example.com", "--endpoint", "PJSIP/ann")
    shell.ok(*words)
    shell.ok("agents", "remove", "ann", "--yes")
    shell.ok(*words)
    assert [(row["id"], row["removed"]) for row in rows(engine, AGENT)] == [(1, True), (2, False)]


def test_removing_wants_yes_without_a_terminal(shell):
    shell.ok("agents", "add", "ann")
    assert shell.refuses("agents", "remove", "ann") == (
        2,
        (
            "there is no terminal to ask on: add --yes if you are sure"
            " (see `sharedline agents remove --help`)"
        ),
    )
    assert shell.json("agents", "list") == [ANN]


# --- what is refused


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ann",), "there is an agent with the name ann already: choose another"),
        (
            ("bob", "--email", "ANN@example.com"),
            "there is an agent with the email ann@example.com already: choose another",
        ),
        (
            ("bob", "--endpoint", "PJSIP/ann"),
            "PJSIP/ann belongs to ann: an endpoint has one agent",
        ),
    ],
)
def test_twins(shell, words, expected):
    shell.ok("agents", "add", "ann", "--email", "ann@example.com", "--endpoint", "PJSIP/ann")
    assert (1, expected) == shell.refuses("agents", "add", *words)
    assert len(shell.json("agents", "list")) == 1  # of a refused command nothing stays


def test_an_agent_can_not_take_the_name_of_another(shell):
    shell.ok("agents", "add", "ann")
    shell.ok("agents", "add", "bob")
    expected = (1, "there is an agent with the name ann already: choose another")
    assert expected == shell.refuses("agents", "set", "bob", "--name", "ann")


@pytest.mark.parametrize(
    "command", [("show",), ("set", "--name", "x"), ("set", "--add-phone"), ("remove", "--yes")]
)
@pytest.mark.parametrize("who", ["ann", "ann@example.com"])
def test_somebody_who_is_not_there(shell, command, who):
    expected = (1, f"there is no agent {who}: see `sharedline agents list`")
    assert expected == shell.refuses("agents", command[0], who, *command[1:])


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 65, "a@b", "two\nlines", "\x1b]0;owned\x07", "\u202enna", "a\x00b"]
)
def test_what_is_no_name(shell, name):
    code, line = shell.refuses("agents", "add", name)
    assert code == 2
    assert "Invalid value for 'NAME'" in line
    assert shell.json("agents", "list") == []


@pytest.mark.parametrize(
    "name", ["[red]evil[/red]", "[link=http://x]y", ":smile:", "É" * 64, "a'b"]
)
def test_a_name_is_never_markup(shell, name):
    assert shell.lines("agents", "add", name) == [f"{name} (no phone yet) is an agent on 0 numbers"]
    assert shell.lines("agents", "list")[1].startswith(name)
    assert shell.lines("agents", "show", name)[0].endswith(name)
    assert shell.json("agents", "list") == [ANN | {"name": name}]


@pytest.mark.parametrize(
    "email", ["ann@", "@example.com", "a b@c", "a@b@c", f"{'x' * 254}@y", "ann"]
)
def test_what_is_no_email(shell, email):
    code, line = shell.refuses("agents", "add", "ann", "--email", email)
    assert code == 2
    assert "is not an e-mail address: write name@example.com" in line


@pytest.mark.parametrize(
    "endpoint",
    [
        "ann",
        "SIP/ann",
        "PJSIP/",
        "PJSIP/ann&PJSIP/bob",
        "PJSIP/ann/sip:evil@example.com",
        "PJSIP/100@trunk",
        "PJSIP/an n",
        "PJSIP/ann\n",
        "PJSIP/${X}",
        "PJSIP/-ann",
        "PJSIP/änn",
        f"PJSIP/{'a' * 51}",
        "",
    ],
)
def test_what_is_no_endpoint(shell, endpoint):
    shell.ok("agents", "add", "bob")
    for words in (("add", "ann", "--endpoint"), ("set", "bob", "--add-endpoint")):
        code, line = shell.refuses("agents", *words, endpoint)
        assert code == 2
        assert "is not an endpoint: write PJSIP/NAME, NAME of letters, digits and . _ -" in line
    assert shell.json("agents", "list") == [ANN | {"name": "bob"}]


def test_nothing_to_change(shell):
    shell.ok("agents", "add", "ann")
    expected = (
        2,
        "nothing to change: give at least one option (see `sharedline agents set --help`)",
    )
    assert expected == shell.refuses("agents", "set", "ann")


def test_ten_phones_are_enough(shell):
    many = [word for n in range(10) for word in ("--endpoint", f"PJSIP/ann{n}")]
    shell.ok("agents", "add", "ann", *many)
    expected = (1, "there are 10 devices already, the most that are supported")
    assert expected == shell.refuses("agents", "set", "ann", "--add-phone")


# --- phones: test_phones.py has those that we make


def test_removing_an_agent_leaves_the_phone_for_the_controller_to_delete(shell, engine):
    shell.ok("agents", "add", "ann", "--phone", "--endpoint", "PJSIP/desk")
    shell.ok("agents", "remove", "ann", "--yes")
    expected = [("PJSIP/ann", "unwanted")]
    assert expected == [(row["endpoint"], row["state"]) for row in rows(engine, DEVICE)]


def test_a_phone_given_up_is_out_of_sight_and_its_name_not_yet_free(shell):
    shell.ok("agents", "add", "ann", "--phone")
    shell.ok("agents", "set", "ann", "--remove-device", "PJSIP/ann")
    assert shell.json("agents", "list") == [ANN]
    shell.ok("agents", "set", "ann", "--add-phone")
    assert shell.json("agents", "list")[0]["devices"][0]["endpoint"] == "PJSIP/ann-2"
    expected = (1, "PJSIP/ann is still being removed: try again when `serve` has done it")
    assert expected == shell.refuses("agents", "set", "ann", "--add-endpoint", "PJSIP/ann")


@pytest.mark.parametrize("option", ["--remove-device", "--new-password"])
@pytest.mark.parametrize("endpoint", ["PJSIP/nobody", "PJSIP/bob"])
def test_a_phone_of_nobody_or_of_another(shell, option, endpoint):
    shell.ok("agents", "add", "ann")
    shell.ok("agents", "add", "bob", "--endpoint", "PJSIP/bob")
    expected = (1, f"ann has no {endpoint}: see `sharedline agents list`")
    assert expected == shell.refuses("agents", "set", "ann", option, endpoint)


def test_set_does_all_or_nothing(shell):
    shell.ok("agents", "add", "ann", "--endpoint", "PJSIP/ann")
    words = ("--name", "eve", "--remove-device", "PJSIP/ann", "--new-password", "PJSIP/nobody")
    assert shell.refuses("agents", "set", "ann", *words)[0] == 1
    assert shell.json("agents", "list") == [ANN | {"devices": [device("PJSIP/ann")]}]
