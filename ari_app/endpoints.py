"""PJSIP endpoints: which names we accept, and the digest of a phone's password.

A dial string is built only from a name that passed `checked`: `&`, `/` and `@` would let a name
ring several phones, name a contact, or dial out.
"""

import hashlib
import re

REALM = "sharedline"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}")


class BadEndpoint(ValueError):
    """Not an endpoint we would dial; the message says what to write."""


def checked(endpoint: str) -> str:
    """The endpoint itself, as PJSIP/NAME. Raises BadEndpoint."""
    technology, _, name = endpoint.partition("/")
    if technology != "PJSIP" or not _NAME.fullmatch(name):
        shown = endpoint[:80].encode("unicode_escape").decode()
        raise BadEndpoint(
            f"{shown!r} is not an endpoint: write PJSIP/NAME, NAME of letters, digits and . _ -"
        )
    return endpoint


def digest(user: str, password: str, realm: str = REALM) -> str:
    """What Asterisk needs to check the phone's password, without keeping it (RFC 2617 HA1)."""
    return hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()
