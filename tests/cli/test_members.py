"""Members: places, order, and what a member may do."""

import pytest

SALES, HELP = "+4930123456", "+4930123457"


@pytest.fixture
def team(shell):
    """One number, and four agents, of whom cat has no phone."""
    shell.ok("numbers", "add", SALES)
    for name in ("ann", "bob", "dan"):
        email, endpoint = f"{name}@example.com", f"PJSIP/{name}"
        shell.ok("agents", "add", name, "--email", email, "--endpoint", endpoint)
    shell.ok("agents", "add", "cat")
    return shell


def order(shell, number=SALES):
    return [(row["position"], row["agent"]) for row in shell.json("members", "list", number)]


def add(shell, *names):
    for name in names:
        shell.ok("members", "add", SALES, name)


def test_a_new_member_comes_last_and_the_line_says_where(team):
    add(team, "ann", "bob")
    said = team.lines("members", "add", SALES, "dan@example.com")
    assert said == [f"dan (PJSIP/dan) is member 3 of {SALES}"]
    assert order(team) == [(1, "ann"), (2, "bob"), (3, "dan")]


def test_a_member_without_a_phone_is_said_to_have_none(team):
    assert team.lines("members", "add", SALES, "cat") == [
        f"cat (no phone yet) is member 1 of {SALES}"
    ]


def test_what_a_program_reads(team):
    team.ok("members", "add", SALES, "ann", "--no-ring")
    team.ok("members", "add", SALES, "cat", "--no-call-out")
    ann = {
        "number": SALES,
        "position": 1,
        "agent": "ann",
        "email": "ann@example.com",
        "may_ring": False,
        "may_call_out": True,
        "devices": 1,
    }
    cat = ann | {"position": 2, "agent": "cat", "email": None, "devices": 0}
    expected = [ann, cat | {"may_ring": True, "may_call_out": False}]
    assert expected == team.json("members", "list", SALES)


def test_what_a_person_reads(team):
    team.ok("members", "add", SALES, "ann", "--no-ring")
    assert [line.split() for line in team.lines("members", "list", SALES)] == [
        ["position", "agent", "e-mail", "rings", "calls", "out", "phones"],
        ["1", "ann", "ann@example.com", "no", "yes", "1"],
    ]


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (1, ["dan", "ann", "bob"]),
        (2, ["ann", "dan", "bob"]),
        (3, ["ann", "bob", "dan"]),
        (100, ["ann", "bob", "dan"]),
    ],
)
def test_a_place_can_be_chosen(team, position, expected):
    add(team, "ann", "bob")
    team.ok("members", "add", SALES, "dan", "--position", str(position))
    assert order(team) == list(enumerate(expected, 1))


@pytest.mark.parametrize(
    ("name", "position", "expected"),
    [
        ("ann", 3, ["bob", "dan", "ann"]),
        ("ann", 2, ["bob", "ann", "dan"]),
        ("dan", 1, ["dan", "ann", "bob"]),
        ("bob", 2, ["ann", "bob", "dan"]),
    ],
)
def test_a_place_can_be_changed(team, name, position, expected):
    add(team, "ann", "bob", "dan")
    team.ok("members", "add", SALES, name, "--position", str(position))
    assert order(team) == list(enumerate(expected, 1))


def test_a_member_keeps_what_is_not_named(team):
    team.ok("members", "add", SALES, "ann", "--no-ring", "--no-call-out")
    add(team, "bob")
    said = team.lines("members", "add", SALES, "ann", "--position", "2")
    assert said == [f"ann (PJSIP/ann) is member 2 of {SALES}, not rung, may not call out"]
    said = team.lines("members", "add", SALES, "ann", "--may-ring")
    assert said == [f"ann (PJSIP/ann) is member 2 of {SALES}, may not call out"]


def test_the_others_move_up(team):
    add(team, "ann", "bob", "dan")
    said = team.lines("members", "remove", SALES, "ann@example.com")
    assert said == [f"ann is no longer a member of {SALES}"]
    assert order(team) == [(1, "bob"), (2, "dan")]


def test_the_others_move_up_on_every_number_of_a_removed_agent(team):
    team.ok("numbers", "add", HELP)
    add(team, "ann", "bob")
    for name in ("bob", "ann", "dan"):
        team.ok("members", "add", HELP, name)
    team.ok("agents", "remove", "ann", "--yes")
    assert order(team) == [(1, "bob")]
    assert order(team, HELP) == [(1, "bob"), (2, "dan")]


def test_an_agent_shows_all_numbers(team):
    team.ok("numbers", "add", HELP)
    add(team, "ann")
    team.ok("members", "add", HELP, "ann")
    assert team.json("agents", "show", "ann")["numbers"] == [SALES, HELP]


# --- what is refused


@pytest.mark.parametrize("command", ["add", "remove"])
def test_an_agent_who_is_not_there(team, command):
    expected = (1, "there is no agent eve: see `sharedline agents list`")
    assert expected == team.refuses("members", command, SALES, "eve")


@pytest.mark.parametrize("words", [("add", HELP, "ann"), ("remove", HELP, "ann"), ("list", HELP)])
def test_a_number_that_is_not_ours(team, words):
    expected = (1, f"{HELP} is not one of our numbers: see `sharedline numbers list`")
    assert expected == team.refuses("members", *words)


@pytest.mark.parametrize("words", [("add", "x", "ann"), ("remove", "x", "ann"), ("list", "x")])
def test_what_is_no_number(team, words):
    code, line = team.refuses("members", *words)
    assert code == 2
    assert "'x' is not a phone number" in line


def test_somebody_who_is_no_member(team):
    expected = (1, f"ann is no member of {SALES}: see `sharedline members list`")
    assert expected == team.refuses("members", "remove", SALES, "ann")


@pytest.mark.parametrize("position", ["0", "-1", "101", "first", "1.5"])
def test_what_is_no_position(team, position):
    code, line = team.refuses("members", "add", SALES, "ann", "--position", position)
    assert code == 2
    assert "Invalid value for '--position'" in line
    assert order(team) == []


def test_a_removed_agent_is_nobody(team):
    team.ok("agents", "remove", "ann", "--yes")
    expected = (1, "there is no agent ann: see `sharedline agents list`")
    assert expected == team.refuses("members", "add", SALES, "ann")
