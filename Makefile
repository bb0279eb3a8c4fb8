# Everything a fresh Debian machine needs is installed by the target that needs it.

SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check unit e2e sim chaos docs conf

help: ## what can be made
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/'

$(STAMP): pyproject.toml constraints.txt tools/venv.sh
	@tools/venv.sh $(VENV)
	@touch $@

demo: $(STAMP) ## Asterisk, a number, three phones and a caller, until Ctrl-C
	@$(PY) -m tests.lab.demo

test: check unit e2e ## everything the tests need, then all tests

check: $(STAMP) ## style, types, imports
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

unit: $(STAMP) ## tests without Asterisk; the core must be covered to the last branch
	$(VENV)/bin/coverage run -m pytest -q tests/core tests/runtime
	$(VENV)/bin/coverage report
	$(PY) -m pytest -q -m "not e2e" -n 2 --dist loadfile --ignore tests/core --ignore tests/runtime

e2e: $(STAMP) ## tests on a real Asterisk with real phones
	$(PY) -m tests.lab.root
	$(PY) -m pytest -q -m e2e -n 2 --dist loadfile

SEEDS ?= 2000
FIRST ?= 1

sim: $(STAMP) ## whole days against a fake Asterisk with faults: make sim SEEDS=10000 FIRST=1
	$(PY) -m ari_app.sim --seeds $(SEEDS) --first $(FIRST)

ROUNDS ?= 10

chaos: $(STAMP) ## kill the controller while people talk: make chaos ROUNDS=10
	$(PY) -m tests.lab.chaos --rounds $(ROUNDS)

docs: $(STAMP) ## write the pages that are made from the code
	$(PY) -m tools.states

conf: $(STAMP) ## render asterisk-conf/ for your own Asterisk: make conf DEST=/etc/asterisk
	@$(PY) -m tools.conf "$(DEST)"
