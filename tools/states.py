"""Writes docs/states.md from the code: every place, every event, what happens or why nothing does.

`make docs` runs it; tests/test_docs_states.py fails when the page is not what the code says.
"""

import sys
from pathlib import Path
from typing import get_args

from ari_app.core import advance, call
from ari_app.core.events import CommandDone, CommandFailed, Event
from ari_app.core.ignored import IGNORED

PAGE = Path(__file__).parents[1] / "docs/states.md"

# Which place each handler may lead to; the property tests see to it that there are no others.
EDGES = (
    ("[*]", "Waiting", "CallArrived"),
    ("[*]", "Leaving", "CallArrived, not our number"),
    ("Waiting", "Ringing", "Offered"),
    ("Waiting", "Leaving", "NobodyFree, or waited too long"),
    ("Waiting", "Ended", "CallerLeft"),
    ("Ringing", "Waiting", "every offer is over"),
    ("Ringing", "Connecting", "LegAnswered, or 1 on a mobile"),
    ("Ringing", "Leaving", "waited too long"),
    ("Ringing", "Ended", "CallerLeft"),
    ("Connecting", "Talking", "JoinedTalk of both"),
    ("Connecting", "Waiting", "LegEnded, TalkFailed, too late"),
    ("Connecting", "Ended", "CallerLeft"),
    ("Talking", "Leaving", "LegEnded"),
    ("Talking", "Ended", "CallerLeft"),
    ("Leaving", "Ended", "CallerLeft"),
    ("Ended", "[*]", "no leg is closing any more"),
)

HEAD = """# States of a call

Written by `make docs` from `ari_app/core` (`call.py`, `ringing.py`, `talking.py`, `ignored.py`): do
not edit. A call is in one place; legs that were told to hang up are in its `closing`, whatever the
place, and what happens to them is the same everywhere (`legs.of_closing`).

```mermaid
stateDiagram-v2
"""


def page() -> str:
    """The whole page."""
    edges = "".join(f"    {start} --> {end}: {why}\n" for start, end, why in EDGES)
    places = "\n".join(_place(place) for place in get_args(call.Place))
    return f"{HEAD}{edges}```\n\n{places}"


def _place(place: type) -> str:
    doc = (place.__doc__ or "").replace("\n", " ").strip()
    rows = "".join(_row(place, event) for event in _events())
    return f"## {place.__name__}\n\n{doc}\n\n| event | what happens |\n|---|---|\n{rows}"


def _row(place: type, event: type) -> str:
    handler = advance.HANDLERS.get((place, event))
    if handler is None:
        return f"| {event.__name__} | *nothing: {IGNORED[place, event]}* |\n"
    doc = " ".join((handler.__doc__ or "").split())
    return f"| **{event.__name__}** | {doc} |\n"


def _events() -> list[type]:
    return [event for event in get_args(Event) if event not in {CommandDone, CommandFailed}]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stderr.write(f"wrote {PAGE}\n")
