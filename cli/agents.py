"""`sharedline agents`: the people, and the phones they have."""

import click
from sqlalchemy import Connection, Engine

from ari_app.settings import Settings
from ari_app.store import config
from ari_app.store.config import AgentRow, DeviceRow
from ari_app.store.plans import READY
from cli import database, phones, screen, values
from cli.confirm import confirm, yes_option


@click.group()
def agents() -> None:
    """The people who answer, and their phones."""


@agents.command(
    epilog=screen.example(
        "sharedline agents add ann --email ann@example.com --phone",
        "sharedline agents add bob --endpoint PJSIP/bob --endpoint PJSIP/bob-mobile",
    )
)
@click.argument("name", type=values.NEW_NAME)
@click.option("--email", type=values.EMAIL, default="", help="Another name to call them by.")
@click.option(
    "--endpoint",
    "found",
    type=values.NEW_ENDPOINT,
    multiple=True,
    metavar="PJSIP/NAME",
    help="A phone that pjsip.conf has already. May be repeated.",
)
@click.option("--phone", is_flag=True, help="Make a phone in Asterisk and print its password.")
def add(name: str, email: str, found: tuple[str, ...], phone: bool) -> None:
    """Add a person called NAME."""
    settings, engine = database.opened()
    with config.changing(engine) as db:
        agent = config.add_agent(db, name, email or None)
        for endpoint in found:
            config.add_device(db, agent, endpoint)
        made = [phones.add(db, agent)] if phone else []
        agent = config.find_agent(db, name)
    _report(settings, engine, agent, made)


@agents.command("list", epilog=screen.example("sharedline agents list"))
@screen.json_option
def list_(as_json: bool) -> None:
    """List all agents."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        rows = config.list_agents(db)
    if as_json:
        screen.as_json([screen.record(row, "id") for row in rows])
        return
    cells = [(row.name, row.email, _phones(row), ", ".join(row.numbers)) for row in rows]
    screen.table(("name", "e-mail", "phones", "numbers"), cells)


@agents.command(epilog=screen.example("sharedline agents show ann@example.com"))
@click.argument("agent", type=values.AGENT)
@screen.json_option
def show(agent: str, as_json: bool) -> None:
    """Show AGENT (name or e-mail): phones and numbers."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        row = config.find_agent(db, agent)
    if as_json:
        screen.as_json(screen.record(row, "id"))
        return
    screen.sheet([("name", row.name), ("e-mail", row.email), ("numbers", ", ".join(row.numbers))])
    screen.say("")
    cells = [(d.endpoint, "sharedline" if d.managed else "you", _state(d)) for d in row.devices]
    screen.table(("phone", "made by", "state"), cells)


@agents.command(
    "set",
    epilog=screen.example(
        "sharedline agents set ann --add-phone --remove-device PJSIP/ann-old",
        "sharedline agents set ann --new-password PJSIP/ann",
    ),
)
@click.argument("agent", type=values.AGENT)
@click.option("--name", type=values.NEW_NAME, help="A new name; phones keep theirs.")
@click.option("--email", type=values.EMAIL, help='A new e-mail address; "" takes it away.')
@click.option("--add-phone", is_flag=True, help="Make one more phone and print its password.")
@click.option(
    "--add-endpoint",
    type=values.NEW_ENDPOINT,
    multiple=True,
    metavar="PJSIP/NAME",
    help="One more phone that pjsip.conf has. May be repeated.",
)
@click.option(
    "--remove-device",
    type=values.ENDPOINT,
    multiple=True,
    metavar="PJSIP/NAME",
    help="Give up a phone; one made by sharedline is deleted in Asterisk. May be repeated.",
)
@click.option(
    "--new-password",
    type=values.ENDPOINT,
    multiple=True,
    metavar="PJSIP/NAME",
    help="Make a new password for a phone made by sharedline. May be repeated.",
)
def set_(
    agent: str,
    name: str | None,
    email: str | None,
    add_phone: bool,
    add_endpoint: tuple[str, ...],
    remove_device: tuple[str, ...],
    new_password: tuple[str, ...],
) -> None:
    """Change AGENT (name or e-mail); what isn't named stays. All of it happens, or nothing."""
    changes = ({"name": name} if name else {}) | ({} if email is None else {"email": email or None})
    if not (changes or add_phone or add_endpoint or remove_device or new_password):
        raise click.UsageError("nothing to change: give at least one option")
    settings, engine = database.opened()
    with config.changing(engine) as db:
        row = _rename(db, config.find_agent(db, agent), changes)
        for endpoint in remove_device:
            config.remove_device(db, row, endpoint)
        for endpoint in add_endpoint:
            config.add_device(db, row, endpoint)
        made = [phones.add(db, row)] if add_phone else []
        made += [phones.change_password(db, row, endpoint) for endpoint in new_password]
        row = config.find_agent(db, row.name)
    _report(settings, engine, row, made)


def _rename(db: Connection, row: AgentRow, changes: dict[str, str | None]) -> AgentRow:
    if changes:
        config.set_agent(db, row, changes)
    return config.find_agent(db, changes.get("name") or row.name)


def _report(settings: Settings, engine: Engine, row: AgentRow, made: list[phones.NewPhone]) -> None:
    screen.say(_sentence(row))
    for new in made:
        phones.tell(settings, row, new)
    if made:
        phones.wait_for(engine, row.name, made)


@agents.command(epilog=screen.example("sharedline agents remove ann --yes"))
@click.argument("agent", type=values.AGENT)
@yes_option
def remove(agent: str, yes: bool) -> None:
    """Remove AGENT (name or e-mail) from all numbers, with their phones. The history stays."""
    _, engine = database.opened()
    with config.reading(engine) as db:
        row = config.find_agent(db, agent)
    numbers = f" and member of {', '.join(row.numbers)}" if row.numbers else ""
    confirm(f"Remove {row.name} ({_phones(row)}){numbers}?", yes=yes)
    with config.changing(engine) as db:
        row = config.find_agent(db, row.name)
        config.remove_agent(db, row)
    screen.say(f"{row.name} is no longer an agent")


def _sentence(row: AgentRow) -> str:
    return f"{row.name} ({_phones(row)}) is an agent on {_counted(row.numbers)}"


def _counted(numbers: tuple[str, ...]) -> str:
    return "1 number" if len(numbers) == 1 else f"{len(numbers)} numbers"


def _phones(row: AgentRow) -> str:
    return ", ".join(device.endpoint for device in row.devices) or "no phone yet"


def _state(device: DeviceRow) -> str:
    if device.state == READY:
        return READY
    return f"{device.state}: {device.problem or '`sharedline serve` makes it'}"
