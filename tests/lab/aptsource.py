"""Find the Debian mirror that this machine's own apt uses, so that none is named in the project.

Contract: `debian_source()` reads both formats (deb822 `*.sources` and one-line `*.list`) and
returns the first main archive, or None; `fetch_options()` are the machine's apt settings for
proxies, certificates and dates, in the form that another apt accepts. Reads only.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCES_DIR = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
GENERIC_SUITES = frozenset({"oldstable", "stable", "testing", "unstable", "sid"})


@dataclass(frozen=True)
class AptSource:
    """A mirror of Debian's main archive, and the keyring to check it with (if one is known)."""

    uri: str
    keyring: Path | None


def debian_source(apt_dir: Path = SOURCES_DIR) -> AptSource | None:
    keyring = KEYRING if KEYRING.is_file() else None
    if override := os.environ.get("SHAREDLINE_DEBIAN_MIRROR"):
        return AptSource(override, keyring)
    suites = GENERIC_SUITES | {_codename()}
    for uri, suite in _entries(apt_dir):
        if suite in suites:  # `trixie-security` and third-party suites are other archives
            return AptSource(uri, keyring)
    return None


def fetch_options() -> list[str]:
    """The host's `Acquire::` settings that decide whether a download works at all."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    wanted = re.compile(
        r'Acquire::(https?::[\w:.-]+|ftp::\w+|Check-(Valid-Until|Date)|Retries) ".+";'
    )
    return [line for line in dump.stdout.splitlines() if wanted.fullmatch(line)]


def _codename() -> str:
    """This Debian's suite; empty on another distribution, whose mirror has no sid."""
    release = Path("/etc/os-release")
    lines = release.read_text().splitlines() if release.is_file() else []
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    if values.get("ID", "").strip('"') != "debian":
        return ""
    return values.get("VERSION_CODENAME", "").strip('"')


def _entries(apt_dir: Path) -> Iterator[tuple[str, str]]:
    parts = apt_dir / "sources.list.d"
    for path in [*sorted(parts.glob("*.sources")), apt_dir / "sources.list"]:
        if path.is_file():
            read = _deb822 if path.suffix == ".sources" else _one_line
            yield from read(path.read_text())
    for path in sorted(parts.glob("*.list")):
        yield from _one_line(path.read_text())


def _deb822(text: str) -> Iterator[tuple[str, str]]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        unfolded = re.sub(r"\n[ \t]+", " ", "\n".join(lines))
        pairs = (line.split(":", 1) for line in unfolded.splitlines() if ":" in line)
        field = {key.strip().lower(): value.split() for key, value in pairs}
        enabled = field.get("enabled", ["yes"])[0].lower() not in {"no", "false", "off", "0"}
        if enabled and "deb" in field.get("types", []):
            for uri in field.get("uris", []):
                yield from ((uri, suite) for suite in field.get("suites", []))


def _one_line(text: str) -> Iterator[tuple[str, str]]:
    entry = re.compile(r"^\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", re.MULTILINE)
    for found in entry.finditer(text):
        yield found[1], found[2]
