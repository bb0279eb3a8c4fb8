"""`sharedline doctor` on a real Asterisk, with a real controller and a phone that registers.

Each test has its own look at one instance, which is this module's own: some break it.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from ari_app.store import config
from tests.e2e.service import Controller
from tests.lab.asterisk import CONF_DIR, AsteriskInstance
from tests.lab.phones import Lab, default_phones
from tests.lab.root import CHECKOUT, Root

pytestmark = pytest.mark.e2e

NUMBER = "+493012345"
SETTINGS: dict[str, str | int] = {
    "label": "",
    "strategy": "ring-all",
    "ring_s": 20,
    "retry_s": 5,
    "max_wait_s": 60,
    "fallback": "announce",
}
SOUNDS_MODULE = "load = res_ari_sounds.so"


def with_sounds() -> dict[str, str]:
    """Load the module that doctor asks for sounds, where our modules.conf does not yet."""
    loaded = SOUNDS_MODULE in (CONF_DIR / "modules.conf").read_text()
    return {} if loaded else {"modules.conf": SOUNDS_MODULE}


@pytest.fixture(scope="module")
def asterisk(root: Root) -> Iterator[AsteriskInstance]:
    with AsteriskInstance(root, phones=default_phones(2), extra=with_sounds()) as instance:
        yield instance


@pytest.fixture
async def controller(asterisk: AsteriskInstance, tmp_path: Path) -> AsyncIterator[Controller]:
    """Not started; ann is the only member of the only number and has the phone p01."""
    spool = asterisk.folder / "spool/sharedline"
    spool.mkdir(exist_ok=True)
    async with Controller(asterisk, tmp_path, spool_dir=str(spool)) as controller:
        with config.changing(controller.engine) as db:
            config.add_number(db, NUMBER, asterisk.app, SETTINGS)
            ann = config.add_agent(db, "ann", None)
            config.add_device(db, ann, "PJSIP/p01")
            config.put_member(db, NUMBER, ann, None, {})
        yield controller


async def doctor(controller: Controller, **changed: str) -> dict[str, str]:
    """What was checked -> the finding; "problem" or "ok" comes first in it."""
    code, out = await asyncio.to_thread(run_doctor, controller.settings | changed)
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert all(word in {"ok", "problem"} for word, _ in lines), out
    assert code == any(word == "problem" for word, _ in lines), out
    return {
        check: f"{word} {says}"
        for word, rest in lines
        for check, says in [rest.split(": ", maxsplit=1)]
    }


def run_doctor(settings: Mapping[str, str]) -> tuple[int, str]:
    kept = {key: value for key, value in os.environ.items() if key[:11] != "SHAREDLINE_"}
    ours = {f"SHAREDLINE_{key.upper()}": value for key, value in settings.items()}
    result = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "doctor"],
        cwd=CHECKOUT,
        env={**kept, "SHAREDLINE_ENV_FILE": "/nowhere/no.env", **ours},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.stderr == ""
    return result.returncode, result.stdout


def problems(findings: Mapping[str, str]) -> set[str]:
    return {check for check, says in findings.items() if says.startswith("problem")}


async def test_all_is_well(controller: Controller, lab: Lab) -> None:
    await controller.start()
    await lab.phone("p01")
    found = await doctor(controller)
    assert problems(found) == set()
    assert "22." in found["version"]
    assert found["sound vm-nobodyavail"] == "ok is there"
    assert found["sound please-try-call-later"] == "ok is there"
    assert found["spool"].startswith("ok ")
    assert found["dialplan"].startswith("ok ")
    assert found[f"app {controller.asterisk.app}"] == "ok is registered"
    assert found["phone PJSIP/p01 of ann"] == "ok is registered"


async def test_nothing_runs_but_asterisk(controller: Controller) -> None:
    found = await doctor(controller)
    app = f"app {controller.asterisk.app}"
    assert problems(found) == {"controller", app, "phone PJSIP/p01 of ann"}
    assert "-> start `sharedline serve`" in found["controller"]


async def test_a_phone_that_asterisk_does_not_know(controller: Controller) -> None:
    with config.changing(controller.engine) as db:
        config.add_device(db, config.find_agent(db, "ann"), "PJSIP/nobody")
    found = await doctor(controller)
    assert "is unknown to Asterisk" in found["phone PJSIP/nobody of ann"]


async def test_the_wrong_password(controller: Controller) -> None:
    found = await doctor(controller, ari_password="wrong")
    assert "SHAREDLINE_ARI_PASSWORD" in found["asterisk"]
    assert "version" not in found


async def test_the_wrong_path(controller: Controller) -> None:
    url = controller.settings["ari_url"].removesuffix("/ari")
    found = await doctor(controller, ari_url=url)
    assert "is no ARI" in found["asterisk"]


async def test_a_module_that_is_not_loaded(controller: Controller) -> None:
    asterisk = controller.asterisk
    await asyncio.to_thread(asterisk.cli, "module unload bridge_holding.so")
    try:
        found = await doctor(controller)
    finally:
        await asyncio.to_thread(asterisk.cli, "module load bridge_holding.so")
    assert "not running: bridge_holding ->" in found["modules"]


@pytest.mark.parametrize("module", ["app_record", "func_env", "func_uri", "func_cut", "format_wav"])
async def test_the_fallback_lacks_a_module(controller: Controller, module: str) -> None:
    await asyncio.to_thread(controller.asterisk.cli, f"module unload {module}.so")
    try:
        found = await doctor(controller)
    finally:
        await asyncio.to_thread(controller.asterisk.cli, f"module load {module}.so")
    assert f"not running: {module} ->" in found["modules"]


async def test_the_spool_is_missing_or_elsewhere(controller: Controller, tmp_path: Path) -> None:
    found = await doctor(controller, spool_dir=str(tmp_path / "none"))
    assert {"spool", "dialplan"} <= problems(found)
    assert f"{controller.asterisk.folder}/spool/sharedline" in found["dialplan"]


async def test_a_dialplan_that_is_not_ours(controller: Controller) -> None:
    name = "SL_SPOOL"
    spool = controller.settings["spool_dir"]
    await asyncio.to_thread(controller.asterisk.set_global, name, "")
    try:
        found = await doctor(controller)
    finally:
        await asyncio.to_thread(controller.asterisk.set_global, name, spool)
    assert "asterisk-conf/extensions.conf" in found["dialplan"]


async def test_asterisk_is_not_there(controller: Controller) -> None:
    await asyncio.to_thread(controller.asterisk.stop)
    try:
        found = await doctor(controller)
    finally:
        await asyncio.to_thread(controller.asterisk.start)
    assert "no answer" in found["asterisk"]
    assert "database" in found
