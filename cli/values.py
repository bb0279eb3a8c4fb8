"""What may be typed: click parameter types that check, normalise and complete one value each.

Contract: what passes here is safe to store, print and hand to the dialplan; what doesn't is a
usage error of one line (exit code 2) that says what to write instead. Lengths in characters.
"""

import re
from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from ari_app import e164, endpoints
from ari_app.settings import load_settings
from ari_app.store import config
from cli import database

MAX_NAME = 64
MAX_EMAIL = 254
_EXIT = re.compile(r"[A-Za-z0-9_*#+-]{1,79}@[A-Za-z0-9_*#+-]{1,79}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class Value(click.ParamType[str]):
    """A type whose check raises ValueError with the line to show."""

    def __init__(
        self,
        name: str,
        check: Callable[[str], str],
        complete: Callable[[], list[tuple[str, str]]] = list,
    ) -> None:
        self.name = name
        self._check = check
        self._complete = complete

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The value as it is stored."""
        try:
            return self._check(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """What the database offers; nothing when it can't be read."""
        try:
            known = self._complete()
        except Exception:  # noqa: BLE001 - a traceback into somebody's half-typed command is worse
            return []
        return [CompletionItem(v, help=h) for v, h in known if v.startswith(incomplete)]


def shown(text: str, limit: int = 80) -> str:
    """Outside text for a message: one short line without control characters."""
    return repr(text[:limit] + "…" if len(text) > limit else text)


def _number(text: str) -> str:
    return e164.to_e164(text, load_settings().region)


def _name(text: str) -> str:
    name = _label(text)
    if not name or "@" in name:
        raise ValueError(f"{shown(text)} is not a name: write 1 to {MAX_NAME} characters without @")
    return name


def _label(text: str) -> str:
    label = text.strip()
    if len(label) > MAX_NAME or not label.isprintable():
        raise ValueError(f"{shown(text)} is not one line of at most {MAX_NAME} characters")
    return label


def _email(text: str) -> str:
    email = text.strip().lower()
    if email and not (_EMAIL.fullmatch(email) and email.isprintable() and len(email) <= MAX_EMAIL):
        raise ValueError(f"{shown(text)} is not an e-mail address: write name@example.com")
    return email


def _who(text: str) -> str:
    return _email(text) if "@" in text else _name(text)


def _fallback(text: str) -> str:
    kind, _, target = text.partition(":")
    if text == config.ANNOUNCE:
        return text
    if kind == "number":
        return f"number:{_number(target)}"
    if kind == "extension" and _EXIT.fullmatch(target):
        return text
    raise ValueError(
        f"{shown(text)} is not a fallback: write announce, number:+15551234567"
        " or extension:EXTEN@CONTEXT (letters, digits and _ * # + -)"
    )


def _numbers() -> list[tuple[str, str]]:
    with config.reading(database.glanced()) as db:
        return [(row.number, row.label) for row in config.list_numbers(db)]


def _agents() -> list[tuple[str, str]]:
    with config.reading(database.glanced()) as db:
        return [(row.name, row.email or "") for row in config.list_agents(db)]


def _endpoints() -> list[tuple[str, str]]:
    with config.reading(database.glanced()) as db:
        people = config.list_agents(db)
    return [(device.endpoint, who.name) for who in people for device in who.devices]


NEW_NUMBER = Value("number", _number)
NUMBER = Value("number", _number, _numbers)
NEW_NAME = Value("name", _name)
AGENT = Value("agent", _who, _agents)
LABEL = Value("label", _label)
EMAIL = Value("e-mail", _email)
FALLBACK = Value("fallback", _fallback)
NEW_ENDPOINT = Value("endpoint", endpoints.checked)
ENDPOINT = Value("endpoint", endpoints.checked, _endpoints)
