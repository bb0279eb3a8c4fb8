"""Calls that the dialplan's fallback handled, put into the history exactly once.

Contract: inside the owner's transaction. A call is known by its channel's id: the first telling of
an unknown one makes an ended call; a call that we had ourselves (given back to the dialplan, or
left there when we died) gets the outcome, once it is over. Telling it again changes nothing.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ari_app.store.tables import CALL, DEVICE, JOURNAL

EVENT = "Fallback"  # its name in the journal


class Ending(StrEnum):
    """How the dialplan's fallback ended, as the call's outcome."""

    ANSWERED = "answered by the fallback"
    MESSAGE = "message"
    MISSED = "missed"
    UNKNOWN = "unknown"  # Asterisk died before the call's end was written


@dataclass(frozen=True, slots=True)
class FallbackCall:
    """One call of the fallback. Instants in microseconds UTC; `call` is its id if it is new."""

    call: int
    channel: str
    number: str
    caller_number: str
    caller_name: str
    ending: Ending
    endpoint: str  # the phone that answered, or ""
    message: str  # the file that holds the message, or ""
    arrived_at: int
    answered_at: int | None
    ended_at: int


def keep(connection: Connection, owner: dict[str, Any], told: FallbackCall) -> bool:
    """Write it down; False if its call still lives with us: tell it again later."""
    query = select(CALL.c.id, CALL.c.live).where(CALL.c.channel == told.channel)
    known = connection.execute(query.order_by(CALL.c.id.desc()).limit(1)).first()
    if known is None:
        connection.execute(insert(CALL).values(**_row(connection, told), **owner))
        _note(connection, told.call, told)
        return True
    if known.live:
        return False
    if not _is_noted(connection, known.id, told):
        change = update(CALL).where(CALL.c.id == known.id)
        connection.execute(change.values(_outcome(connection, told)))
        _note(connection, known.id, told)
    return True


def _row(connection: Connection, told: FallbackCall) -> dict[str, Any]:
    return {
        "id": told.call,
        "number": told.number,
        "caller_number": told.caller_number,
        "caller_name": told.caller_name,
        "channel": told.channel,
        "place": "Ended",
        "arrived_at": told.arrived_at,
        "live": False,
        "plan_version": None,
        "body": "",  # the core never had it
        "version": 1,
    } | _outcome(connection, told)


def _outcome(connection: Connection, told: FallbackCall) -> dict[str, Any]:
    who = select(DEVICE.c.agent_id).where(DEVICE.c.endpoint == told.endpoint)
    return {
        "outcome": told.ending,
        "agent_id": connection.execute(who).scalar(),
        "answered_at": told.answered_at,
        "ended_at": told.ended_at,
    }


def _is_noted(connection: Connection, call: int, told: FallbackCall) -> bool:
    noted = select(JOURNAL.c.id).where(
        JOURNAL.c.call_id == call, JOURNAL.c.event == EVENT, JOURNAL.c.body == _body(told)
    )
    return connection.execute(noted).first() is not None


def _note(connection: Connection, call: int, told: FallbackCall) -> None:
    line = {"call_id": call, "at": told.ended_at, "event": EVENT, "before": "", "after": "Ended"}
    connection.execute(insert(JOURNAL).values(**line, body=_body(told), commands="[]", ignored=""))


def _body(told: FallbackCall) -> str:
    """The same for each telling: without the id, which is a new one each time."""
    return json.dumps({key: value for key, value in asdict(told).items() if key != "call"})
