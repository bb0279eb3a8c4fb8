"""`sharedline calls`: what became of the calls."""

import json
from collections.abc import Iterable
from typing import Any

import click

from ari_app.store import config, history
from ari_app.store.history import AttemptRow, CallRow, StepRow
from cli import database, screen, values


@click.group()
def calls() -> None:
    """The history of calls, and those going on."""


@calls.command("list", epilog=screen.example("sharedline calls list --number +4930123456 --live"))
@click.option(
    "--limit",
    type=click.IntRange(1, history.MAX_CALLS),
    default=50,
    show_default=True,
    help="Show at most that many.",
)
@click.option("--number", type=values.NUMBER, help="Only calls to that number.")
@click.option("--live", is_flag=True, help="Only calls that are going on.")
@screen.json_option
def list_(limit: int, number: str | None, live: bool, as_json: bool) -> None:
    """List calls, the newest first."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        rows = history.list_calls(db, limit=limit, number=number, live=live)
    if as_json:
        screen.as_json([screen.record(row) for row in rows])
        return
    headings = ("id", "arrived", "number", "caller", "state", "agent", "talked s")
    screen.table(headings, [_cells(row) for row in rows])


@calls.command(epilog=screen.example("sharedline calls show 42"))
@click.argument("call", type=click.IntRange(1, 2**63 - 1), metavar="ID")
@screen.json_option
def show(call: int, as_json: bool) -> None:
    """Show call ID: who was rung, and every step."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        found = history.find_call(db, call)
    if as_json:
        attempts = [screen.record(attempt) for attempt in found.attempts]
        steps = [_step(step) for step in found.steps]
        screen.as_json(screen.record(found.call) | {"attempts": attempts, "steps": steps})
        return
    _sheet(found.call)
    screen.say("")
    _attempt_table(found.attempts, found.call.arrived_at)
    screen.say("")
    _step_table(found.steps, found.call.arrived_at)


def _cells(row: CallRow) -> tuple[object, ...]:
    state = row.place if row.live else row.outcome
    talked = _seconds(row.answered_at, row.ended_at)
    return row.id, screen.local(row.arrived_at), row.number, _caller(row), state, row.agent, talked


def _caller(row: CallRow) -> str:
    return f"{row.caller_name} {row.caller_number}".strip() or "anonymous"


def _seconds(since_at: int | None, until_at: int | None) -> int | None:
    if since_at is None or until_at is None:
        return None
    return round((until_at - since_at) / screen.SECONDS)


def _sheet(row: CallRow) -> None:
    screen.sheet(
        [
            ("call", row.id),
            ("number", row.number),
            ("caller", _caller(row)),
            ("state", row.place),
            ("outcome", row.outcome),
            ("answered by", row.agent),
            ("arrived", screen.local(row.arrived_at)),
            ("answered", screen.local(row.answered_at)),
            ("ended", screen.local(row.ended_at)),
            ("waited s", _seconds(row.arrived_at, row.answered_at or row.ended_at)),
            ("talked s", _seconds(row.answered_at, row.ended_at)),
        ]
    )


def _attempt_table(attempts: Iterable[AttemptRow], arrived_at: int) -> None:
    headings = ("round", "agent", "from s", "rang s", "outcome")
    cells = [
        (
            a.round,
            a.agent,
            _after(arrived_at, a.since_at),
            _seconds(a.since_at, a.ended_at),
            a.outcome,
        )
        for a in attempts
    ]
    screen.table(headings, cells)


def _after(arrived_at: int, at: int) -> str:
    return f"+{(at - arrived_at) / screen.SECONDS:.3f}"


def _step_table(steps: Iterable[StepRow], arrived_at: int) -> None:
    cells = [
        (
            _after(arrived_at, step.at),
            step.event,
            step.before if step.before == step.after else f"{step.before} -> {step.after}",
            f"ignored: {step.ignored}" if step.ignored else _commands(step),
            _verdicts(step),
        )
        for step in steps
    ]
    screen.table(("s", "event", "state", "commands", "why"), cells)


def _commands(step: StepRow) -> str:
    return ", ".join(command["type"] for command in json.loads(step.commands))


def _verdicts(step: StepRow) -> str:
    """Why each member's phone rang, or did not."""
    verdicts = json.loads(step.event_body).get("verdicts", [])
    return ", ".join(f"{verdict['name']}: {verdict['says']}" for verdict in verdicts)


def _step(step: StepRow) -> dict[str, Any]:
    body = {"event_body": json.loads(step.event_body), "commands": json.loads(step.commands)}
    return screen.record(step) | body
