"""Run Asterisk instances of our own configuration, isolated from each other and from the machine.

Contract: `with AsteriskInstance(root) as asterisk:` gives a fully booted Asterisk on 127.0.0.1
with its own ports and folders; `stop`, `kill9` and `restart` act on that process alone. Blocking
(use `asyncio.to_thread` from asyncio). Failures are one `LabError` line with the log's tail.
"""

import atexit
import base64
import contextlib
import http.client
import json
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab.ports import PortBlock
from tests.lab.root import CHECKOUT, LabError, Root, ensure_root

CONF_DIR = CHECKOUT / "asterisk-conf"
ARI_USER = "sharedline"
BOOT_DEADLINE_S = 30.0
STOP_DEADLINE_S = 5.0
PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
DYNAMIC = "/asterisk/config/dynamic/res_pjsip"
# What [agent] in pjsip.conf says; without a valid `allow` the object can't even be deleted.
PUSHED_ENDPOINT = {
    "context": "from-agents",
    "disallow": "all",
    "allow": "ulaw,alaw",
    "direct_media": "no",
    "allow_transfer": "no",
    "device_state_busy_at": "1",
    "rtp_symmetric": "yes",
    "force_rport": "yes",
    "rewrite_contact": "yes",
}
# Mounts live in the instance's own mount namespace and vanish with it. The tmpfs hides the root's
# folder of that name, so that instance folders leave no trace in the shared root. `exec` keeps
# one pid all the way: the pid that we started is Asterisk's own.
ENTER_ROOT = """
set -e
root=$1 dir=$2 top=$3
shift 3
mount --bind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/$top"
mount -t tmpfs tmpfs "$root/$top"
mkdir -p "$root$dir"
mount --bind "$dir" "$root$dir"
exec chroot "$root" "$@"
"""


def render(dest: Path, values: Mapping[str, str], source: Path = CONF_DIR) -> None:
    """Copy asterisk-conf/*.conf to `dest` with @NAME@s replaced; an unknown one is an error."""
    dest.mkdir(parents=True, exist_ok=True)
    for template in sorted(source.glob("*.conf")):
        text = template.read_text()
        unknown = set(PLACEHOLDER.findall(text)) - values.keys()
        if unknown:
            raise LabError(f"{template.name}: no value for {', '.join(sorted(unknown))}")
        (dest / template.name).write_text(PLACEHOLDER.sub(lambda m: values[m[1]], text))


