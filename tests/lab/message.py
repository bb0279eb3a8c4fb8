"""SIP messages as text: parse, build, digest answers, SDP. Pure; only what the lab's phones need.

Contract: header names are case-insensitive, order and repeats are kept. `Message.parse` raises
ValueError on what is no SIP. Numbers and names are returned as sent: they are attacker data.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

COMPACT = {
    "f": "from",
    "t": "to",
    "i": "call-id",
    "v": "via",
    "m": "contact",
    "l": "content-length",
}
Header = tuple[str, str]
Address = tuple[str, int]


@dataclass(frozen=True)
class Message:
    """A request or a response; `start` is its first line."""

    start: str
    headers: tuple[Header, ...] = ()
    body: str = ""

    @classmethod
    def parse(cls, data: bytes) -> "Message":
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        start, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        if "SIP/2.0" not in start:
            raise ValueError(f"no SIP: {start[:40]!r}")
        pairs = (line.partition(":") for line in lines)
        return cls(start, tuple((name.strip(), value.strip()) for name, _, value in pairs), body)

    def encode(self) -> bytes:
        body = self.body.encode()
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [
            value for key, value in self.headers if COMPACT.get(key.lower(), key.lower()) == wanted
        ]

    def get(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        return next(iter(self.all(name)), "")

    @property
    def status(self) -> int:
        """0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        """Of a request, or of the request that a response answers."""
        return self.get("cseq").split()[-1]

    @property
    def uri(self) -> str:
        return self.start.split()[1]

    @property
    def sequence(self) -> int:
        return int(self.get("cseq").split()[0])

    @property
    def branch(self) -> str:
        return parameter(self.get("via"), "branch")


def parameter(value: str, name: str) -> str:
    found = re.search(rf';\s*{name}="?([^;,"\s]*)', value, re.IGNORECASE)
    return found[1] if found else ""


def uri_of(value: str) -> str:
    """The URI inside a From, To or Contact."""
    found = re.search(r"<([^>]*)>", value)
    return found[1] if found else value.split(";", maxsplit=1)[0].strip()


def user_of(value: str) -> str:
    found = re.match(r"sips?:([^@;>]*)@", uri_of(value))
    return found[1] if found else ""


def name_of(value: str) -> str:
    return value.partition("<")[0].strip().strip('"')


def address_of(uri: str) -> Address:
    found = re.match(r"sips?:(?:[^@]*@)?([^:;>]+)(?::(\d+))?", uri)
    if not found:
        raise ValueError(f"no host in {uri!r}")
    return found[1], int(found[2] or 5060)


def response(
    request: Message, start: str, tag: str, extra: Iterable[Header] = (), body: str = ""
) -> Message:
    """`start` is e.g. "486 Busy Here"; the tag is ours, added to a To that has none."""
    to = request.get("to")
    copied: list[Header] = [("Via", via) for via in request.all("via")]
    copied += [("From", request.get("from")), ("Call-ID", request.get("call-id"))]
    copied += [("To", to if ";tag=" in to else f"{to};tag={tag}"), ("CSeq", request.get("cseq"))]
    return Message(f"SIP/2.0 {start}", (*copied, *extra), body)


def digest(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    """The Authorization value that answers a WWW-Authenticate (MD5, RFC 2617, qop=auth)."""
    field_ = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge))
    realm, nonce, cnonce = field_.get("realm", ""), field_.get("nonce", ""), secrets.token_hex(8)
    secret, request = _md5(f"{user}:{realm}:{password}"), _md5(f"{method}:{uri}")
    answer = _md5(f"{secret}:{nonce}:00000001:{cnonce}:auth:{request}")
    text = (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        f'response="{answer}", cnonce="{cnonce}", nc=00000001, qop=auth, algorithm=MD5'
    )
    return f'{text}, opaque="{field_["opaque"]}"' if "opaque" in field_ else text


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Sdp:
    """Where the other side wants its audio, and its number for telephone events."""

    remote: Address
    event_type: int = 101
    lines: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, body: str) -> "Sdp | None":
        host = re.search(r"^c=IN IP4 (\S+)", body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", body, re.MULTILINE)
        event = re.search(r"^a=rtpmap:(\d+) telephone-event/8000", body, re.MULTILINE)
        if not host or not port:
            return None
        remote = (host[1], int(port[1]))
        return cls(remote, int(event[1]) if event else 101, tuple(body.splitlines()))


def sdp(port: int, event_type: int = 101) -> str:
    """An offer or an answer: ulaw and telephone events on 127.0.0.1."""
    lines = (
        "v=0",
        f"o=- {port} {port} IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {port} RTP/AVP 0 {event_type}",
        "a=rtpmap:0 PCMU/8000",
        f"a=rtpmap:{event_type} telephone-event/8000",
        f"a=fmtp:{event_type} 0-16",
        "a=ptime:20",
        "a=sendrecv",
    )
    return "\r\n".join([*lines, ""])
