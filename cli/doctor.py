"""`sharedline doctor`: what works, what doesn't, and what to do about it.

Contract: looks only; the one command that asks Asterisk (GET requests, TIMEOUT_S each, credentials
in a header). Every check gives findings, never an exception; a check whose ground is missing is
left out, because the finding about the ground says what to do first.
"""

import base64
import http.client
import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import click
from sqlalchemy import Engine

from ari_app.settings import Settings, SettingsError, load_settings
from ari_app.store import config, history
from ari_app.store import engine as store
from ari_app.store.config import DeviceRow
from ari_app.store.engine import StoreError
from ari_app.store.plans import READY
from cli import database, screen

TIMEOUT_S = 3.0
MAX_BODY = 4_000_000
CLOCKS_APART_S = 2.0
OLDEST = (22, 10, 1)  # security fixes GHSA-wcvv, GHSA-vrfp
AVOID = {"22.11.0-rc1": "asterisk#2085"}
MODULES = (
    *("res_http_websocket", "res_stasis", "res_stasis_answer", "res_stasis_device_state"),
    *("res_stasis_playback", "app_stasis", "res_ari", "res_ari_model", "res_ari_applications"),
    *("res_ari_asterisk", "res_ari_bridges", "res_ari_channels", "res_ari_device_states"),
    *("res_ari_endpoints", "res_ari_events", "res_ari_playbacks"),
    *("chan_pjsip", "res_pjsip", "res_pjsip_session", "res_pjsip_sdp_rtp", "res_pjsip_registrar"),
    *("res_pjsip_rfc3326", "res_rtp_asterisk", "res_sorcery_astdb", "res_sorcery_memory_cache"),
    *("bridge_simple", "bridge_native_rtp", "bridge_holding"),
    *("app_dial", "app_playback", "pbx_config", "func_strings", "func_logic", "func_callerid"),
)
SOUNDS = ("vm-nobodyavail", "ss-noservice")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `todo` is empty when all is well."""

    check: str
    says: str
    todo: str = ""


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
        yield _from_error("database", error, "check SHAREDLINE_DATABASE_URL, the file and its disk")
    yield from _asterisk(settings, engine)


def _from_error(check: str, error: Exception, otherwise: str) -> Finding:
    """Our own errors mostly end with what to do, after a colon."""
    says, _, todo = str(error).rpartition(": ")
    if todo.startswith(("run ", "restore ", "upgrade ", "set ", "use ")):
        return Finding(check, says, todo)
    return Finding(check, str(error), otherwise)


def _password(settings: Settings) -> Finding:
    try:
        settings.secret()
    except SettingsError as error:
        return _from_error("settings", error, "check SHAREDLINE_ARI_PASSWORD_FILE")
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


def _asterisk(settings: Settings, engine: Engine | None) -> Iterator[Finding]:
    try:
        with closing(Ari(settings)) as ari:
            info = ari.get("/asterisk/info")
            yield _reachable(settings, info)
            if info.status == http.HTTPStatus.OK and _version(info):
                yield _new_enough(_version(info))
                yield _same_clock(info)
                yield from _modules(ari)
                yield _app(ari, settings)
                yield from _devices(ari, engine)
    except SettingsError:
        return  # no password: said already
    except (OSError, http.client.HTTPException, ValueError) as error:
        says = f"no answer at {settings.ari_url} ({error or type(error).__name__})"
        yield Finding("asterisk", says, "start Asterisk, or correct SHAREDLINE_ARI_URL")


def _reachable(settings: Settings, info: Answer) -> Finding:
    if info.status in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
        says = f"the user {settings.ari_user} or the password is refused"
        return Finding("asterisk", says, "compare with ari.conf: SHAREDLINE_ARI_PASSWORD")
    if info.status != http.HTTPStatus.OK or not _version(info):
        says = f"what answers at {settings.ari_url} is no ARI (HTTP {info.status})"
        return Finding("asterisk", says, "correct SHAREDLINE_ARI_URL, or load res_ari_asterisk.so")
    return Finding("asterisk", f"answers at {settings.ari_url}")


def _version(info: Answer) -> str:
    system = info.body.get("system") if isinstance(info.body, dict) else None
    return str(system.get("version", "")) if isinstance(system, dict) else ""


def _new_enough(version: str) -> Finding:
    check, shown = "version", f"Asterisk {version[:40]}"
    oldest = ".".join(map(str, OLDEST))
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not numbers:
        return Finding(check, f"{shown} can't be compared", f"use a release from {oldest} on")
    for bad, reason in AVOID.items():
        if version.startswith(bad):
            return Finding(check, f"{shown} has a known fault ({reason})", "use another release")
    if tuple(int(part or 0) for part in numbers.groups()) < OLDEST:
        return Finding(check, f"{shown} has known security holes", f"upgrade to {oldest} or later")
    return Finding(check, shown)


def _same_clock(info: Answer) -> Finding:
    check = "asterisk clock"
    if info.at is None:
        return Finding(check, "is not told", "compare the clocks by hand")
    apart_s = abs(time.time() - info.at)  # its Date header has whole seconds
    if apart_s > CLOCKS_APART_S + 1:
        return Finding(check, f"is {apart_s:.0f} s from ours", "let NTP set both clocks")
    return Finding(check, "is the same as ours")


def _modules(ari: Ari) -> Iterator[Finding]:
    listed = ari.get("/asterisk/modules").body
    running = {
        str(module.get("name", "")).removesuffix(".so")
        for module in (listed if isinstance(listed, list) else [])
        if isinstance(module, dict) and module.get("status") == "Running"
    }
    missing = [name for name in MODULES if name not in running]
    if missing:
        todo = "load them in modules.conf (asterisk-conf/ has a complete one)"
        yield Finding("modules", f"not running: {', '.join(missing)}", todo)
    else:
        yield Finding("modules", f"all {len(MODULES)} needed are running")
    if "res_ari_sounds" in running:
        yield from (_sound(ari, name) for name in SOUNDS)
    else:
        todo = "load res_ari_sounds.so to have them checked"
        yield Finding("sounds", "can't be asked for", todo)


def _sound(ari: Ari, name: str) -> Finding:
    if ari.get(f"/sounds/{name}").status == http.HTTPStatus.OK:
        return Finding(f"sound {name}", "is there")
    return Finding(f"sound {name}", "is missing", "install asterisk-core-sounds-en")


def _app(ari: Ari, settings: Settings) -> Finding:
    check = f"app {settings.app}"
    if ari.get(f"/applications/{settings.app}").status == http.HTTPStatus.OK:
        return Finding(check, "is registered")
    return Finding(check, "is not registered, callers go to the fallback", "run `sharedline serve`")


def _devices(ari: Ari, engine: Engine | None) -> Iterator[Finding]:
    if engine is None:
        return
    with config.reading(engine) as db:
        agents = config.list_agents(db)
    for agent in agents:
        if not agent.devices:
            todo = f"`sharedline agents set {agent.name} --add-phone`"
            yield Finding(f"agent {agent.name}", "has no phone", todo)
        yield from (_device(ari, agent.name, device) for device in agent.devices)


def _device(ari: Ari, agent: str, device: DeviceRow) -> Finding:
    check = f"phone {device.endpoint} of {agent}"
    if device.state != READY:
        says = f"is {device.state} {device.problem}".strip()
        again = f"mend that, then `sharedline agents set {agent} --new-password {device.endpoint}`"
        return Finding(check, says, again if device.problem else "run `sharedline serve`")
    found = ari.get(f"/endpoints/PJSIP/{quote(device.endpoint.removeprefix('PJSIP/'))}")
    if found.status != http.HTTPStatus.OK or not isinstance(found.body, dict):
        todo = "run `sharedline serve`" if device.managed else "add it to pjsip.conf, or remove it"
        return Finding(check, "is unknown to Asterisk", todo)
    if found.body.get("state") != "online":
        return Finding(check, "is not registered", "switch it on; check its server and password")
    return Finding(check, "is registered")
