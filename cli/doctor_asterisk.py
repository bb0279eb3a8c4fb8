"""What `sharedline doctor` finds by asking Asterisk."""

import http.client
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine

from ari_app.settings import Settings, SettingsError
from ari_app.store import config
from ari_app.store.config import DeviceRow
from ari_app.store.plans import READY
from cli.doctor_ari import Answer, Ari
from cli.doctor_finding import Finding

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
    *("pbx_config", "app_dial", "app_playback", "app_record", "app_stack", "format_wav"),
    *("func_callerid", "func_channel", "func_cut", "func_env", "func_global", "func_logic"),
    *("func_strings", "func_timeout", "func_uri"),
)
SOUNDS = (
    *("vm-nobodyavail", "ss-noservice", "vm-intro", "beep", "vm-goodbye"),
    "please-try-call-later",
)


def asterisk(settings: Settings, engine: Engine | None) -> Iterator[Finding]:
    """All of it; without a database (None) no phones."""
    try:
        with closing(Ari(settings)) as ari:
            info = ari.get("/asterisk/info")
            yield _reachable(settings, info)
            if info.status == http.HTTPStatus.OK and _version(info):
                yield _new_enough(_version(info))
                yield _same_clock(info)
                yield from _modules(ari)
                yield _dialplan(ari, settings)
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


def _dialplan(ari: Ari, settings: Settings) -> Finding:
    """By a global of our own extensions.conf; ARI can't tell whether an extension exists."""
    check = "dialplan"
    body = ari.get("/asterisk/variable?variable=SL_SPOOL").body
    spool = str(body.get("value", "")) if isinstance(body, dict) else ""
    if not spool:
        todo = "merge asterisk-conf/extensions.conf, its [globals] too, and `dialplan reload`"
        return Finding(check, "has no SL_SPOOL, so it isn't ours, and there is no fallback", todo)
    if Path(spool) != settings.spool_dir:
        says = f"writes its spool to {spool[:200]}, but we read {settings.spool_dir}"
        return Finding(check, says, "set SL_SPOOL and SHAREDLINE_SPOOL_DIR to the same folder")
    return Finding(check, "is ours, and writes its spool where we read it")


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
