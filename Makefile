# Everything runs in a virtual environment of its own; nothing outside this folder is changed.
#
#   make demo     install and record a call on this machine
#   make test     style, types and tests
#   make help     the other targets
#
# PYTHON selects the interpreter (3.11 or later). The default one gets .venv, a named one a folder
# of its own (.venv-3.12), so that several versions can live side by side.

PYTHON ?= python3
ANOTHER = name another one, for example: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifeq ($(origin PYTHON),file)
VENV ?= .venv
else
VENV ?= .venv-$(PYTHON_VERSION)
endif

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
BASE := $(VENV)/.base-$(PYTHON_VERSION)
DEV := $(VENV)/.dev-$(PYTHON_VERSION)
DOCS := $(VENV)/.docs-$(PYTHON_VERSION)
FUZZ := $(VENV)/.fuzz-$(PYTHON_VERSION)
# Up to date is an environment of this interpreter's version whose siprec is the one in this folder.
FOUND := $(shell $(BIN)/python -c 'import os, sys; from importlib.util import find_spec as find; \
  print("%d.%d" % sys.version_info[:2], os.path.realpath(find("siprec_core").origin))' 2>/dev/null)
RENEW := $(if $(filter-out $(FOUND),$(PYTHON_VERSION) $(realpath src/siprec_core/__init__.py)),renew)
PEERS := .venv-peers-$(PYTHON_VERSION)
FUZZ_SECONDS ?= 30
PYTEST_ARGS ?=
# Many tests wait for sockets and timers, so there are more processes than processors; up to 16 have ports of their own.
TEST_PROCESSES ?= $(shell $(PYTHON) -c 'import os; print(min(16, 2 * (os.cpu_count() or 1)))')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help python renew demo install dev test lint format types pytest interop bench capacity fuzz docs clean

help:
	@echo 'make demo    install into $(VENV) and record a call on this machine'
	@echo 'make test    lint, types and all tests'
	@echo 'make lint    ruff check and ruff format --check'
	@echo 'make format  ruff check --fix and ruff format'
	@echo 'make types   mypy --strict on src, tests and fuzz'
	@echo 'make pytest  the tests alone (PYTEST_ARGS="-k name" selects)'
	@echo 'make bench   benchmarks, and the comparison with other libraries into docs/reference/benchmarks.md'
	@echo 'make capacity  calls at a time and memory of sessions, into docs/reference/capacity.md'
	@echo 'make fuzz    every fuzz target for FUZZ_SECONDS ($(FUZZ_SECONDS)) seconds'
	@echo 'make docs    the manual into docs/_build/html'
	@echo 'make clean   remove environments, caches and what was built'
	@echo 'PYTHON=python3.12 selects the interpreter, VENV=folder the environment.'

python:
	@$(PYTHON) -c '' 2>/dev/null || { echo "There is no Python interpreter '$(PYTHON)'; $(ANOTHER)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "siprec needs Python 3.11 or later, '$(PYTHON)' is $(PYTHON_VERSION); $(ANOTHER)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module (Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; }

# An environment of another Python version is replaced; one of this version is kept.
$(BASE): pyproject.toml constraints.txt $(RENEW) | python
	@if ! $(BIN)/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(PYTHON_VERSION)")' 2>/dev/null; then \
	  echo "Creating $(VENV) with Python $(PYTHON_VERSION)"; $(PYTHON) -m venv --clear $(VENV); fi
	@echo "Installing siprec into $(VENV)"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

# Dependency groups need pip 25.1.
$(DEV): $(BASE)
	@echo "Installing the tools for tests, style and types"
	@$(PIP) install --constraint constraints.txt --upgrade 'pip>=25.1'
	@$(PIP) install --constraint constraints.txt --editable '.[all]' --group test --group lint
	@touch $@

$(DOCS): $(DEV)
	@$(PIP) install --constraint constraints.txt --group docs
	@touch $@

$(FUZZ): $(DEV)
	@$(PIP) install --constraint constraints.txt --group fuzz || echo "atheris is not to be had here: inputs are mutated at random instead"
	@touch $@

install: $(BASE)

dev: $(DEV)

demo: $(BASE)
	@$(BIN)/siprec demo

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV)
	$(BIN)/mypy

# Tests that need no program of others run on all cores; those that talk to one run one after another.
pytest: $(DEV)
	$(BIN)/pytest -q -n $(TEST_PROCESSES) -m 'not interop' $(PYTEST_ARGS)

interop: $(DEV)
	@command -v sipp >/dev/null || { \
	  echo 'SIPp is not installed: the tests against it are skipped.'; \
	  echo 'To run them: apt-get install sip-tester (Debian, Ubuntu)'; }
	$(BIN)/pytest -q -m interop $(PYTEST_ARGS) || [ $$? -eq 5 ]  # 5: PYTEST_ARGS selected none of these

test: lint types pytest interop

bench: $(DEV) $(PEERS)/.ready
	$(BIN)/pytest -q tests/benchmarks --benchmark-enable --benchmark-only $(PYTEST_ARGS)
	PYTHONPATH=src:. $(PEERS)/bin/python -m tests.benchmarks.peers --media --write docs/reference/benchmarks.md

# The libraries that the benchmarks compare with. One that cannot be installed costs only its own rows.
$(PEERS)/.ready: tests/benchmarks/peers.txt | python
	@echo "Installing the libraries to compare with into $(PEERS)"
	@$(PYTHON) -m venv --clear $(PEERS)
	@grep -v '^#' $< | while read -r peer; do \
	  $(PEERS)/bin/python -m pip -qq --disable-pip-version-check --no-input install --no-deps "$$peer" </dev/null \
	  || echo "$$peer is not to be had here"; done
	@touch $@

# Needs a machine that does nothing else, for about five minutes.
capacity: $(DEV)
	PYTHONPATH=src:. $(BIN)/python -m tests.benchmarks.capacity --write docs/reference/capacity.md

fuzz: $(FUZZ)
	$(BIN)/python -m fuzz.run --all --seconds $(FUZZ_SECONDS)

docs: $(DOCS)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo 'Open docs/_build/html/index.html'

clean:
	rm -rf .venv .venv-* build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .coverage
	find src tests fuzz -name __pycache__ -type d -prune -exec rm -rf {} +
