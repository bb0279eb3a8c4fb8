"""Numbers: what is stored, what is said, and what is refused."""

import pytest

SALES, HELP, NIGHT = "+4930123456", "+4930123457", "+4930123458"
FRESH = {
    "number": SALES,
    "label": "",
    "strategy": "ring-all",
    "ring_s": 20,
    "retry_s": 5,
    "max_wait_s": 60,
    "fallback": "announce",
    "members": 0,
}


def test_a_new_number_has_the_settings_of_the_docs(shell):
    said = shell.lines("numbers", "add", SALES)
    assert said == [
        (
            f"{SALES} rings 0 members ring-all, 20 s each, again after 5 s,"
            " for at most 60 s, then announce"
        )
    ]
    assert shell.json("numbers", "list") == [FRESH]


@pytest.mark.parametrize(
    "written", ["030 123456", "030/12 34 56", "+49 (30) 123456", "004930123456"]
)
def test_a_number_may_be_written_as_people_write_it(shell, written):
    shell.lines("numbers", "add", written)
    assert [row["number"] for row in shell.json("numbers", "list")] == [SALES]
    assert shell.json("numbers", "show", written)["number"] == SALES


def test_every_setting_can_be_given(shell):
    given = {
        "label": "Sales",
        "strategy": "in-order",
        "ring_s": 5,
        "retry_s": 60,
        "max_wait_s": 3600,
        "fallback": "extension:*98@vm-box_1",
    }
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    shell.lines("numbers", "add", SALES, *options)
    assert shell.json("numbers", "list") == [FRESH | given]


def test_what_is_not_named_stays(shell):
    shell.lines("numbers", "add", SALES, "--label", "Sales", "--ring-s", "15")
    said = shell.lines("numbers", "set", SALES, "--strategy", "in-order")
    assert said == [
        (
            f"{SALES} (Sales) rings 0 members in-order, 15 s each, again after 5 s,"
            " for at most 60 s, then announce"
        )
    ]
    changed = {"label": "Sales", "ring_s": 15, "strategy": "in-order"}
    assert shell.json("numbers", "list") == [FRESH | changed]


def test_a_label_can_be_taken_away(shell):
    shell.lines("numbers", "add", SALES, "--label", "Sales")
    shell.lines("numbers", "set", SALES, "--label", "")
    assert shell.json("numbers", "list") == [FRESH]


def test_lists_are_sorted_and_plain_without_a_terminal(shell):
    shell.lines("numbers", "add", HELP)
    shell.lines("numbers", "add", SALES, "--label", "Sales")
    assert [line.split() for line in shell.lines("numbers", "list")] == [
        ["number", "label", "strategy", "members", "fallback"],
        [SALES, "Sales", "ring-all", "0", "announce"],
        [HELP, "ring-all", "0", "announce"],
    ]


def test_show_tells_settings_and_members(shell):
    shell.lines("numbers", "add", SALES, "--label", "Sales")
    shell.lines("agents", "add", "ann", "--email", "ann@example.com", "--endpoint", "PJSIP/ann")
    shell.lines("members", "add", SALES, "ann")
    member = {
        "position": 1,
        "agent": "ann",
        "email": "ann@example.com",
        "may_ring": True,
        "may_call_out": True,
        "devices": 1,
    }
    shown = shell.json("numbers", "show", SALES)
    assert shown == FRESH | {"label": "Sales", "members": [member]}
    assert [line.split() for line in shell.lines("numbers", "show", SALES)] == [
        ["number", SALES],
        ["label", "Sales"],
        ["strategy", "ring-all"],
        ["ring_s", "20"],
        ["retry_s", "5"],
        ["max_wait_s", "60"],
        ["fallback", "announce"],
        [],
        ["position", "agent", "e-mail", "rings", "calls", "out", "phones"],
        ["1", "ann", "ann@example.com", "yes", "yes", "1"],
    ]


def test_a_removed_number_is_gone_with_its_memberships(shell):
    shell.lines("numbers", "add", SALES)
    shell.lines("agents", "add", "ann")
    shell.lines("members", "add", SALES, "ann")
    assert shell.lines("numbers", "remove", SALES, "--yes") == [
        f"{SALES} is no longer a shared number"
    ]
    assert shell.json("numbers", "list") == []
    assert shell.json("agents", "show", "ann")["numbers"] == []


def test_removing_asks_and_without_a_terminal_wants_yes(shell):
    shell.lines("numbers", "add", SALES)
    assert shell.refuses("numbers", "remove", SALES) == (
        2,
        (
            "there is no terminal to ask on: add --yes if you are sure"
            " (see `sharedline numbers remove --help`)"
        ),
    )
    assert len(shell.json("numbers", "list")) == 1


# --- fallbacks


def test_the_number_in_a_fallback_is_normalised_too(shell):
    shell.lines("numbers", "add", SALES, "--fallback", "number:030 999999")
    assert shell.json("numbers", "list")[0]["fallback"] == "number:+4930999999"


def test_a_fallback_to_the_number_itself_is_a_loop(shell):
    line = f"the fallback leads back to {SALES} ({SALES} -> {SALES}): choose another"
    assert shell.refuses("numbers", "add", SALES, "--fallback", f"number:{SALES}") == (1, line)
    assert shell.json("numbers", "list") == []


