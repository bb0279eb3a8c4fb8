"""What strangers sent us (numbers, names) or settings say (endpoints), made safe to use.

Contract: pure; whatever comes in, what goes out is short and holds only the characters named
here. A number that had to be *altered* to fit would be somebody else's number, so apart from
written separators it is kept whole or not at all.
"""

import re
import unicodedata
from typing import Final

MAX_NUMBER: Final = 32
MAX_NAME: Final = 64
MAX_ENDPOINT: Final = 80  # sorcery ids are longer, but names in app_dial and device states are not

_SEPARATORS = str.maketrans("", "", " -.()/")
_NUMBER = re.compile(r"[+0-9*#]{1,32}")
_ENDPOINT = re.compile(r"PJSIP/[A-Za-z0-9_.-]{1,74}")
_REGION = re.compile(r"[A-Z]{2}")
_FORBIDDEN_IN_NAME: Final = frozenset("\"'`<>\\")


def number(raw: str) -> str:
    """`raw` as [+0-9*#], at most MAX_NUMBER long; "" for anonymous, unavailable, or a word.

    "alice42" is "", not "42": the digits of a word could be a customer's number.
    """
    digits = raw.partition(";")[0].translate(_SEPARATORS)
    return digits if _NUMBER.fullmatch(digits) else ""


def region(raw: str) -> str:
    """A two-letter region in capitals ("DE"), or ""."""
    capitals = raw.upper()
    return capitals if _REGION.fullmatch(capitals) else ""


def _printable(char: str) -> bool:
    # Category C holds control characters, but also direction overrides (Cf), which can make one
    # name look like another, and surrogates (Cs), which can't be encoded.
    return char not in _FORBIDDEN_IN_NAME and not unicodedata.category(char).startswith("C")


def name(raw: str) -> str:
    """`raw` as one line without control characters, quotes, backslashes or <>; at most MAX_NAME."""
    spaced = "".join(char if _printable(char) else " " for char in raw[: 4 * MAX_NAME])
    return " ".join(spaced.split())[:MAX_NAME].rstrip()


def endpoint(raw: str) -> str:
    """`raw` if it names one PJSIP endpoint and nothing else, so `&`, `/` and `@` can't be in it.

    ValueError otherwise: a dial string with those can reach any number (toll fraud).
    """
    if _ENDPOINT.fullmatch(raw):
        return raw
    raise ValueError(f"not an endpoint (PJSIP/name, name of A-Za-z0-9_.-): {raw[:100]!r}")
