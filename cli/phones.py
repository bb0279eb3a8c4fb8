"""Phones that we make ourselves: their names, passwords, and what to type into them.

Contract: a password is printed once and never stored; the database holds its digest. The wait for
the controller is bounded (MADE_WITHIN_S) and only looks at the database.
"""

import re
import secrets
import time
import unicodedata
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from ari_app import endpoints
from ari_app.settings import Settings
from ari_app.store import config
from ari_app.store import engine as store
from ari_app.store.config import AgentRow, DeviceRow
from ari_app.store.plans import FAILED, READY
from cli import screen

MADE_WITHIN_S = 5.0
LOOK_EVERY_S = 0.1
MAX_SLUG = 40
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # what can't be mistaken for another when typed
_GROUPS, _GROUP = 4, 5  # 20 letters of 32: 100 bits


@dataclass(frozen=True, slots=True)
class NewPhone:
    """What a person types into a phone. Not kept anywhere."""

    endpoint: str
    password: str

    @property
    def user(self) -> str:
        """The name that the phone registers with."""
        return self.endpoint.removeprefix("PJSIP/")


def slug(name: str) -> str:
    """A person's name as the name of an endpoint: "Änne O'Neil" is "anne-o-neil"."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", letters)[:MAX_SLUG].strip("-") or "phone"


def password() -> str:
    """Four groups of five letters and digits, easy to type and impossible to guess."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def add(db: Connection, agent: AgentRow) -> NewPhone:
    """One more phone for the agent, which the controller is to make."""
    phone = NewPhone(config.free_endpoint(db, slug(agent.name)), password())
    config.add_device(db, agent, phone.endpoint, endpoints.digest(phone.user, phone.password))
    return phone


def change_password(db: Connection, agent: AgentRow, endpoint: str) -> NewPhone:
    """A new password for a phone that we made."""
    phone = NewPhone(endpoint, password())
    config.set_digest(db, agent, endpoint, endpoints.digest(phone.user, phone.password))
    return phone


def tell(settings: Settings, agent: AgentRow, phone: NewPhone) -> None:
    """Print what to type into the phone."""
    server = settings.sip_server or "your Asterisk's address (SHAREDLINE_SIP_SERVER is not set)"
    screen.say(f"Type this into the phone of {agent.name}; the password is not shown again:")
    pairs = (
        ("  server", server),
        ("  user", phone.user),
        ("  password", phone.password),
        ("  transport", "UDP"),
    )
    screen.sheet(pairs)


def wait_for(engine: Engine, who: str, phones: list[NewPhone]) -> None:
    """Print what the controller made of the phones. Raises StoreError if it failed."""
    if not store.controller_runs(engine):
        screen.say(
            "no controller is running: the phone will exist as soon as `sharedline serve` runs"
        )
        return
    until = time.monotonic() + MADE_WITHIN_S
    for phone in phones:
        _wait_for_one(engine, who, phone, until)


def _wait_for_one(engine: Engine, who: str, phone: NewPhone, until: float) -> None:
    device = _device(engine, who, phone)
    while device.state not in {READY, FAILED} and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
        device = _device(engine, who, phone)
    if device.state == READY:
        screen.say(f"{phone.endpoint} exists in Asterisk: the phone can register now")
    elif device.state == FAILED:
        raise store.StoreError(f"{phone.endpoint} could not be made: {device.problem}")
    else:
        raise store.StoreError(
            f"{phone.endpoint} is not made yet: the controller does it when it reaches Asterisk,"
            " see `sharedline doctor`"
        )


def _device(engine: Engine, who: str, phone: NewPhone) -> DeviceRow:
    with config.reading(engine) as db:
        devices = config.find_agent(db, who).devices
    for device in devices:
        if device.endpoint == phone.endpoint:
            return device
    raise store.StoreError(f"{phone.endpoint} was removed meanwhile")
