"""How `sharedline doctor` asks Asterisk: GET requests, TIMEOUT_S each, credentials in a header."""

import base64
import http.client
import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from ari_app.settings import Settings

TIMEOUT_S = 3.0
MAX_BODY = 4_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """Asterisk's answer; `body` is None if it was no JSON, `at` its clock in seconds."""

    status: int
    body: Any
    at: float | None


class Ari:
    """GET requests on one connection. Raises OSError or HTTPException when nobody answers."""

    def __init__(self, settings: Settings) -> None:
        url = urlsplit(settings.ari_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError("write http://HOST:PORT/ari")
        secure = url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(url.hostname, url.port, timeout=TIMEOUT_S)
        self._path = url.path.rstrip("/")
        token = base64.b64encode(f"{settings.ari_user}:{settings.secret()}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"}

    def get(self, path: str) -> Answer:
        """What Asterisk says about `path`."""
        self._connection.request("GET", self._path + path, headers=self._headers)
        reply = self._connection.getresponse()
        text = reply.read(MAX_BODY)
        try:
            return Answer(reply.status, json.loads(text), _seconds(reply.headers.get("Date")))
        except (ValueError, RecursionError):
            return Answer(reply.status, None, None)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _seconds(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
