"""The demo's live view: calls and phones, redrawn; plain lines where there is no terminal."""

import asyncio
import sys
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from ari_app.store.config import reading
from ari_app.store.history import LiveAgent, LiveCall, LiveView, live_view

REDRAW_S = 0.25


class Screen:
    """Reads the database a few times a second and shows what changed."""

    def __init__(self, engine: Engine, hints: tuple[str, ...]) -> None:
        self._engine = engine
        self._hints = hints
        self._shown: dict[int, str] = {}

    async def run(self) -> None:
        """Until cancelled."""
        if not sys.stdout.isatty():
            await self._lines()
        with Live(console=Console(), refresh_per_second=4) as live:
            while True:
                live.update(self._picture(self._read()))
                await asyncio.sleep(REDRAW_S)

    async def _lines(self) -> None:
        print("worth trying, in another terminal:", *self._hints, sep="\n  ", flush=True)
        while True:
            self._print_changes(self._read())
            await asyncio.sleep(REDRAW_S)

    def _read(self) -> LiveView:
        with reading(self._engine) as connection:
            return live_view(connection)

    def _print_changes(self, view: LiveView) -> None:
        told = {call.id: f"{_caller(call)} {_where(call)}" for call in view.calls}
        for id_, text in told.items():
            if self._shown.get(id_) != text:
                print(f"{_clock()} call {id_}: {text}", flush=True)
        for id_ in self._shown.keys() - told.keys():
            print(f"{_clock()} call {id_}: over", flush=True)
        self._shown = told

    def _picture(self, view: LiveView) -> Group:
        calls = Table("Call", "From", "Where", "For", title="Calls", expand=True)
        for call in view.calls:
            calls.add_row(str(call.id), _caller(call), _where(call), _since(call))
        phones = Table("Agent", "Phone", "State", title="Phones", expand=True)
        for agent in view.agents:
            phones.add_row(agent.name, ", ".join(agent.endpoints), _state(agent))
        tips = Text("\n".join(("Worth trying, in another terminal:", *self._hints)))
        return Group(calls, phones, tips, Text("Ctrl-C ends the demo", style="dim"))


def _caller(call: LiveCall) -> Text:
    return Text(f"{call.caller_name} {call.caller_number}")


def _where(call: LiveCall) -> str:
    match call.place:
        case "Ringing":
            return f"rings {', '.join(call.ringing)}"
        case "Talking":
            return f"talks with {', '.join(call.talking)}"
        case "Waiting":
            return "waits for somebody to become free"
        case place:
            return place.lower()


def _state(agent: LiveAgent) -> str:
    if agent.reserved_by is None:
        return "free"
    return f"{'talks in' if agent.talking else 'is rung for'} call {agent.reserved_by}"


def _since(call: LiveCall) -> str:
    return f"{datetime.now(UTC).timestamp() - call.since_at / 1e6:.0f} s"


def _clock() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")
