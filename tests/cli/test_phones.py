"""`agents add --phone`: a name, a password that nobody keeps, and the wait for the controller."""

import re
import threading

import pytest

from ari_app import endpoints
from ari_app.store import config
from ari_app.store import engine as database
from ari_app.store.plans import UNWANTED, WANTED, Phone
from ari_app.store.store import Store
from ari_app.store.tables import DEVICE
from cli import phones

PASSWORD = re.compile(r"[a-km-np-z2-9]{5}(-[a-km-np-z2-9]{5}){3}")
NO_CONTROLLER = "no controller is running: the phone will exist as soon as `sharedline serve` runs"


def rows(engine):
    with config.reading(engine) as db:
        return {row.endpoint: row for row in db.execute(DEVICE.select())}


class Controller:
    """Holds the lease as the real one does, and does to each wanted phone what it is told."""

    def __init__(self, engine, problem=None):
        self._engine, self._problem = engine, problem
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._lease = database.lease(self._engine)
        self._lease.__enter__()
        self._thread.start()

    def __exit__(self, *error):
        self._stopped.set()
        self._thread.join()
        self._lease.__exit__(None, None, None)

    def _run(self):
        store = Store(self._engine, "sharedline")
        while not self._stopped.wait(0.05):
            wanted = [row for row in rows(self._engine).values() if row.state == WANTED]
            for row in wanted if self._problem is not None else ():
                phone = Phone(row.id, row.endpoint, row.digest, row.state)
                store.phone_made(phone, self._problem)
        store.close()


def test_what_to_type_into_the_phone(shell, engine):
    server = {"SHAREDLINE_SIP_SERVER": "pbx.example.com"}
    said = shell.lines("agents", "add", "ann", "--phone", env=server)
    password = said[4].split()[1]
    assert said == [
        "ann (PJSIP/ann) is an agent on 0 numbers",
        "Type this into the phone of ann; the password is not shown again:",
        "  server     pbx.example.com",
        "  user       ann",
        f"  password   {password}",
        "  transport  UDP",
        NO_CONTROLLER,
    ]
    assert PASSWORD.fullmatch(password)
    row = rows(engine)["PJSIP/ann"]
    assert (row.digest, row.state) == (endpoints.digest("ann", password), WANTED)
    kept = b"".join(path.read_bytes() for path in shell.path.parent.iterdir())
    assert password.encode() not in kept


def test_without_a_server_in_the_settings_the_hint_names_it(shell):
    assert "SHAREDLINE_SIP_SERVER is not set" in shell.ok("agents", "add", "ann", "--phone")


def test_every_password_is_another():
    assert len({phones.password() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("ann", "ann"),
        ("Änne O'Neil", "anne-o-neil"),
        ("  --x--  ", "x"),
        ("李", "phone"),
        ("&PJSIP/bob", "pjsip-bob"),
        ("a" * 64, "a" * 40),
        ("[bold]", "bold"),
    ],
)
def test_the_name_of_an_endpoint_comes_from_the_agent_s(name, slug):
    assert phones.slug(name) == slug
    assert endpoints.checked(f"PJSIP/{slug}-10000") == f"PJSIP/{slug}-10000"


def test_names_of_endpoints_are_unique(shell):
    shell.ok("agents", "add", "Ann", "--endpoint", "PJSIP/ann")
    shell.ok("agents", "set", "Ann", "--add-phone")
    shell.ok("agents", "add", "ann", "--phone")
    shown = {row["name"]: row["devices"] for row in shell.json("agents", "list")}
    names = {who: [device["endpoint"] for device in shown[who]] for who in shown}
    assert names == {"Ann": ["PJSIP/ann", "PJSIP/ann-2"], "ann": ["PJSIP/ann-3"]}


def test_the_controller_makes_it(shell, engine):
    with Controller(engine, problem=""):
        said = shell.lines("agents", "add", "ann", "--phone")
    assert said[-1] == "PJSIP/ann exists in Asterisk: the phone can register now"


def test_asterisk_refuses_it(shell, engine):
    with Controller(engine, problem="Asterisk answers 403\nto \x1b[31m"):
        result = shell.run("agents", "add", "ann", "--phone")
    expected = "sharedline: PJSIP/ann could not be made: Asterisk answers 403\\nto \\x1b[31m\n"
    assert (result.exit_code, result.stderr) == (1, expected)
    shown = shell.ok("agents", "show", "ann")
    assert "failed: Asterisk answers 403\\nto \\x1b[31m" in shown


def test_the_controller_does_not_get_to_it(shell, engine, monkeypatch):
    monkeypatch.setattr(phones, "MADE_WITHIN_S", 0.2)
    with Controller(engine):
        result = shell.run("agents", "add", "ann", "--phone")
    expected = (
        "sharedline: PJSIP/ann is not made yet: the controller does it when it reaches Asterisk,"
        " see `sharedline doctor`\n"
    )
    assert (result.exit_code, result.stderr) == (1, expected)


def test_a_new_password(shell, engine):
    shell.ok("agents", "add", "ann", "--phone")
    before = rows(engine)["PJSIP/ann"].digest
    with Controller(engine, problem=""):
        said = shell.lines("agents", "set", "ann", "--new-password", "PJSIP/ann")
    password = said[4].split()[1]
    digest = rows(engine)["PJSIP/ann"].digest
    assert digest == endpoints.digest("ann", password) != before
    assert said[-1] == "PJSIP/ann exists in Asterisk: the phone can register now"


def test_a_new_password_for_a_phone_that_is_not_ours(shell):
    shell.ok("agents", "add", "bob", "--endpoint", "PJSIP/bob")
    expected = "PJSIP/bob was not made by sharedline: its password is in pjsip.conf"
    assert shell.refused("agents", "set", "bob", "--new-password", "PJSIP/bob") == expected


def test_a_phone_given_up_is_deleted_by_the_controller(shell, engine):
    shell.ok("agents", "add", "ann", "--phone", "--endpoint", "PJSIP/desk")
    shell.ok(
        "agents", "set", "ann", "--remove-device", "PJSIP/ann", "--remove-device", "PJSIP/desk"
    )
    assert {name: row.state for name, row in rows(engine).items()} == {"PJSIP/ann": UNWANTED}
    assert shell.json("agents", "show", "ann")["devices"] == []
    expected = "PJSIP/ann is still being removed: try again when `serve` has done it"
    assert shell.refused("agents", "add", "bob", "--endpoint", "PJSIP/ann") == expected
    assert [row["name"] for row in shell.json("agents", "list")] == ["ann"]
