"""`sharedline doctor` against a fake Asterisk, of which each test breaks one thing.

What a real Asterisk says is in tests/e2e/test_doctor.py.
"""

import json
import os
import re
import socket
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, text, update

from ari_app.store import config
from ari_app.store import engine as database
from ari_app.store.tables import DEVICE, JOURNAL
from cli import doctor_ari
from cli import doctor_asterisk as doctor
from cli.main import main

TOP = Path(__file__).parents[2]
NUMBER = "+493012345"
SPOOL = "/asterisk/variable?variable=SL_SPOOL"
BUILT_IN = "Answer Goto GotoIf Hangup Set Wait"
PROVIDES = {
    "app_dial": "Dial",
    "app_echo": "Echo",  # the agents' echo test: not needed
    "app_playback": "Playback",
    "app_record": "Record",
    "app_stack": "Gosub Return",
    "app_stasis": "Stasis",
    "chan_pjsip": "PJSIP_PARSE_URI_FROM",
    "func_callerid": "CALLERID",
    "func_channel": "CHANNEL",
    "func_cut": "CUT",
    "func_env": "FILE STAT",
    "func_global": "GLOBAL",
    "func_logic": "IF",
    "func_strings": "FILTER LEN",
    "func_timeout": "TIMEOUT",
    "func_uri": "URIENCODE",
}
SETTINGS = {
    "label": "Sales",
    "strategy": "ring-all",
    "ring_s": 20,
    "retry_s": 5,
    "max_wait_s": 60,
    "fallback": "announce",
}


def info(version="22.10.1"):
    return {"system": {"version": version, "entity_id": "00:00"}, "status": {}}