class AsteriskInstance:
    """One Asterisk: its ports, folders and process."""

    def __init__(
        self,
        root: Root | None = None,
        *,
        folder: Path | None = None,
        app: str = "sharedline",
        phones: Mapping[str, str] | None = None,
        values: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """`phones`: name -> password; `values`: placeholders; `extra`: file -> text to append."""
        self.root = root or ensure_root()
        self._own_folder = folder is None
        self.folder = (folder or Path(tempfile.mkdtemp(prefix="sharedline-asterisk-"))).resolve()
        self.app = app
        self.phones = dict(phones or {})
        self.values = dict(values or {})
        self.extra = dict(extra or {})
        self.ports = PortBlock.take()
        self._entity_id = ":".join(re.findall("..", secrets.token_hex(6)))
        self.ari_user = ARI_USER
        self.ari_password = secrets.token_urlsafe(18)
        self.boot_log: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    # -- where things are

    @property
    def sip_port(self) -> int:
        return self.ports.sip

    @property
    def http_port(self) -> int:
        return self.ports.http

    @property
    def trunk_port(self) -> int:
        """Where the demo trunk sends outbound calls: bind the carrier's phone here."""
        return self.ports.trunk

    @property
    def ari_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/ari"

    @property
    def rest_api_dir(self) -> Path:
        """The description of ARI that this Asterisk ships."""
        return self.root.data_dir / "rest-api"

    @property
    def recording_dir(self) -> Path:
        return self.folder / "spool/recording"

    @property
    def pid(self) -> int | None:
        """Asterisk's own pid, None when it doesn't run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    # -- life

    def start(self) -> Self:
        """Return when it is fully booted."""
        if self.pid is not None:
            raise LabError("this Asterisk runs already")
        self._write_files()
        with (self.folder / "log/console.log").open("ab") as console:
            self._process = subprocess.Popen(
                self._command("-f", "-n"),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us, and we stop it in order
            )
        atexit.register(self.stop)
        self._wait_booted(time.monotonic() + BOOT_DEADLINE_S)
        return self

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; safe to call twice."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """The same ports, folders and database."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop for good: free the ports, and remove the folder if we made it."""
        self.stop()
        self.ports.free()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- asking it

    def cli(self, command: str) -> str:
        """What `asterisk -rx` prints."""
        result = subprocess.run(
            self._command("-n", "-rx", command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        if result.returncode:
            raise LabError(f"asterisk -rx '{command}' failed: {result.stderr.strip()[-200:]}")
        return result.stdout

    def ari(self, method: str, path: str, data: object = None, **query: str) -> Any:
        """One ARI request (`data` is its JSON body); the decoded answer, None when empty."""
        token = base64.b64encode(f"{self.ari_user}:{self.ari_password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        target = f"/ari{path}?{urllib.parse.urlencode(query)}"
        payload = None if data is None else json.dumps(data)
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, target, payload, headers)
            reply = connection.getresponse()
            text = reply.read()
        if reply.status >= 400:
            raise LabError(f"{method} {path}: {reply.status} {text.decode()[:200]}")
        return json.loads(text) if text else None

    def set_global(self, name: str, value: str) -> None:
        """A global variable of the dialplan, e.g. FALLBACK_4930123456 = PJSIP/p01."""
        self.ari("POST", "/asterisk/variable", variable=name, value=value)

    def push_phone(self, name: str, password: str = "", *, contact: str = "") -> None:
        """A phone as ARI push configuration; with a `contact` it needs no registration. AstDB
        writes it within a second: a kill -9 before that loses it (seen on 22.10.1)."""
        aor = {"max_contacts": "1", "remove_existing": "yes"}
        objects: dict[str, dict[str, str]] = {
            "auth": {"auth_type": "digest", "username": name, "password": password or name},
            "aor": {**aor, "contact": contact} if contact else aor,
            "endpoint": {**PUSHED_ENDPOINT, "auth": name, "aors": name},
        }
        for kind, fields in objects.items():
            pairs = [{"attribute": key, "value": value} for key, value in fields.items()]
            self.ari("PUT", f"{DYNAMIC}/{kind}/{name}", {"fields": pairs})

    def remove_phone(self, name: str) -> None:
        for kind in ("endpoint", "aor", "auth"):
            self.ari("DELETE", f"{DYNAMIC}/{kind}/{name}")

    def log_lines(self, levels: Sequence[str] = ("WARNING", "ERROR")) -> list[str]:
        """The log's lines of these levels since the folder was made."""
        return [line for line in self._log() if any(f" {level}[" in line for level in levels)]

    # -- inside

    def _write_files(self) -> None:
        for name in ("run", "state", "spool/recording", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        render(self.folder / "etc", self._all_values())
        for name, text in self.extra.items():
            with (self.folder / "etc" / name).open("a") as conf:
                conf.write(f"\n{text}\n")
        (self.folder / "etc/phones.conf").write_text(
            "".join(_phone(name, password) for name, password in self.phones.items())
        )

    def _all_values(self) -> dict[str, str]:
        return {
            "APP": self.app,
            "ARI_PASSWORD": self.ari_password,
            "ENTITY_ID": self._entity_id,
            "ETC_DIR": str(self.folder / "etc"),
            "HTTP_BIND": "127.0.0.1",
            "HTTP_PORT": str(self.http_port),
            "LOG_DIR": str(self.folder / "log"),
            "RTP_END": str(self.ports.rtp_end),
            "RTP_START": str(self.ports.rtp_start),
            "RUN_DIR": str(self.folder / "run"),
            "SIP_BIND": "127.0.0.1",
            "SIP_PORT": str(self.sip_port),
            "SPOOL_DIR": str(self.folder / "spool"),
            "STATE_DIR": str(self.folder / "state"),
            "TONES": "de",
            "TRUNK_CONTACT": f"sip:127.0.0.1:{self.trunk_port}",
            "TRUNK_HOST": "127.0.0.1",
            "TRUNK_REGION": "DE",
            **self.values,
        }

    def _command(self, *args: str) -> list[str]:
        asterisk = [self.root.command(), "-C", str(self.folder / "etc/asterisk.conf"), *args]
        if self.root.is_host:
            return asterisk
        top = self.folder.parts[1]
        if top in {"etc", "usr", "lib", "bin", "proc", "dev"}:
            raise LabError(f"an instance can't live under /{top}: choose another folder")
        enter = ["unshare", "-m", "--propagation", "private", "sh", "-c", ENTER_ROOT, "sh"]
        return [*enter, str(self.root.path.resolve()), str(self.folder), top, *asterisk]

    def _wait_booted(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if self.pid is None:
                raise LabError(f"asterisk ended while starting; its log says:\n{self._tail()}")
            if self._answers():
                self.cli("core waitfullybooted")
                self.boot_log = self._log()
                return
            time.sleep(0.05)
        self.stop()
        raise LabError(f"asterisk not up after {BOOT_DEADLINE_S:.0f} s; log:\n{self._tail()}")

    def _answers(self) -> bool:
        try:
            self.ari("GET", "/asterisk/info", only="status")
        except (LabError, OSError):
            return False
        return True

    def _log(self) -> list[str]:
        log = self.folder / "log/messages.log"
        return log.read_text(errors="replace").splitlines() if log.exists() else []

    def _tail(self) -> str:
        text = (self.folder / "log/console.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def _end(self, first: signal.Signals) -> None:
        process = self._process
        self._process = None
        atexit.unregister(self.stop)
        if process is None or process.poll() is not None:
            return
        process.send_signal(first)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _phone(name: str, password: str) -> str:
    return (
        f"[{name}](agent)\nauth = {name}\naors = {name}\n\n"
        f"[{name}](agent-auth)\nusername = {name}\npassword = {password}\n\n"
        f"[{name}](agent-aor)\n\n"
    )
