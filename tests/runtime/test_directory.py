"""Settings by the keys that routing asks for."""

from ari_app.core.plan import UNKNOWN_NUMBER
from ari_app.runtime.directory import Directory
from ari_app.store.plans import Config
from tests.stories import plan, with_number

A, B, C, D = "+493011111", "+493022222", "+493033333", "+493044444"


def directory(*plans):
    found = Directory("DE", {})
    found.learn(Config({each.number: each for each in plans}, frozenset({1, 2, 3, 4}), ()))
    return found


def test_numbers_that_share_agents_are_kin_also_through_others():
    known = directory(
        with_number(plan("ann"), A),
        with_number(plan("bob"), B),
        with_number(plan("ann", "bob"), C),
        with_number(plan("dan"), D),
    )
    assert known.kin(A) == known.kin(B) == known.kin(C) == {A, B, C}
    assert known.kin(D) == {D}
    assert known.kin("+4999") == {"+4999"}


def test_a_number_is_found_however_it_is_written():
    known = directory(with_number(plan("ann"), A))
    for dialled in (A, "03011111", "004930 11111", "493011111"):
        assert known.resolve(dialled, "DE") == A
    assert known.resolve("555", "") == "555"


def test_a_stranger_s_number_has_the_plan_of_no_number():
    assert directory().newest("+4999") is UNKNOWN_NUMBER


def test_whose_phone_and_which_numbers():
    known = directory(with_number(plan("ann"), A), with_number(plan("ann"), B))
    assert known.agent_of("PJSIP/ann-1") == 1
    assert known.agent_of("PJSIP/nobody") is None
    assert known.numbers_of(1) == {A, B}
    assert known.numbers_of(9) == frozenset()