class FakeAsterisk(ThreadingHTTPServer):
    """Answers what `pages` holds: path -> (status, body); a body of bytes is sent as it is."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.date = None  # seconds; None: now
        self.asked = []
        modules = [*doctor.MODULES, "res_ari_sounds"]
        self.pages = {
            "/asterisk/info": (200, info()),
            "/asterisk/modules": (200, [{"name": f"{m}.so", "status": "Running"} for m in modules]),
            **{f"/sounds/{name}": (200, {"id": name, "formats": []}) for name in doctor.SOUNDS},
            "/applications/sharedline": (200, {"name": "sharedline"}),
            "/endpoints/PJSIP/ann": (200, {"resource": "ann", "state": "online"}),
        }

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/ari"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment for head and body, or each answer waits for a delayed ACK

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        page = (404, {"message": "Resource not found"})
        status, body = self.server.pages.get(self.path.removeprefix("/ari"), page)
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Date", formatdate(self.server.date, usegmt=True))
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)


@pytest.fixture
def asterisk():
    with FakeAsterisk() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def engine(tmp_path):
    """One number whose member Ann has a phone."""
    engine = database.open_engine(f"sqlite:///{tmp_path}/sharedline.db")
    database.upgrade(engine)
    with config.changing(engine) as db:
        config.add_number(db, NUMBER, "sharedline", SETTINGS)
        ann = config.add_agent(db, "ann", None)
        config.add_device(db, ann, "PJSIP/ann")
        config.put_member(db, NUMBER, ann, None, {})
    yield engine
    engine.dispose()


@pytest.fixture
def env(asterisk, engine, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    asterisk.pages[SPOOL] = (200, {"value": str(spool)})
    return {
        "SHAREDLINE_SPOOL_DIR": str(spool),
        "SHAREDLINE_ENV_FILE": f"{tmp_path}/none.env",
        "SHAREDLINE_DATABASE_URL": str(engine.url),
        "SHAREDLINE_ARI_URL": asterisk.url,
        "SHAREDLINE_ARI_PASSWORD": "secret-word",
        "SHAREDLINE_ARI_PASSWORD_FILE": None,
        "SHAREDLINE_APP": "sharedline",
    }


class Examined:
    """What doctor printed: `ok` and `problems` map what was checked to the rest of its line."""

    def __init__(self, result):
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        self.code, self.lines = result.exit_code, result.stdout.splitlines()
        assert result.stderr == ""
        assert self.lines
        assert all(line.startswith(("ok ", "problem ")) for line in self.lines)
        self.ok = self._those("ok")
        self.problems = self._those("problem")
        assert all(" -> " in says for says in self.problems.values())
        assert self.code == (1 if self.problems else 0)

    def _those(self, word):
        lines = (line.split(maxsplit=1) for line in self.lines)
        return dict(rest.split(": ", 1) for first, rest in lines if first == word)


@pytest.fixture
def examine(env):
    def run(*args, **changed):
        more = {f"SHAREDLINE_{name.upper()}": value for name, value in changed.items()}
        return Examined(CliRunner().invoke(main, ["doctor", *args], env=env | more))

    return run


@pytest.fixture
def controller(engine):
    with database.lease(engine):
        yield


# -- all is well


@pytest.mark.usefixtures("controller")
def test_all_is_well(examine):
    examined = examine()
    assert examined.problems == {}
    assert examined.code == 0
    wanted = {"settings", "database", "controller", "clock", "asterisk", "version", "modules"}
    assert wanted <= set(examined.ok)
    assert examined.ok[f"number {NUMBER}"] == "has somebody to ring"
    assert examined.ok["phone PJSIP/ann of ann"] == "is registered"


@pytest.mark.usefixtures("controller")
def test_json_says_the_same(env):
    result = CliRunner().invoke(main, ["doctor", "--json"], env=env)
    assert result.exit_code == 0
    findings = json.loads(result.stdout)
    assert all(finding["ok"] and not finding["todo"] for finding in findings)
    assert {"check": "version", "says": "Asterisk 22.10.1", "todo": "", "ok": True} in findings


def test_json_has_exit_code_1_for_a_problem_too(env):
    result = CliRunner().invoke(main, ["doctor", "--json"], env=env)
    assert result.exit_code == 1
    bad = [finding for finding in json.loads(result.stdout) if not finding["ok"]]
    assert [finding["check"] for finding in bad] == ["controller"]
    assert bad[0]["todo"]


def test_it_only_looks_and_shows_no_secret(examine, asterisk, engine):
    with engine.connect() as connection:
        before = connection.execute(text("PRAGMA data_version")).scalar()
        examined = examine()
        assert connection.execute(text("PRAGMA data_version")).scalar() == before
    assert "secret-word" not in "\n".join(examined.lines)
    assert "secret-word" not in "".join(path for path, _ in asterisk.asked)
    assert all(token.startswith("Basic ") for _, token in asterisk.asked)


# -- settings, database, controller, clock


def test_no_password(examine, asterisk):
    examined = examine(ari_password=None)
    assert "set SHAREDLINE_ARI_PASSWORD" in examined.problems["settings"]
    assert asterisk.asked == []


def test_a_password_file_that_is_not_there(examine, tmp_path):
    examined = examine(ari_password=None, ari_password_file=f"{tmp_path}/none")
    assert f"{tmp_path}/none" in examined.problems["settings"]


def test_a_wrong_setting(examine):
    examined = examine(inbox_limit="many")
    assert "SHAREDLINE_INBOX_LIMIT" in examined.problems["settings"]
    assert len(examined.lines) == 1


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://x/y", "sqlite:////nowhere/x.db", f"sqlite:///{'x' * 300}"]
)
def test_a_database_that_is_not_there_does_not_hide_asterisk(examine, url):
    examined = examine(database_url=url)
    assert set(examined.problems) == {"database"}
    assert "version" in examined.ok


def test_a_file_that_is_no_database(examine, tmp_path):
    (tmp_path / "junk.db").write_bytes(b"not a database, but longer than a header" * 40)
    examined = examine(database_url=f"sqlite:///{tmp_path}/junk.db")
    assert set(examined.problems) == {"database"}


def test_a_database_from_the_future(examine, engine):
    with database.writing(engine) as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert "upgrade the program" in examine().problems["database"]


def test_no_controller(examine):
    assert set(examine().problems) == {"controller"}


def test_a_clock_that_was_set_back(examine, engine):
    tomorrow = round((time.time() + 86_400) * 1_000_000)
    step = {"event": "CallArrived", "before": "", "after": "", "body": "{}", "commands": "[]"}
    with database.writing(engine) as db:
        db.execute(insert(JOURNAL).values(call_id=1, at=tomorrow, ignored="", **step))
    assert "clock" in examine().problems["clock"]


# -- numbers and phones


def test_no_numbers_yet(examine, engine):
    with config.changing(engine) as db:
        config.remove_number(db, NUMBER)
    assert "sharedline numbers add" in examine().problems["numbers"]


def test_a_number_without_members(examine, engine):
    with config.changing(engine) as db:
        config.remove_member(db, NUMBER, config.find_agent(db, "ann"))
    assert "sharedline members add" in examine().problems[f"number {NUMBER}"]


def test_a_number_whose_members_may_not_ring(examine, engine):
    with config.changing(engine) as db:
        config.put_member(db, NUMBER, config.find_agent(db, "ann"), None, {"may_ring": False})
    assert f"number {NUMBER}" in examine().problems


def test_a_number_whose_members_have_no_phone(examine, engine):
    with config.changing(engine) as db:
        config.remove_device(db, config.find_agent(db, "ann"), "PJSIP/ann")
    examined = examine()
    assert f"number {NUMBER}" in examined.problems
    assert "--add-phone" in examined.problems["agent ann"]


def test_a_phone_that_asterisk_does_not_know(examine, asterisk):
    del asterisk.pages["/endpoints/PJSIP/ann"]
    assert "pjsip.conf" in examine().problems["phone PJSIP/ann of ann"]


def test_a_phone_of_ours_that_asterisk_does_not_know(examine, asterisk, engine):
    del asterisk.pages["/endpoints/PJSIP/ann"]
    with database.writing(engine) as db:
        db.execute(update(DEVICE).values(managed=True))
    assert "sharedline serve" in examine().problems["phone PJSIP/ann of ann"]


def test_a_phone_that_is_not_registered(examine, asterisk):
    asterisk.pages["/endpoints/PJSIP/ann"] = (200, {"state": "offline"})
    assert "is not registered" in examine().problems["phone PJSIP/ann of ann"]


@pytest.mark.parametrize(("state", "problem"), [("wanted", ""), ("failed", "Asterisk answers 400")])
def test_a_phone_that_is_not_made_yet(examine, engine, state, problem):
    with database.writing(engine) as db:
        db.execute(update(DEVICE).values(managed=True, state=state, problem=problem))
    says = examine().problems["phone PJSIP/ann of ann"]
    assert state in says
    assert problem in says


# -- Asterisk


def test_nothing_listens(examine):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: nobody else can get it
        examined = examine(ari_url=f"http://127.0.0.1:{taken.getsockname()[1]}/ari")
    assert "no answer" in examined.problems["asterisk"]
    assert "version" not in examined.ok


def test_it_listens_and_says_nothing(examine, monkeypatch):
    monkeypatch.setattr(doctor_ari, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        examined = examine(ari_url=f"http://127.0.0.1:{mute.getsockname()[1]}/ari")
    assert "no answer" in examined.problems["asterisk"]


@pytest.mark.parametrize("url", ["", "http://", "nonsense", "http://127.0.0.1:99999/ari"])
def test_a_url_that_is_none(examine, url):
    assert "SHAREDLINE_ARI_URL" in examine(ari_url=url).problems["asterisk"]


@pytest.mark.parametrize("status", [401, 403])
def test_the_wrong_password(examine, asterisk, status):
    asterisk.pages["/asterisk/info"] = (status, {"message": "Authentication required"})
    examined = examine()
    assert "SHAREDLINE_ARI_PASSWORD" in examined.problems["asterisk"]
    assert [path for path, _ in asterisk.asked] == ["/ari/asterisk/info"]


@pytest.mark.parametrize(
    "page",
    [
        (200, b"<html>It works!</html>"),
        (200, b"\xff\xfe\x00nonsense"),
        (200, b""),
        (200, b"[" * 100_000),
        (200, []),
        (200, "text"),
        (200, {"system": []}),
        (200, {"system": {"version": ""}}),
        (404, {"message": "Resource not found"}),
        (500, {"message": "Internal Server Error"}),
        (302, b""),
    ],
)
def test_something_else_answers(examine, asterisk, page):
    asterisk.pages["/asterisk/info"] = page
    examined = examine()
    assert "is no ARI" in examined.problems["asterisk"]
    assert "version" not in examined.ok


def test_what_answers_does_not_speak_http(examine):
    def talk(server):
        with server.accept()[0] as caller:
            caller.recv(4096)
            caller.sendall(b"220 mail.example.com ESMTP\r\n" * 3)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk, args=(server,))
        thread.start()
        examined = examine(ari_url=f"http://127.0.0.1:{server.getsockname()[1]}/ari")
        thread.join()
    assert "no answer" in examined.problems["asterisk"]


def test_an_answer_can_not_steer_the_terminal(examine, asterisk):
    asterisk.pages["/asterisk/info"] = (200, info("22.10.1\x1b[2J\x1b]0;owned\x07\n[red]x"))
    examined = examine()
    assert "\x1b" not in "".join(examined.lines)
    assert "[red]x" in examined.ok["version"]


@pytest.mark.parametrize(
    ("version", "well"),
    [
        ("22.10.1", True),
        ("22.10.1+dfsg+~cs6.17.60671434-1", True),
        ("22.10.2", True),
        ("22.11.0", True),
        ("22.11.0-rc2", True),
        ("23.0.0", True),
        ("22.11.0-rc1", False),
        ("22.10.0", False),
        ("22.9.9", False),
        ("20.99.0", False),
        ("GIT-master-abc", False),
    ],
)
def test_the_version(examine, asterisk, version, well):
    asterisk.pages["/asterisk/info"] = (200, info(version))
    examined = examine()
    assert ("version" in examined.ok) is well
    assert ("version" in examined.problems) is not well


@pytest.mark.parametrize("off_s", [-30, 30])
def test_the_clocks_differ(examine, asterisk, off_s):
    asterisk.date = time.time() + off_s
    assert "NTP" in examine().problems["asterisk clock"]


def test_the_clocks_differ_by_less_than_matters(examine, asterisk):
    asterisk.date = time.time() - 1
    assert "asterisk clock" in examine().ok


def test_modules_that_are_missing_or_do_not_run(examine, asterisk):
    _, modules = asterisk.pages["/asterisk/modules"]
    modules[:] = [module for module in modules if module["name"] != "bridge_holding.so"]
    modules[0]["status"] = "Not Running"
    says = examine().problems["modules"]
    assert "bridge_holding" in says
    assert modules[0]["name"].removesuffix(".so") in says
    assert "modules.conf" in says


@pytest.mark.parametrize("page", [(404, {}), (200, b"<html>"), (200, {}), (200, [1, None, {}])])
def test_a_list_of_modules_that_is_none(examine, asterisk, page):
    asterisk.pages["/asterisk/modules"] = page
    assert "modules" in examine().problems


def test_a_sound_that_is_missing(examine, asterisk):
    del asterisk.pages["/sounds/ss-noservice"]
    examined = examine()
    assert "asterisk-core-sounds-en" in examined.problems["sound ss-noservice"]
    assert "sound vm-nobodyavail" in examined.ok


def test_sounds_that_can_not_be_asked_for(examine, asterisk):
    _, modules = asterisk.pages["/asterisk/modules"]
    modules[:] = [module for module in modules if module["name"] != "res_ari_sounds.so"]
    assert "res_ari_sounds.so" in examine().problems["sounds"]


# -- the fallback's spool


def test_there_is_no_spool(examine, tmp_path):
    (tmp_path / "spool").rmdir()
    assert "install -d -o asterisk -g sharedline" in examine().problems["spool"]


def test_the_spool_is_a_file(examine, tmp_path):
    (tmp_path / "spool").rmdir()
    (tmp_path / "spool").touch()
    assert "spool" in examine().problems


def refuse(monkeypatch, folder):
    """No access to the folder; not by its mode, since the tests may run as root."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and access(path, mode))


