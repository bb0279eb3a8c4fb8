"""ARI frames in the shape Asterisk 22.10.1 sends them, with fields we don't read left in."""

import json
from typing import Any

APP = "sharedline"


def channel(
    channel_id: str, state: str = "Up", *, name: str = "", number: str = ""
) -> dict[str, Any]:
    return {
        "id": channel_id,
        "name": "PJSIP/trunk-00000000",
        "state": state,
        "protocol_id": "f800957c-12be-43b7-9c00-a83586e8bfb9",
        "caller": {"name": name, "number": number},
        "connected": {"name": "", "number": ""},
        "accountcode": "",
        "dialplan": {
            "context": "inbound",
            "exten": "s",
            "priority": 2,
            "app_name": "Stasis",
            "app_data": "sharedline,in,+4930123456,DE",
        },
        "creationtime": "2026-11-24T11:10:04.511+0000",
        "language": "en",
    }


def event(kind: str, **fields: Any) -> bytes:
    common = {
        "type": kind,
        "timestamp": "2026-11-24T11:10:04.511+0000",
        "asterisk_id": "02:fc:00:00:00:01",
        "application": APP,
    }
    return json.dumps({**common, **fields}).encode()


def caller_start(
    channel_id: str = "1795518604.0",
    args: tuple[str, ...] = ("in", "+4930123456", "DE"),
    **caller: str,
) -> bytes:
    return event("StasisStart", args=list(args), channel=channel(channel_id, "Ring", **caller))


def destroyed(channel_id: str, state: str, cause: int, tech_cause: int = 0) -> bytes:
    causes: dict[str, Any] = {"cause": cause, "cause_txt": "some words"}
    if tech_cause:
        causes["tech_cause"] = tech_cause
    return event("ChannelDestroyed", channel=channel(channel_id, state), **causes)


def entered(bridge: str, channel_id: str) -> bytes:
    inside = {
        "id": bridge,
        "technology": "simple_bridge",
        "bridge_type": "mixing",
        "channels": [channel_id],
    }
    return event("ChannelEnteredBridge", bridge=inside, channel=channel(channel_id))


def device(state: str, name: str = "PJSIP/p01") -> bytes:
    return event("DeviceStateChanged", device_state={"name": name, "state": state})
