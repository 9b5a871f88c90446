PYTHON ?= python3
# Test processes, each with a server of its own: `make test WORKERS=0` runs in one process, for a debugger.
WORKERS ?= 2
PYTEST_ARGS ?=
VARIANT ?=
MODE ?=
SLICE ?= 1/1
VERSIONS ?= 15 16 17 18

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

.DEFAULT_GOAL := help
.PHONY: help venv test test-modes test-matrix witness soak faults lint format demo bench clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

venv: $(STAMP)  ## .venv with the locked versions and this project, made again when either changes

$(STAMP): requirements/test.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/test.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
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

witness: venv  ## what the application notices before the cutover, for every schema of tests/fixtures (`make test` tries a sample)
	SWAP_WITNESS=all $(PYTEST) tests/witness

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

demo: venv  ## the whole cycle on a private server; VARIANT=adopt or fresh, MODE=trigger or logical
	$(BIN)/swap demo $(if $(VARIANT),--variant $(VARIANT)) $(if $(MODE),--mode $(MODE))

bench: venv  ## the measurements
	$(BIN)/python -m bench

clean:  ## everything that can be made again
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
