"""`sharedline members`: who is rung for a number, and in which order."""

from collections.abc import Iterable

import click

from ari_app.store import config
from ari_app.store.config import MemberRow
from cli import database, screen, values


@click.group()
def members() -> None:
    """Who is rung for a number, and in which order."""


@members.command(epilog=screen.example("sharedline members add +4930123456 ann --position 1"))
@click.argument("number", type=values.NUMBER)
@click.argument("agent", type=values.AGENT)
@click.option(
    "--position",
    type=click.IntRange(1, config.MAX_MEMBERS),
    help="Place in the order, 1 is first. A new member is last unless you say.",
)
@click.option("--may-ring/--no-ring", default=None, help="Is rung for calls. A new member is.")
@click.option(
    "--may-call-out/--no-call-out",
    default=None,
    help="May call out as the number. A new member may.",
)
def add(
    number: str, agent: str, position: int | None, may_ring: bool | None, may_call_out: bool | None
) -> None:
    """Make AGENT (name or e-mail) a member of NUMBER, or change a member's place."""
    asked = {"may_ring": may_ring, "may_call_out": may_call_out}
    may = {name: value for name, value in asked.items() if value is not None}
    _, engine = database.opened()
    with config.changing(engine) as db:
        who = config.find_agent(db, agent)
        member = config.put_member(db, number, who, position, may)
    phones = ", ".join(device.endpoint for device in who.devices) or "no phone yet"
    silent = "" if member.may_ring else ", not rung"
    bound = "" if member.may_call_out else ", may not call out"
    screen.say(
        f"{who.name} ({phones}) is member {member.position} of {member.number}{silent}{bound}"
    )


@members.command(epilog=screen.example("sharedline members remove +4930123456 ann"))
@click.argument("number", type=values.NUMBER)
@click.argument("agent", type=values.AGENT)
def remove(number: str, agent: str) -> None:
    """Take AGENT (name or e-mail) off NUMBER. The next call doesn't ring them."""
    _, engine = database.opened()
    with config.changing(engine) as db:
        who = config.find_agent(db, agent)
        config.remove_member(db, number, who)
    screen.say(f"{who.name} is no longer a member of {number}")


@members.command("list", epilog=screen.example("sharedline members list +4930123456"))
@click.argument("number", type=values.NUMBER)
@screen.json_option
def list_(number: str, as_json: bool) -> None:
    """List the members of NUMBER in their order."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        config.find_number(db, number)
        rows = config.list_members(db, number)
    if as_json:
        screen.as_json([screen.record(row) for row in rows])
    else:
        member_table(rows)


def member_table(rows: Iterable[MemberRow]) -> None:
    """Members for people to read."""
    headings = ("position", "agent", "e-mail", "rings", "calls out", "phones")
    cells = [
        (row.position, row.agent, row.email, row.may_ring, row.may_call_out, row.devices)
        for row in rows
    ]
    screen.table(headings, cells)