def test_the_spool_can_not_be_written(examine, monkeypatch, tmp_path):
    refuse(monkeypatch, tmp_path / "spool")
    assert "can't be read and written" in examine().problems["spool"]


def test_the_spool_is_in_a_folder_that_is_closed_to_us(examine, monkeypatch, tmp_path):
    is_dir = Path.is_dir

    def closed(path):
        if path == tmp_path / "spool":
            raise PermissionError(13, "Permission denied")
        return is_dir(path)

    refuse(monkeypatch, tmp_path / "spool")
    monkeypatch.setattr(Path, "is_dir", closed)
    assert "Permission denied" in examine().problems["spool"]


def test_asterisk_and_we_have_different_spools(examine, asterisk):
    asterisk.pages[SPOOL] = (200, {"value": "/var/spool/elsewhere"})
    says = examine().problems["dialplan"]
    assert "/var/spool/elsewhere" in says
    assert "SHAREDLINE_SPOOL_DIR" in says


@pytest.mark.parametrize("page", [(200, {"value": ""}), (404, {}), (200, b"<html>"), (200, [])])
def test_the_dialplan_is_not_ours(examine, asterisk, page):
    asterisk.pages[SPOOL] = page
    assert "asterisk-conf/extensions.conf" in examine().problems["dialplan"]


