"""Settings by the keys that routing asks for."""

from ari_app.core.plan import UNKNOWN_NUMBER
from ari_app.runtime.directory import Directory
from ari_app.store.plans import Config
from tests.stories import plan, with_number

A, B = "+493011111", "+493022222"


def directory(*plans):
    found = Directory("DE", {})
    found.learn(Config({each.number: each for each in plans}, frozenset({1, 2, 3, 4}), ()))
    return found


def test_a_number_is_found_however_it_is_written():
    known = directory(with_number(plan("ann"), A))
    for dialled in (A, "03011111", "004930 11111", "493011111"):
        assert known.resolve(dialled, "DE") == A
    assert known.resolve("555", "") == "555"


def test_a_stranger_s_number_has_the_plan_of_no_number():
    assert directory().newest("+4999") is UNKNOWN_NUMBER


def test_whose_phone_it_is():
    known = directory(with_number(plan("ann"), A), with_number(plan("ann"), B))
    assert known.agent_of("PJSIP/ann-1") == 1
    assert known.agent_of("PJSIP/nobody") is None
