"""`make conf DEST=/etc/asterisk`: render asterisk-conf/ for an Asterisk of your own.

Contract: files that exist in DEST are never overwritten; they are named, and the new text is put
beside them as NAME.sharedline. Values come from the environment (ARI_PASSWORD, TRUNK_HOST, ...) or
have a default; the ARI password is generated when none is given, and kept in the file alone.
"""

import os
import secrets
import sys
import tempfile
from pathlib import Path

from tests.lab.asterisk import render

DEFAULTS = {
    "APP": "sharedline",
    "ARI_PASSWORD": "",
    "ENTITY_ID": "",
    "ETC_DIR": "/etc/asterisk",
    "HTTP_BIND": "127.0.0.1",
    "HTTP_PORT": "8088",
    "LOG_DIR": "/var/log/asterisk",
    "RTP_END": "20000",
    "RTP_START": "10000",
    "RUN_DIR": "/var/run/asterisk",
    "SIP_BIND": "0.0.0.0",
    "SIP_PORT": "5060",
    "SPOOL_DIR": "/var/spool/asterisk",
    "STATE_DIR": "/var/lib/asterisk",
    "TONES": "us",
    "TRUNK_CONTACT": "sip:trunk.example.com",
    "TRUNK_HOST": "trunk.example.com",
    "TRUNK_REGION": "US",
}


def main(arguments: list[str]) -> int:
    """Render to the folder that is named; the exit code."""
    if len(arguments) != 1 or not arguments[0]:
        sys.stderr.write("say where to: make conf DEST=/etc/asterisk\n")
        return 2
    values = {name: os.environ.get(name, default) for name, default in DEFAULTS.items()}
    values["ARI_PASSWORD"] = values["ARI_PASSWORD"] or secrets.token_urlsafe(18)
    values["ENTITY_ID"] = values["ENTITY_ID"] or _entity_id()
    destination = Path(arguments[0])
    with tempfile.TemporaryDirectory() as folder:
        render(Path(folder), values)
        for source in sorted(Path(folder).iterdir()):
            _place(source, destination)
    password = f"ARI's password is in {destination}/ari.conf"
    sys.stdout.write(f"{password}: give it to sharedline (docs/operations.md)\n")
    return 0


def _place(source: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / source.name
    if target.exists():
        target = folder / f"{source.name}.sharedline"
        compare = f"compare it with {target.name}"
        sys.stdout.write(f"{source.name} exists and is left alone: {compare}\n")
    target.touch(mode=0o640)  # before the secret is in it
    target.write_text(source.read_text())
    return target


def _entity_id() -> str:
    digits = secrets.token_hex(6)
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
