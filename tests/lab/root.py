"""Get an Asterisk new enough to test with: `ensure_root() -> Root`, or `python -m tests.lab.root`.

Contract: an installed Asterisk >= MINIMUM is used as it is (`Root.path == Path("/")`). Otherwise a
root folder is built once from Debian sid and cached; the mirror is the machine's own apt mirror.
Safe to interrupt and to repeat: a build happens in `*.partial-*` under a lock and is then renamed.
Every failure is one `LabError` line that says what to do. Needs root rights (chroot, mounts).
"""

import fcntl
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.aptsource import AptSource, debian_source, fetch_options

MINIMUM = (22, 10, 1)  # GHSA-wcvv, GHSA-vrfp: older ones have known holes
SUITE = "sid"  # the only Debian suite that carries Asterisk
PACKAGES = (
    "asterisk",
    "asterisk-modules",
    "asterisk-core-sounds-en-wav",
    "asterisk-moh-opsound-wav",
    "ca-certificates",
)
CHECKOUT = Path(__file__).resolve().parents[2]
HOST_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")


class LabError(RuntimeError):
    """The lab can't go on; the message is one line that says what to do."""


@dataclass(frozen=True)
class Root:
    """A folder (or the machine itself) that holds an Asterisk."""

    path: Path
    version: tuple[int, ...]

    @property
    def is_host(self) -> bool:
        return self.path == Path("/")

    @property
    def data_dir(self) -> Path:
        """Where sounds, music and the REST API's description are."""
        for candidate in ("usr/share/asterisk", "var/lib/asterisk"):
            if (self.path / candidate / "rest-api").is_dir():
                return self.path / candidate
        raise LabError(f"no rest-api folder in {self.path}: install the asterisk package again")

    def command(self, binary: str = "asterisk") -> str:
        """The program's path as seen from inside the root."""
        return f"/usr/sbin/{binary}" if not self.is_host else (_installed() or binary)


def say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def ensure_root() -> Root:
    """The cached root, built when there is none yet."""
    if installed := _installed_root():
        return installed
    _require_root_rights()
    path = _cache_dir() / f"asterisk-root-{_fingerprint()}"
    if not path.is_dir():
        with _build_lock() as lock:
            if not path.is_dir():  # another builder may have finished while we waited
                _build(path, lock)
    _link(path)
    return Root(path, _checked_version(path))


def ensure_packages(names: Sequence[str]) -> None:
    """Install host packages that are missing, e.g. `ensure_packages(["sip-tester"])`."""
    missing = [name for name in names if not _package_installed(name)]
    if not missing:
        return
    _require_root_rights()
    say(f"installing {' '.join(missing)}")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    if _apt(install).returncode == 0:
        return
    say("updating the package lists")
    _apt(["apt-get", "update", "-q"])
    result = _apt(install)
    if result.returncode:
        raise LabError(f"can't install {' '.join(missing)}: {_last_line(result.stdout)}")


def _installed() -> str | None:
    return shutil.which("asterisk", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _installed_root() -> Root | None:
    binary = _installed()
    if binary is None:
        return None
    version = _version([binary, "-V"])
    if version >= MINIMUM:
        return Root(Path("/"), version)
    say(f"ignoring the installed asterisk {_dotted(version)}: older than {_dotted(MINIMUM)}")
    return None


def _version(command: Sequence[str]) -> tuple[int, ...]:
    out = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    found = re.search(r"Asterisk (\d+)\.(\d+)\.(\d+)", out)
    return tuple(int(part) for part in found.groups()) if found else (0, 0, 0)


def _checked_version(path: Path) -> tuple[int, ...]:
    version = _version(["chroot", str(path), "/usr/sbin/asterisk", "-V"])
    if version < MINIMUM:  # sid moves; say it rather than fail, most tests still tell something
        say(f"warning: {path} has asterisk {_dotted(version)}, older than {_dotted(MINIMUM)}")
    return version


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sharedline"


def _fingerprint() -> str:
    return hashlib.sha256(" ".join([SUITE, *PACKAGES]).encode()).hexdigest()[:10]


def _require_root_rights() -> None:
    if os.geteuid() != 0:
        raise LabError(
            "needs root rights (chroot, mounts): run it with sudo, or install asterisk >= "
            f"{_dotted(MINIMUM)} yourself"
        )


@contextmanager
def _build_lock() -> Iterator[int]:
    _cache_dir().mkdir(parents=True, exist_ok=True)
    with (_cache_dir() / "asterisk-root.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building the asterisk root, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _build(path: Path, lock: int) -> None:
    for stale in path.parent.glob(f"{path.name}.partial-*"):  # ours alone: we hold the lock
        shutil.rmtree(stale)
    source = debian_source()
    if source is None:
        raise LabError(
            "no Debian mirror in this machine's apt sources: set SHAREDLINE_DEBIAN_MIRROR=<url>"
        )
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    started = time.monotonic()
    say(f"building an Asterisk root folder from Debian {SUITE} (about a minute, 400 MB)")
    _bootstrap(partial, source, lock)
    _finish(partial)
    partial.rename(path)
    say(f"built {path} in {time.monotonic() - started:.0f} s")


def _bootstrap(partial: Path, source: AptSource, lock: int) -> None:
    """The tool inherits the lock: when we are killed and it lives on, the next builder waits."""
    if shutil.which("mmdebstrap") is None and shutil.which("debootstrap") is None:
        ensure_packages(["mmdebstrap"])
    include = f"--include={','.join(PACKAGES)}"
    keyring = [f"--keyring={source.keyring}"] if source.keyring else []
    if shutil.which("mmdebstrap"):
        aptopts = [f"--aptopt={line}" for line in fetch_options()]
        tool = ["mmdebstrap", "--variant=apt", include, *keyring, *aptopts]
    else:
        tool = ["debootstrap", "--variant=minbase", include, *keyring]
    # a mount namespace of its own: an interrupted debootstrap leaves no mounts behind, which the
    # rmtree of the next try would otherwise walk into
    command = ["unshare", "-m", "--propagation", "private", *tool]
    result = subprocess.run(
        [*command, SUITE, str(partial), source.uri],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        pass_fds=(lock,),
    )
    if result.returncode:
        raise LabError(f"building the root failed: {_error_line(result.stdout)}")


def _finish(root: Path) -> None:
    # Without the machine's own name in the root's hosts every SDP that Asterisk builds waits on
    # DNS: calls stall for 20 s and more from about 20 calls/s (design.md section 13).
    (root / "etc/hosts").write_text(
        f"127.0.0.1 localhost\n127.0.1.1 {socket.gethostname()}\n::1 localhost\n"
    )
    certificates = Path("/") / HOST_CERTIFICATES
    if certificates.is_file():  # the machine may trust a CA of its own; apt in the root then too
        shutil.copyfile(certificates, root / HOST_CERTIFICATES)


def _link(path: Path) -> None:
    link = CHECKOUT / "var/asterisk-root"
    if link.is_symlink() and link.readlink() == path:
        return
    link.parent.mkdir(exist_ok=True)
    fresh = link.with_name(f".asterisk-root-{os.getpid()}")
    fresh.symlink_to(path)
    fresh.replace(link)


def _package_installed(name: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", name]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return result.stdout == "installed"


def _apt(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no output"


def _error_line(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith(("E:", "Err:"))]
    return errors[0] if errors else _last_line(text)


def main() -> int:
    try:
        root = ensure_root()
    except LabError as error:
        say(str(error))
        return 1
    say(f"asterisk {_dotted(root.version)} in {root.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
