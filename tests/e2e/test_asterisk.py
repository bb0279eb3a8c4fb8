"""The configuration we ship starts clean, and instances live and die alone."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

import pytest

from tests.lab.asterisk import CONF_DIR, AsteriskInstance, render
from tests.lab.root import LabError, Root

pytestmark = pytest.mark.e2e


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_starts_with_a_clean_log(asterisk: AsteriskInstance) -> None:
    boot = asterisk.boot_log
    assert boot
    assert [line for line in boot if " WARNING[" in line or " ERROR[" in line] == []
    assert (asterisk.rest_api_dir / "channels.json").is_file()


def test_two_instances_live_side_by_side(asterisk: AsteriskInstance, root: Root) -> None:
    with AsteriskInstance(root) as other:
        assert other.pid != asterisk.pid
        assert {other.sip_port, other.http_port}.isdisjoint({asterisk.sip_port, asterisk.http_port})
        other.set_global("WHO", "other")
        assert asterisk.ari("GET", "/asterisk/variable", variable="WHO")["value"] == ""
    assert asterisk.ari("GET", "/asterisk/info")  # the end of one leaves the other alone


def test_the_pid_is_asterisk_and_stop_leaves_nothing(root: Root) -> None:
    with AsteriskInstance(root) as instance:
        pid = instance.pid
        assert pid is not None
        assert Path(f"/proc/{pid}/comm").read_text().strip() == "asterisk"
        instance.stop()
        assert not running(pid)
        assert instance.pid is None
    mounts = Path("/proc/self/mounts").read_text()
    assert str(root.path) not in mounts or root.is_host
    assert not instance.folder.exists()


def test_starts_again_after_kill9_and_keeps_pushed_phones(root: Root) -> None:
    with AsteriskInstance(root) as instance:
        ports = (instance.sip_port, instance.http_port)
        instance.push_phone("ann", "in-a-test")
        deadline = time.monotonic() + 5
        while not in_database(instance, "ann"):  # AstDB commits once a second
            assert time.monotonic() < deadline
            time.sleep(0.02)
        instance.kill9()
        instance.start()
        assert (instance.sip_port, instance.http_port) == ports
        assert instance.ari("GET", "/endpoints/PJSIP/ann")["resource"] == "ann"
        # Asterisk writes stir_shaken into AstDB with every pushed endpoint and complains when it
        # reads it back: 2 lines per PUT and 3 per endpoint and start, none per REGISTER or call.
        assert [line for line in instance.log_lines() if "stir_shaken" not in line] == []


def in_database(instance: AsteriskInstance, name: str) -> bool:
    with contextlib.closing(sqlite3.connect(instance.folder / "state/astdb.sqlite3")) as database:
        query = "SELECT count(*) FROM astdb WHERE key LIKE ?"
        return bool(database.execute(query, (f"/ps_endpoints/%{name}",)).fetchone()[0])


def test_render_names_the_forgotten_placeholder(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no value for"):
        render(tmp_path, {}, CONF_DIR)


def test_a_broken_configuration_is_told_with_the_log(root: Root) -> None:
    broken = AsteriskInstance(root, extra={"modules.conf": "require = no_such_module.so"})
    try:
        with pytest.raises(LabError, match="no_such_module"):
            broken.start()
    finally:
        broken.close()
