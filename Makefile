PYTHON ?= python3
# Test processes, each with a server of its own: `make test WORKERS=0` runs in one process, for a debugger.
WORKERS ?= 2
PYTEST_ARGS ?=
VARIANT ?=
MODE ?=
SLICE ?= 1/1
VERSIONS ?= 15 16 17 18

UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)
LOWEST := .venv-lowest/bin
LOCKING := .venv-lock/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
LOCK := $(LOCKING)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header $(if $(UPGRADE),--upgrade)
INPUT := pyproject.toml requirements/build.in

.DEFAULT_GOAL := help
.PHONY: help venv test test-modes test-matrix test-lowest soak faults lint format lock demo bench clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

venv: $(STAMP)  ## .venv with the locked versions and this project, made again when either changes

$(STAMP): requirements/test.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) --require-hashes -r requirements/test.lock
	$(BIN)/python $(INSTALL) --no-build-isolation --no-deps -e .
	touch $@

test: venv  ## the suite, on PostgreSQL 18 or SWAP_TEST_PG, with SWAP_TEST_MODE or the default of both captures
	$(PYTEST) -m "not soak"

test-modes: venv  ## the whole suite with each capture, triggers and logical replication
	SWAP_TEST_MODE=trigger $(PYTEST) -m "not soak"
	SWAP_TEST_MODE=logical $(PYTEST) -m "not soak"

test-matrix: venv  ## the suite, with each capture, on each of VERSIONS that is installed; all of them, whichever fails
	@failed=; for version in $(VERSIONS); do \
	    if $(BIN)/python -c "from swap.demo.binaries import find_binaries; find_binaries('$$version')" 2>/dev/null; \
	    then for mode in trigger logical; do echo "== PostgreSQL $$version, $$mode"; \
	        SWAP_TEST_PG=$$version SWAP_TEST_MODE=$$mode $(PYTEST) -m "not soak" || failed="$$failed $$version/$$mode"; done; \
	    else echo "== PostgreSQL $$version is not installed here: skipped"; fi; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

test-lowest:  ## one cycle and the help with the lowest versions that pyproject.toml allows; PYTHON=python3.11, later ones lack wheels
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/python $(INSTALL) --require-hashes -r requirements/lowest.lock
	$(LOWEST)/python $(INSTALL) --no-build-isolation --no-deps -e .
	$(LOWEST)/python -m pytest -n 0 -W default::DeprecationWarning $(PYTEST_ARGS) \
	    tests/input/test_help.py tests/cutover/test_cycle.py::test_cycle_loses_nothing

soak: venv  ## cycles under load with kills and crashes; SOAK_SECONDS=600
	$(PYTEST) -m soak --timeout 0

faults: venv  ## a kill and a crash of the server after every statement of every command; SLICE=2/7 for a seventh of them
	SWAP_FAULTS_SLICE=$(SLICE) $(PYTEST) --timeout 0 tests/faults/test_kill_matrix.py

lint: venv  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv  ## rewrite the sources in the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## requirements/*.lock from pyproject.toml: what is missing or no longer fits; UPGRADE=1 for the newest versions
	$(PYTHON) -m venv .venv-lock
	$(LOCKING)/python $(INSTALL) uv==0.13.8
	$(LOCK) --generate-hashes --extra test --extra lint $(INPUT) --output-file requirements/test.lock
	$(LOCK) --generate-hashes $(INPUT) --constraint requirements/test.lock --output-file requirements/run.lock
	$(LOCK) --resolution lowest-direct --extra demo $(INPUT) --output-file .venv-lock/lowest.txt
	$(LOCK) --generate-hashes --extra test $(INPUT) --constraint .venv-lock/lowest.txt --output-file requirements/lowest.lock

demo: venv  ## the whole cycle on a private server; VARIANT=adopt or fresh, MODE=trigger or logical
	$(BIN)/swap demo $(if $(VARIANT),--variant $(VARIANT)) $(if $(MODE),--mode $(MODE))

bench: venv  ## the measurements
	$(BIN)/python -m bench

clean:  ## everything that can be made again
	rm -rf $(VENV) .venv-lowest .venv-lock build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
