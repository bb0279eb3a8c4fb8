"""A fake Asterisk: channels, bridges, one app, and the answers and events of the real one.

It takes the real requests of `ari.requests` and gives the real events of `ari.wire`, with the
statuses, orders and traps that were probed on Asterisk 22.10.1 (asterisk-probes.md). One set of
scenarios (tests/e2e/test_fake.py) runs against both and must give the same events.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from ari_app.ari import wire
from ari_app.ari.ids import PREFIX
from ari_app.ari.observe import Observed, SeenChannel
from ari_app.ari.requests import Request

APP = "sharedline"


@dataclass(slots=True)
class Channel:
    """A caller's channel, or a leg (`endpoint` set). `args` are those of its StasisStart."""

    id: str
    state: str
    caller: wire.CallerID = field(default_factory=wire.CallerID)
    args: tuple[str, ...] = ()
    endpoint: str = ""
    in_app: bool = False
    bridge: str = ""
    cause: int = 0  # of its hang-up by the phone: 16 once it was in a bridge
    watched: bool = True  # the application hears of its states and its end


class World(Protocol):
    """Who watches the fake: people and phones, and the invariants."""

    def phone_rings(self, channel: Channel) -> None:
        """A leg was originated; tell its phone."""

    def phone_is_registered(self, endpoint: str) -> bool:
        """Can the endpoint be called?"""

    def joined(self, bridge: str, channels: frozenset[str]) -> None:
        """These are in the bridge now."""

    def caller_continues(self, channel: str, context: str) -> None:
        """A caller went on in the dialplan."""

    def gone(self, channel: str, *, by_us: bool) -> None:
        """A channel ended; `by_us` when a request of ours did it."""


