"""`sharedline doctor`: what works, what doesn't, and what to do about it.

Contract: looks only; the one command that asks Asterisk (cli/doctor_ari.py). Every check gives
findings, never an exception; a check whose ground is missing is left out, because the finding about
the ground says what to do first.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click
from sqlalchemy import Engine

from ari_app.settings import Settings, SettingsError, load_settings
from ari_app.store import config, history
from ari_app.store import engine as store
from ari_app.store.engine import StoreError
from cli import database, screen
from cli.doctor_asterisk import asterisk
from cli.doctor_finding import Finding, from_error

_OPEN = "open it to the service (docs/operations.md, Installing), and run doctor as its user"


@click.command(epilog=screen.example("sharedline doctor"))
@screen.json_option
@click.option("--watch", is_flag=True, help="Look again and again, and print what changed.")
@click.option(
    "--every", type=click.IntRange(1), default=5, show_default=True, help="Seconds, with --watch."
)
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, watch: bool, every: int) -> None:
    """Check that everything works, and say what to do if not.

    Exit code 1 for any problem: settings, database, controller, Asterisk, phones, numbers.
    """
    if watch and as_json:
        raise click.UsageError("--watch prints lines: leave out --json")
    if watch:
        _watch(every)
    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            screen.say(_line(finding))
    if as_json:
        screen.as_json([asdict(finding) | {"ok": not finding.todo} for finding in findings])
    ctx.exit(any(finding.todo for finding in findings))


def _line(finding: Finding) -> str:
    if finding.todo:
        return f"problem {finding.check}: {finding.says} -> {finding.todo}"
    return f"ok      {finding.check}: {finding.says}"


def _watch(every_s: int) -> NoReturn:
    """Until Ctrl-C: all lines once, then those that differ from what was last said of the same."""
    said: dict[str, str] = {}
    while True:
        for finding in examine():
            line = _line(finding)
            if said.get(finding.check) != line:
                said[finding.check] = line
                screen.say(f"{screen.local(int(time.time() * screen.SECONDS))} {line}")
        time.sleep(every_s)


def examine() -> Iterator[Finding]:
    """All findings, in the order in which one would mend them."""
    try:
        settings = load_settings()
    except SettingsError as error:
        yield Finding("settings", str(error), "correct it in the environment or the env file")
        return
    yield _password(settings)
    engine: Engine | None = None
    try:
        engine = database.unchecked()
        store.check(engine, deeply=True)
        yield Finding("database", f"{store.database_path(engine)} is sound, {store.head()}")
        yield _controller(engine)
        yield _clock(engine)
        yield from _numbers(engine)
    except (StoreError, OSError) as error:
        engine = None
        yield from_error("database", error, "check SHAREDLINE_DATABASE_URL, the file and its disk")
    yield _spool(settings.spool_dir)
    yield from asterisk(settings, engine)


def _password(settings: Settings) -> Finding:
    try:
        settings.secret()
    except SettingsError as error:
        return from_error("settings", error, "check SHAREDLINE_ARI_PASSWORD_FILE")
    return Finding("settings", f"{settings.ari_user} at {settings.ari_url}, app {settings.app}")


def _controller(engine: Engine) -> Finding:
    if store.controller_runs(engine):
        return Finding("controller", "is running")
    return Finding("controller", "is not running", "start `sharedline serve`")


def _clock(engine: Engine) -> Finding:
    with config.reading(engine) as db:
        newest_at = history.newest_at(db)
    if newest_at > time.time() * screen.SECONDS:
        newest = screen.local(newest_at)
        return Finding("clock", f"the database has rows of {newest}", "set this machine's clock")
    return Finding("clock", "is after everything in the database")


def _numbers(engine: Engine) -> Iterator[Finding]:
    with config.reading(engine) as db:
        numbers, members = config.list_numbers(db), config.list_members(db)
    if not numbers:
        yield Finding("numbers", "there are none", "add one: `sharedline numbers add NUMBER`")
    ringing = {member.number for member in members if member.may_ring and member.devices}
    for number in (row.number for row in numbers):
        if number in ringing:
            yield Finding(f"number {number}", "has somebody to ring")
        else:
            todo = f"`sharedline members add {number} AGENT`, an agent with a phone"
            yield Finding(f"number {number}", "has no member with a phone who may ring", todo)


def _spool(folder: Path) -> Finding:
    """As the user who runs doctor: root may do everything, the service may not."""
    check = "spool"
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK) and folder.is_dir():
        return Finding(check, f"{folder} can be read and written")
    try:
        there = folder.is_dir()
    except OSError as error:  # a folder above it is closed to us
        return Finding(check, f"{folder}: {error.strerror}", _OPEN)
    if there:
        return Finding(check, f"{folder} can't be read and written by this user", _OPEN)
    says = f"{folder} is no folder, so the fallback takes no messages and tells us nothing"
    return Finding(check, says, f"`install -d -o asterisk -g sharedline -m 2770 {folder}`")