def test_the_app_is_not_registered(examine, asterisk):
    del asterisk.pages["/applications/sharedline"]
    assert "sharedline serve" in examine().problems["app sharedline"]


def test_another_app_is_asked_for_by_its_name(examine):
    assert "app other" in examine(app="other").problems


# -- what we need of Asterisk


def test_our_own_modules_conf_loads_what_doctor_asks_for():
    conf = (TOP / "asterisk-conf/modules.conf").read_text()
    loaded = {
        line.split("=")[1].strip().removesuffix(".so")
        for line in conf.splitlines()
        if line.startswith("load")
    }
    assert set(doctor.MODULES) <= loaded


def in_the_dialplan():
    """The applications and functions that extensions.conf uses, and the sounds it plays."""
    conf = (TOP / "asterisk-conf/extensions.conf").read_text()
    lines = [line for line in conf.splitlines() if line.startswith(("exten", " same"))]
    text = "\n".join(lines)
    used = set(re.findall(r",([A-Z][A-Za-z]+)\(", text)) | set(
        re.findall(r"\b([A-Z_]{2,})\(", text)
    )
    return used, set(re.findall(r"Playback\(([^)]+)\)", text))


def test_doctor_asks_for_the_modules_that_our_dialplan_needs():
    used, _ = in_the_dialplan()
    assert {"Record", "Stasis", "STAT", "TIMEOUT", "FILE"} <= used
    provided = {name: module for module, names in PROVIDES.items() for name in names.split()}
    unknown = used - provided.keys() - set(BUILT_IN.split())
    assert unknown == set(), "say in PROVIDES which module has it"
    assert {provided[name] for name in used & provided.keys()} - {"app_echo"} <= set(doctor.MODULES)


def test_doctor_asks_for_the_sounds_that_our_dialplan_plays():
    _, sounds = in_the_dialplan()
    assert "vm-intro" in sounds
    assert sounds | {"beep"} == set(doctor.SOUNDS)  # Record beeps