def test_a_loop_through_other_numbers_is_shown_step_by_step(shell):
    shell.lines("numbers", "add", SALES)
    shell.lines("numbers", "add", HELP, "--fallback", f"number:{SALES}")
    shell.lines("numbers", "add", NIGHT, "--fallback", f"number:{HELP}")
    assert shell.refuses("numbers", "set", SALES, "--fallback", f"number:{NIGHT}") == (
        1,
        (
            f"the fallback leads back to {SALES} ({SALES} -> {NIGHT} -> {HELP} -> {SALES}):"
            " choose another"
        ),
    )
    assert shell.json("numbers", "show", SALES)["fallback"] == "announce"


def test_a_loop_that_a_new_number_would_close_is_refused(shell):
    shell.lines(
        "numbers", "add", HELP, "--fallback", f"number:{SALES}"
    )  # not ours yet: dialled out
    code, line = shell.refuses("numbers", "add", SALES, "--fallback", f"number:{HELP}")
    assert (code, line) == (
        1,
        f"the fallback leads back to {SALES} ({SALES} -> {HELP} -> {SALES}): choose another",
    )


def test_other_settings_can_be_changed_under_a_fallback(shell):
    shell.lines("numbers", "add", SALES)
    shell.lines("numbers", "add", HELP, "--fallback", f"number:{SALES}")
    shell.lines("numbers", "set", HELP, "--ring-s", "30")
    assert shell.json("numbers", "show", HELP)["fallback"] == f"number:{SALES}"


def test_the_fallback_of_another_number_is_not_removed_under_it(shell):
    shell.lines("numbers", "add", SALES)
    shell.lines("numbers", "add", HELP, "--fallback", f"number:{SALES}")
    assert shell.refuses("numbers", "remove", SALES, "--yes") == (
        1,
        (
            f"{SALES} is the fallback of {HELP}: first give that another,"
            f" `sharedline numbers set {HELP} --fallback announce`"
        ),
    )


@pytest.mark.parametrize(
    "fallback",
    [
        "voicemail",
        "",
        "announce:",
        "extension:100",
        "extension:@default",
        "extension:100@",
        "extension:100@a@b",
        "extension:100&200@default",
        "extension:${EXTEN}@default",
        "extension:100@default,1",
        "extension:100 @default",
        "extension:100@default\n",
        f"extension:{'1' * 99}@default",
        "number:",
        "number:1",
        "number:+4930123456&PJSIP/ann",
        "number:sales@example.com",
    ],
)
def test_a_fallback_is_one_of_three(shell, fallback):
    code, line = shell.refuses("numbers", "add", HELP, "--fallback", fallback)
    assert code == 2
    assert "Invalid value for '--fallback'" in line
    assert ("write announce, number:" in line) is not fallback.startswith("number:")
    assert shell.json("numbers", "list") == []


# --- what is refused


@pytest.mark.parametrize("text", ["hello", "1", "", "+4930123456&100", "+4930123456x12", "9" * 70])
def test_what_is_no_number(shell, text):
    code, line = shell.refuses("numbers", "add", text)
    assert code == 2
    assert "is not a phone number: write it with country code, as +15551234567" in line


def test_control_characters_in_a_number_are_not_obeyed(shell):
    code, line = shell.refuses("numbers", "add", "\x1b[2J\u202e1")
    assert code == 2
    assert r"\x1b[2J" in line


@pytest.mark.parametrize("command", [("show",), ("set", "--ring-s", "9"), ("remove", "--yes")])
def test_a_number_that_is_not_ours(shell, command):
    assert shell.refuses("numbers", command[0], SALES, *command[1:]) == (
        1,
        f"{SALES} is not one of our numbers: see `sharedline numbers list`",
    )


def test_a_number_twice(shell):
    shell.lines("numbers", "add", SALES)
    assert shell.refuses("numbers", "add", "030 123456") == (
        1,
        f"{SALES} exists already: change it with `sharedline numbers set {SALES}`",
    )


def test_nothing_to_change(shell):
    shell.lines("numbers", "add", SALES)
    assert shell.refuses("numbers", "set", SALES) == (
        2,
        "nothing to change: give at least one option (see `sharedline numbers set --help`)",
    )


@pytest.mark.parametrize(
    ("option", "low", "high"),
    [("--ring-s", 5, 120), ("--retry-s", 1, 60), ("--max-wait-s", 10, 3600)],
)
def test_seconds_have_bounds(shell, option, low, high):
    shell.lines("numbers", "add", SALES, option, str(low))
    shell.lines("numbers", "set", SALES, option, str(high))
    for beyond in (low - 1, high + 1):
        code, line = shell.refuses("numbers", "set", SALES, option, str(beyond))
        assert code == 2
        assert f"{beyond} is not in the range {low}<=x<={high}" in line
    for word in ("soon", "1.5", "9" * 30):
        assert shell.refuses("numbers", "set", SALES, option, word)[0] == 2


def test_a_strategy_that_is_not_built(shell):
    code, line = shell.refuses("numbers", "add", SALES, "--strategy", "round-robin")
    assert code == 2
    assert "'round-robin' is not one of 'ring-all', 'in-order'" in line


@pytest.mark.parametrize("label", ["x" * 65, "two\nlines", "\x1b[31mred", "\u202eright to left"])
def test_a_label_is_one_short_printable_line(shell, label):
    code, line = shell.refuses("numbers", "add", SALES, "--label", label)
    assert code == 2
    assert "is not one line of at most 64 characters" in line


def test_a_label_is_stripped_and_never_markup(shell):
    label = "[red]Sales[/red] " + "é" * 47
    shell.lines("numbers", "add", SALES, "--label", f"  {label} ")
    assert shell.json("numbers", "show", SALES)["label"] == label
    assert label in shell.lines("numbers", "list")[1]
    assert shell.lines("numbers", "show", SALES)[1].endswith(label)