class Asterisk:
    """One Asterisk. `emit` is the app's socket; None while nobody is connected."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, list[str]] = {}
        self.emit: Callable[[wire.WireEvent], None] | None = None

    # --- what people and phones do ---

    def caller_dials(self, channel: Channel) -> bool:
        """A caller enters Stasis; False if no controller is there (STASISSTATUS=FAILED)."""
        if self.emit is None:
            return False
        self.channels[channel.id] = channel
        self._enters(channel)
        return True

    def phone_rang(self, id_: str) -> None:
        """The phone answers 180."""
        if (channel := self.channels.get(id_)) is not None and channel.state == "Down":
            self._becomes(channel, "Ringing")

    def phone_answered(self, id_: str) -> None:
        """The phone picks up; a leg that no controller can take is hung up."""
        channel = self.channels.get(id_)
        if channel is None or channel.state == "Up":
            return
        if self.emit is None:
            self._end(channel, cause=0, by_us=False)
            return
        self._becomes(channel, "Up")
        self._enters(channel)

    def phone_refused(self, id_: str, cause: int, sip: int) -> None:
        """The phone answers with a failure."""
        channel = self.channels.get(id_)
        if channel is not None and channel.state != "Up":
            self._end(channel, cause=cause, sip=sip, by_us=False)

    def hangs_up(self, id_: str) -> None:
        """The caller, or the person at the phone, hangs up."""
        if (channel := self.channels.get(id_)) is not None:
            self._end(channel, cause=channel.cause, by_us=False)

    def phone_changed(self, endpoint: str) -> None:
        """A phone registered or went away, or its call rang or ended."""
        calls = [channel for channel in self.channels.values() if channel.endpoint == endpoint]
        there = bool(calls) or self._world.phone_is_registered(endpoint)
        state = "NOT_INUSE" if there else "UNAVAILABLE"
        if any(channel.state != "Down" for channel in calls):
            state = "BUSY"
        device = wire.DeviceState(endpoint, state)
        self._tell(wire.DeviceStateChanged(application=APP, device_state=device))

    def crashes(self) -> None:
        """Asterisk is killed and started again: nothing is left, and no event says so."""
        self.channels.clear()
        self.bridges.clear()

    def observe(self) -> Observed:
        """GET /applications, /channels and /bridges."""
        return Observed(
            {
                channel.id: _observed(channel)
                for channel in self.channels.values()
                if channel.in_app or channel.id.startswith(PREFIX)
            },
            {bridge: frozenset(members) for bridge, members in self.bridges.items()},
        )

    # --- requests ---

    def carry_out(self, request: Request) -> int:
        """Do what is asked; the HTTP status."""
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        query = dict(request.query)
        match request.method, parts:
            case "POST", ["channels"]:
                return self._originate(query)
            case "DELETE", ["channels", id_]:
                return self._hang_up(id_, query["reason"])
            case "POST", ["channels", id_, "ring" | "answer" | "continue" | "variable" as action]:
                return self._on_caller(id_, action, query)
            case "POST", ["bridges"]:
                return self._make_bridge(query["bridgeId"])
            case "DELETE", ["bridges", id_]:
                return self._delete_bridge(id_)
            case "POST", ["bridges", id_, "addChannel"]:
                return self._join(id_, query["channel"].split(","))
            case "GET", ["channels", id_]:
                return 200 if id_ in self.channels else 404
            case _:
                raise NotImplementedError(f"{request.method} {request.path}")

    def _originate(self, query: dict[str, str]) -> int:
        id_, endpoint = query["channelId"], query["endpoint"]
        if id_ in self.channels:
            return 409
        if not self._world.phone_is_registered(endpoint):
            return 500
        caller, args = _caller_id(query["callerId"]), (query["appArgs"],)
        channel = Channel(id_, "Down", caller, args, endpoint, watched=self._app_lives())
        self.channels[id_] = channel
        self._world.phone_rings(channel)
        return 200

    def _hang_up(self, id_: str, reason: str) -> int:
        channel = self.channels.get(id_)
        if channel is None:
            return 404
        cause = {"answered_elsewhere": 26, "no_answer": 19}.get(reason, 16)
        self._end(channel, cause=cause, sip=480 if cause == 19 else 0, by_us=True)
        return 204

    def _on_caller(self, id_: str, action: str, query: dict[str, str]) -> int:
        channel = self.channels.get(id_)
        if channel is None:
            return 404
        if not channel.in_app:
            return 409
        if action == "answer" and channel.state != "Up":
            self._becomes(channel, "Up")
        if action == "continue":
            self._leave_bridge(channel)
            channel.in_app = False
            self._tell(wire.StasisEnd(application=APP, channel=_seen(channel)))
            self._world.caller_continues(id_, query["context"])
        return 204

    def _make_bridge(self, id_: str) -> int:
        if id_ in self.bridges:
            return 409
        self.bridges[id_] = []
        return 200

    def _delete_bridge(self, id_: str) -> int:
        members = self.bridges.pop(id_, None)
        if members is None:
            return 404
        for member in members:
            self.channels[member].bridge = ""
        return 204

    def _join(self, id_: str, wanted: list[str]) -> int:
        if id_ not in self.bridges:
            return 404
        if any(each not in self.channels for each in wanted):
            return 400
        if any(not self.channels[each].in_app for each in wanted):
            return 422
        for each in wanted:
            channel = self.channels[each]
            self._leave_bridge(channel)
            channel.bridge, channel.cause = id_, 16
            self.bridges[id_].append(each)
            self._tell(
                wire.ChannelEnteredBridge(
                    application=APP, bridge=wire.Bridge(id_), channel=_seen(channel)
                )
            )
        self._world.joined(id_, frozenset(self.bridges[id_]))
        return 204

    # --- inside ---

    def _app_lives(self) -> bool:
        """Without a socket the application lives as long as a channel of its own."""
        return self.emit is not None or any(map(_is_mine, self.channels.values()))

    def _becomes(self, channel: Channel, state: str) -> None:
        channel.state = state
        if channel.watched:
            self._tell(wire.ChannelStateChange(application=APP, channel=_seen(channel)))
        if channel.endpoint:
            self.phone_changed(channel.endpoint)

    def _enters(self, channel: Channel) -> None:
        channel.in_app = True
        args = list(channel.args)
        self._tell(wire.StasisStart(application=APP, args=args, channel=_seen(channel)))

    def _leave_bridge(self, channel: Channel) -> None:
        if channel.bridge:
            self.bridges[channel.bridge].remove(channel.id)
            channel.bridge = ""

    def _end(self, channel: Channel, *, cause: int, by_us: bool, sip: int = 0) -> None:
        self._leave_bridge(channel)
        del self.channels[channel.id]
        if channel.in_app:
            self._tell(wire.StasisEnd(application=APP, channel=_seen(channel)))
        # An inbound channel gives no ChannelDestroyed after its StasisEnd.
        if channel.endpoint and channel.watched:
            self._tell(
                wire.ChannelDestroyed(
                    application=APP, cause=cause, tech_cause=sip, channel=_seen(channel)
                )
            )
        if channel.endpoint:
            self.phone_changed(channel.endpoint)
        self._world.gone(channel.id, by_us=by_us)

    def _tell(self, event: wire.WireEvent) -> None:
        if self.emit is not None:
            self.emit(event)


def _seen(channel: Channel) -> wire.Channel:
    return wire.Channel(channel.id, channel.state, channel.caller)


def _is_mine(channel: Channel) -> bool:
    """An originated leg is the application's from its first moment, if there was one."""
    return channel.in_app or (bool(channel.endpoint) and channel.watched)


def _observed(channel: Channel) -> SeenChannel:
    args = channel.args if channel.in_app else ()
    return SeenChannel(channel.id, channel.state, _is_mine(channel), channel.caller, args)


def _caller_id(text: str) -> wire.CallerID:
    name, _, number = text.rpartition(" ")
    return wire.CallerID(name.strip('"'), number.strip("<>"))
