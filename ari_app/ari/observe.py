"""What Asterisk holds of ours right now, for recovery.

Contract: reads only. A channel is ours if our application lists it (callers, and legs even while
they ring, whose dialplan does not say Stasis: asterisk-probes.md section 1) or if its id has our
prefix. Call it after `on_up`: what enters from then on arrives as events as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote

import msgspec

from ari_app.ari.client import AriClient
from ari_app.ari.ids import PREFIX
from ari_app.ari.requests import Request
from ari_app.ari.wire import CallerID

T = TypeVar("T")


class ObserveFailed(Exception):
    """Asterisk could not be asked, or its answer not be read; nothing is known. One line."""


@dataclass(frozen=True, slots=True)
class SeenChannel:
    """One channel; `in_app`: our Stasis application holds it. `args` as in its StasisStart."""

    id: str
    state: str
    in_app: bool
    caller: CallerID = field(default_factory=CallerID)
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """All channels and bridges of ours, by id; a bridge with the ids of the channels in it."""

    channels: Mapping[str, SeenChannel]
    bridges: Mapping[str, frozenset[str]]


class _Application(msgspec.Struct):
    channel_ids: list[str]


class _Dialplan(msgspec.Struct, frozen=True):
    app_data: str = ""


class _Channel(msgspec.Struct):
    id: str
    state: str
    caller: CallerID = CallerID()
    dialplan: _Dialplan = _Dialplan()


class _Bridge(msgspec.Struct):
    id: str
    channels: list[str]


async def observe(client: AriClient, app: str) -> Observed:
    """Ask Asterisk. Raises ObserveFailed when it does not answer."""
    path = f"/applications/{quote(app, safe='')}"
    # The application first: who enters after it is in an event, who left before is in neither.
    known = await _get(client, path, _Application, absent=_Application([]))
    channels = await _get(client, "/channels", list[_Channel])
    bridges = await _get(client, "/bridges", list[_Bridge])
    in_app = frozenset(known.channel_ids)
    return Observed(
        channels={
            seen.id: SeenChannel(
                seen.id, seen.state, seen.id in in_app, seen.caller, _args(seen.dialplan)
            )
            for seen in channels
            if seen.id in in_app or seen.id.startswith(PREFIX)
        },
        bridges={
            seen.id: frozenset(seen.channels) for seen in bridges if seen.id.startswith(PREFIX)
        },
    )


def _args(dialplan: _Dialplan) -> tuple[str, ...]:
    """What followed the application's name in `Stasis(app,in,number,region)`."""
    return tuple(dialplan.app_data.split(",")[1:])


async def _get(client: AriClient, path: str, kind: type[T], absent: T | None = None) -> T:
    reply = await client.send(Request("GET", path))
    if reply.status == HTTPStatus.NOT_FOUND and absent is not None:
        return absent
    if reply.status != HTTPStatus.OK:
        raise ObserveFailed(f"GET {path}: {reply.status} {reply.body[:200]!r}")
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.MsgspecError as fault:
        raise ObserveFailed(f"GET {path}: {fault}") from None
