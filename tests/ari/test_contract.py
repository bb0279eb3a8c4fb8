"""What we send and read exists in the description of ARI that the tested Asterisk ships.

Reads rest-api/*.json of the lab's Asterisk, and starts nothing. The files stay where they are:
they are Asterisk's (GPL-2).
"""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ari_app import endpoints
from ari_app.ari import setup, wire
from ari_app.ari.requests import Request
from tests.ari.test_requests import EVERY_COMMAND, the
from tests.lab.root import Root

pytestmark = pytest.mark.e2e

APP = "sharedline"
REQUESTS = (
    *(the(command) for command in EVERY_COMMAND),
    *setup.phone_watch(APP, ["PJSIP/ann"]),
    setup.event_filter(APP),
    setup.global_variable("FALLBACK_4930123456", "PJSIP/ann"),
    *setup.phone_objects("ann", endpoints.digest("ann", "secret")),
    *setup.phone_removal("ann"),
    Request("GET", f"/applications/{APP}"),
    Request("GET", "/channels"),
    Request("GET", "/bridges"),
)
# /events is asked for by aiohttp's ws_connect.
SOCKET = Request("GET", "/events", (("app", APP), ("subscribeAll", "false")))


class Description:
    """All of rest-api/*.json."""

    def __init__(self, folder: Path) -> None:
        files = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        self.models: dict[str, Any] = {}
        for file in files:
            self.models |= file.get("models", {})
        self._operations = [
            (api["path"], operation)
            for file in files
            for api in file.get("apis", [])
            for operation in api.get("operations", [])
        ]

    def operation(self, request: Request) -> dict[str, Any]:
        """The most literal path that matches: /channels/create before /channels/{channelId}."""
        found = [
            (path.count("{"), operation)
            for path, operation in self._operations
            if operation["httpMethod"] == request.method
            and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.path)
        ]
        assert found, f"no {request.method} {request.path}"
        operation: dict[str, Any] = min(found, key=lambda pair: pair[0])[1]
        return operation


@pytest.fixture(scope="module")
def described(root: Root) -> Description:
    return Description(root.data_dir / "rest-api")


@pytest.mark.parametrize(
    "request_", [*REQUESTS, SOCKET], ids=lambda request: f"{request.method} {request.path}"
)
def test_every_request_is_described(described: Description, request_: Request) -> None:
    parameters = described.operation(request_).get("parameters", [])
    by_place = {
        place: {p["name"]: p for p in parameters if p["paramType"] == place}
        for place in ("query", "body")
    }
    body = dict(request_.body or {})
    if "filter" in by_place["body"]:  # the one body that is not wrapped in its name
        assert body.keys() <= {"allowed", "disallowed"}
        body = {}
    sent = dict(request_.query) | {key: str(value) for key, value in body.items()}
    assert sent.keys() <= by_place["query"].keys() | by_place["body"].keys()
    required = {p["name"] for p in parameters if p.get("required") and p["paramType"] != "path"}
    assert required <= sent.keys()
    for name, value in request_.query:
        allowed = by_place["query"][name].get("allowableValues", {}).get("values")
        assert allowed is None or value in allowed


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.path)
def test_answers_we_call_benign_are_described(described: Description, request_: Request) -> None:
    known = {
        int(error["code"]) for error in described.operation(request_).get("errorResponses", [])
    }
    assert request_.done | request_.gone <= known


@pytest.mark.parametrize("event", wire.WireEvent.__args__, ids=lambda event: event.__name__)
def test_every_event_we_read_is_described(
    described: Description, event: type[msgspec.Struct]
) -> None:
    assert "application" in described.models["Event"]["properties"]
    check_fields(described, event, skip=frozenset({"application"}))


def check_fields(
    described: Description, struct: type[msgspec.Struct], skip: frozenset[str] = frozenset()
) -> None:
    properties = described.models[struct.__name__]["properties"]
    for field in msgspec.structs.fields(struct):
        if field.name in skip:
            continue
        assert field.name in properties, f"{struct.__name__}.{field.name}"
        if field.required:
            assert properties[field.name].get("required"), f"{struct.__name__}.{field.name}"
        for kind in (field.type, *getattr(field.type, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                check_fields(described, kind)


@pytest.mark.parametrize("kind", setup.NOISE)
def test_what_we_filter_out_exists_and_is_not_read(described: Description, kind: str) -> None:
    assert kind in described.models
    assert kind not in {event.__name__ for event in wire.WireEvent.__args__}


def test_states_and_reasons_we_compare_with(described: Description) -> None:
    states = described.models["Channel"]["properties"]["state"]["allowableValues"]["values"]
    assert {"Ringing", "Up"} <= set(states)
