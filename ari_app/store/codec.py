"""Core state to JSON text and back. msgspec does the work; unions get a "type" key.

`SCHEMA` is raised with an upgrade function when a stored shape changes.
"""

from dataclasses import fields, make_dataclass
from typing import Any, get_args, get_type_hints

import msgspec

from ari_app.core.call import Call, Place
from ari_app.core.commands import Command
from ari_app.core.events import Event
from ari_app.core.plan import Plan

SCHEMA = 1
_PLACES = {cls.__name__: cls for cls in get_args(Place)}
_COMMANDS = {cls.__name__: cls for cls in get_args(Command)}
_HINTS = get_type_hints(Call)
# A call without its place: msgspec can't tell the dataclasses of a union apart, so that we do it.
_Head: Any = make_dataclass(
    "_Head", [(field.name, _HINTS[field.name]) for field in fields(Call) if field.name != "place"]
)


def dump_call(call: Call) -> str:
    """The call as JSON."""
    body = msgspec.to_builtins(call)
    body["place"] = _tagged(call.place)
    return _text({"schema": SCHEMA} | body)


def load_call(text: str) -> Call:
    """The call from `dump_call`'s JSON. Raises ValueError for anything else."""
    body = msgspec.json.decode(text)
    if body.pop("schema", None) != SCHEMA:
        raise ValueError("a call of an unknown schema")
    place = body.pop("place")
    head = msgspec.convert(body, _Head)
    return Call(place=_untagged(place, _PLACES), **vars(head))


def dump_command(command: Command) -> str:
    """The command as JSON."""
    return _text(_tagged(command))


def load_command(text: str) -> Command:
    """The command from `dump_command`'s JSON. Raises ValueError for anything else."""
    command: Command = _untagged(msgspec.json.decode(text), _COMMANDS)
    return command


def dump_event(event: Event) -> str:
    """The event as JSON, for the journal."""
    body = _tagged(event)
    if "command" in body:
        body["command"] = _tagged(event.command)  # type: ignore[union-attr]
    return _text(body)


def dump_plan(plan: Plan) -> str:
    """The plan as JSON."""
    return _text(msgspec.to_builtins(plan))


def load_plan(text: str) -> Plan:
    """The plan from `dump_plan`'s JSON."""
    return msgspec.json.decode(text, type=Plan)


def _tagged(value: Any) -> Any:
    return {"type": type(value).__name__} | msgspec.to_builtins(value)


def _untagged(body: dict[str, Any], known: dict[str, Any]) -> Any:
    kind = body.pop("type", None)
    if kind not in known:
        raise ValueError(f"an unknown type {kind!r}")
    return msgspec.convert(body, known[kind])


def _text(body: Any) -> str:
    return msgspec.json.encode(body).decode()
