#!/usr/bin/env bash
# Make the virtual environment in $1 with this project and all its tools, versions as in
# constraints.txt. Installs Python's venv module and make's helpers from Debian where missing.
set -euo pipefail
venv=$1

say() { printf 'sharedline: %s\n' "$*" >&2; }

python=$(command -v python3) || python=
if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    if [ "$(id -u)" != 0 ]; then
        say "python3 with venv is missing: run as root, or: apt-get install python3 python3-venv"
        exit 1
    fi
    say "installing python3 and python3-venv from Debian"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv >&2
    python=$(command -v python3)
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "$("$python" --version) is too old: sharedline needs Python 3.11 or newer"
    exit 1
fi
[ -x "$venv/bin/python" ] || { say "making $venv"; "$python" -m venv "$venv"; }
say "installing what pyproject.toml names (about half a minute)"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
