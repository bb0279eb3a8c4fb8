"""Requests that no call sends: subscriptions, global variables, and phones pushed over ARI.

Contract: pure; every value is checked here, because Asterisk stores a wrong one with 200 and may
then hide all pushed endpoints (asterisk-probes.md, surprise 5). ValueError says what is wrong.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from ari_app.ari import clean
from ari_app.ari.requests import Request
from ari_app.endpoints import REALM

MAX_VALUE: Final = 4000  # Asterisk expands variables into buffers of 4,096 bytes

# Events that reach every application and that we don't read. Only types are named that we know:
# a newer Asterisk's are decoded as unknown and counted.
NOISE: Final = (
    "ChannelCallerId",
    "ChannelConnectedLine",
    "ChannelCreated",
    "ChannelDialplan",
    "ChannelHangupRequest",
    "ChannelHold",
    "ChannelLeftBridge",
    "ChannelTalkingFinished",
    "ChannelTalkingStarted",
    "ChannelUnhold",
    "ChannelVarset",
    "BridgeCreated",
    "BridgeDestroyed",
    "BridgeMerged",
    "Dial",
)
WATCHED_AT_ONCE: Final = 500  # Asterisk reads bodies of 40,960 bytes at most

_VARIABLE = re.compile(r"[A-Za-z0-9_]{1,80}")
_HA1 = re.compile(r"[0-9a-f]{32}")
_DYNAMIC = "/asterisk/config/dynamic/res_pjsip"
_GONE: Final = frozenset({404})

# Equal to the templates [agent] and [agent-aor] of asterisk-conf/pjsip.conf (checked by tests).
AGENT_ENDPOINT: Final = {
    "context": "from-agents",
    "disallow": "all",
    "allow": "ulaw,alaw",
    "direct_media": "no",
    "allow_transfer": "no",
    "device_state_busy_at": "1",
    "rtp_symmetric": "yes",
    "force_rport": "yes",
    "rewrite_contact": "yes",
}
AGENT_AOR: Final = {"max_contacts": "1", "remove_existing": "yes"}


def phone_watch(app: str, endpoints: Iterable[str]) -> tuple[Request, ...]:
    """Have `app` told when these phones (PJSIP/name) register or go away; repeating is harmless.

    Never `endpoint:` (all of them): Asterisk 22.10.1 crashes when a phone registers or leaves just
    as the socket closes and no call of ours lives. It took fewer than 200 tries; none of 1,000
    with a device's state. `endpoint:PJSIP/x` is safe too, but sends each event of a leg twice.
    (tests/e2e/test_ari_edge.py; docs/decisions/0001.) Nor `deviceState:`, asterisk#2170.
    """
    sources = [f"deviceState:{clean.endpoint(endpoint)}" for endpoint in endpoints]
    return tuple(
        Request("POST", f"{_application(app)}/subscription", body={"eventSource": some})
        for some in _parts(sources)
    )


def _parts(sources: list[str]) -> list[list[str]]:
    return [sources[n : n + WATCHED_AT_ONCE] for n in range(0, len(sources), WATCHED_AT_ONCE)]


def _application(app: str) -> str:
    return f"/applications/{quote(app, safe='')}"


def event_filter(app: str, disallowed: Iterable[str] = NOISE) -> Request:
    """Keep these event types off the socket. Never an `allowed` list: it would eat new types."""
    body = {"disallowed": [{"type": kind} for kind in disallowed]}
    return Request("PUT", f"{_application(app)}/eventFilter", body=body)


def global_variable(name: str, value: str) -> Request:
    """Set a global variable of the dialplan; "" clears it.

    The value goes in the body, since Asterisk reads request lines of 4,096 bytes at most.
    """
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"not a variable's name (A-Z a-z 0-9 _): {name[:100]!r}")
    if len(value.encode()) > MAX_VALUE or not value.isprintable():
        raise ValueError(f"{name}: a value is one line of at most {MAX_VALUE} bytes")
    return Request("POST", "/asterisk/variable", body={"variable": name, "value": value})


def fallback_phones(number: str, endpoints: Iterable[str]) -> Request:
    """What [fallback] in asterisk-conf/extensions.conf rings for `number` when we are down."""
    digits = clean.number(number).lstrip("+")
    if not digits.isdigit():
        raise ValueError(f"not a number: {number[:100]!r}")
    return global_variable(f"FALLBACK_{digits}", "&".join(map(clean.endpoint, endpoints)))


def fallback_after(number: str, after_s: int) -> Request:
    """How long [inbound] lets a caller of `number` be in our hands before we must be dead."""
    digits = clean.number(number).lstrip("+")
    if not digits.isdigit():
        raise ValueError(f"not a number: {number[:100]!r}")
    return global_variable(f"FALLBACK_AFTER_{digits}", str(after_s) if after_s else "")


def phone_objects(name: str, digest: str, realm: str = REALM) -> tuple[Request, ...]:
    """Create or update PJSIP/`name`, whose password has this `digest`: auth, aor, endpoint.

    Send in this order, each after the other's 200; 403 means that pjsip.conf already has it.
    """
    clean.endpoint(f"PJSIP/{name}")
    if not _HA1.fullmatch(digest):
        raise ValueError("digest is not the 32 hex digits that endpoints.digest() gives")
    auth = {
        "auth_type": "digest",
        "username": name,
        "realm": realm,
        "password_digest": f"MD5:{digest}",
    }
    endpoint = {**AGENT_ENDPOINT, "auth": name, "aors": name}
    return (
        _put("auth", name, auth),
        _put("aor", name, AGENT_AOR),
        _put("endpoint", name, endpoint),
    )


def phone_removal(name: str) -> tuple[Request, ...]:
    """Remove a pushed phone: endpoint, aor, auth. A live call of it goes on."""
    clean.endpoint(f"PJSIP/{name}")
    kinds = ("endpoint", "aor", "auth")
    return tuple(Request("DELETE", f"{_DYNAMIC}/{kind}/{name}", gone=_GONE) for kind in kinds)


def _put(kind: str, name: str, fields: dict[str, str]) -> Request:
    body = {"fields": [{"attribute": key, "value": value} for key, value in fields.items()]}
    return Request("PUT", f"{_DYNAMIC}/{kind}/{name}", body=body)
