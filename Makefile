PYTHON ?= python3
# Test processes, each with a server of its own: one more than processors, as tests wait for locks and for time. WORKERS=0: in one process, for a debugger.
WORKERS ?= 3
PYTEST_ARGS ?=
IMAGE_ARGS ?=
# Where it is published: no file says so.
REPOSITORY ?=
SITE_URL ?=
VARIANT ?=
MODE ?=
SLICE ?= 1/1
READS ?= exact
VERSIONS ?= 15 16 17 18

UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
# Environments of their own, each with what one target needs.
DOCS := .venv-docs
DEMO := .venv-demo
APPS := .venv-apps
STAMP := $(VENV)/installed
# What `make test` leaves out: each has a target of its own.
ORDINARY := not soak and not package and not docker and not apps
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)
LOWEST := .venv-lowest/bin
LOCKING := .venv-lock/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
LOCK := $(LOCKING)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header $(if $(UPGRADE),--upgrade)
INPUT := pyproject.toml requirements/setup.in

.DEFAULT_GOAL := help
.PHONY: help venv test test-slow test-modes test-matrix test-lowest test-package test-docker test-apps witness image dist docs captures release-notes soak faults lint format lock demo bench clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

venv: $(STAMP)  ## .venv with the locked versions and this project, made again when either changes

$(STAMP): requirements/test.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) --require-hashes -r requirements/test.lock
	$(BIN)/python $(INSTALL) --no-build-isolation --no-deps -e .
	touch $@

test: venv  ## the suite, on PostgreSQL 18 or SWAP_TEST_PG, with SWAP_TEST_MODE or the default of both captures; all but `test-slow`
	$(PYTEST) -m "$(ORDINARY) and not slow"

test-slow: venv  ## the tests that take longest, which `test` leaves out and `test-modes` and `test-matrix` run
	$(PYTEST) -m "$(ORDINARY) and slow"

test-modes: venv  ## the whole suite with each capture, triggers and logical replication
	SWAP_TEST_MODE=trigger $(PYTEST) -m "$(ORDINARY)"
	SWAP_TEST_MODE=logical $(PYTEST) -m "$(ORDINARY)"

test-matrix: venv  ## the suite, with each capture, on each of VERSIONS that is installed; all of them, whichever fails
	@failed=; for version in $(VERSIONS); do \
	    if $(BIN)/python -c "from swap.demo.binaries import find_binaries; find_binaries('$$version')" 2>/dev/null; \
	    then for mode in trigger logical; do echo "== PostgreSQL $$version, $$mode"; \
	        SWAP_TEST_PG=$$version SWAP_TEST_MODE=$$mode $(PYTEST) -m "$(ORDINARY)" || failed="$$failed $$version/$$mode"; done; \
	    else echo "== PostgreSQL $$version is not installed here: skipped"; fi; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

test-lowest:  ## one cycle and the help with the lowest versions that pyproject.toml allows; PYTHON=python3.11, later ones lack wheels
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/python $(INSTALL) --require-hashes -r requirements/lowest.lock
	$(LOWEST)/python $(INSTALL) --no-build-isolation --no-deps -e .
	$(LOWEST)/python -m pytest -n 0 -W default::DeprecationWarning $(PYTEST_ARGS) \
	    tests/input/test_help.py tests/cutover/test_cycle.py::test_cycle_loses_nothing

witness: venv  ## what the application notices before the cutover, for every schema of tests/fixtures (`make test` tries a sample)
	SWAP_WITNESS=all $(PYTEST) tests/witness

test-package: venv  ## sdist, wheel, zipapp, pipx and uvx, each installed into an environment of its own; needs the network
	$(BIN)/python -m pytest -n 0 $(PYTEST_ARGS) -m package --timeout 0 tests/package

test-apps: venv $(APPS)/installed $(APPS)/node  ## Django, SQLAlchemy, Node and Active Record under traffic; PgBouncer, and what is installed of npm and Ruby
	$(BIN)/python -m pytest -n 0 $(PYTEST_ARGS) -m apps --timeout 0 tests/apps

$(APPS)/installed: requirements/apps.lock
	@$(PYTHON) -m tools.environment $(APPS) $<

# By npm, where there is one, with the hashes of its lock file.
$(APPS)/node: tests/apps/node/package-lock.json | $(APPS)/installed
	@rm -rf $@ && mkdir $@ && cp tests/apps/node/package.json $< $@
	@if command -v npm >/dev/null; then npm ci --prefix $@ --no-audit --no-fund --silent || { rm -rf $@; exit 1; }; fi

image:  ## the image pg-uuid-swap, by Docker
	docker build --file docker/Dockerfile --tag pg-uuid-swap --build-arg REVISION="$$(git describe --always --abbrev=40 --dirty --exclude='*')" \
	    --build-arg SOURCE=$(REPOSITORY) $(IMAGE_ARGS) .

test-docker: venv  ## image and services on a base made by debootstrap, with a dockerd of its own; root, Docker and debootstrap
	$(BIN)/python -m pytest -n 0 $(PYTEST_ARGS) -m docker --timeout 0 tests/docker

dist: venv  ## sdist, wheel and zipapp, in dist/; REPOSITORY=https://… for the URLs in the package
	$(BIN)/python -m tools.dist $(if $(REPOSITORY),--repository $(REPOSITORY))

release-notes:  ## the changelog of one version: VERSION=0.2.0
	@$(PYTHON) -m tools.release_notes $(VERSION)

docs: $(DOCS)/installed  ## the site, in build/site; a broken link or an orphan page is an error; REPOSITORY, SITE_URL: its addresses
	REPOSITORY=$(REPOSITORY) SITE_URL=$(SITE_URL) $(DOCS)/bin/python -m tools.site build

captures: venv  ## the pictures of terminal and report in docs/, from a real run
	$(BIN)/python -m tools.captures

$(DOCS)/installed: requirements/docs.lock
	@$(PYTHON) -m tools.environment $(DOCS) $<

soak: venv  ## cycles under load with kills and crashes; SOAK_SECONDS=600
	$(PYTEST) -m soak --timeout 0

faults: venv  ## a kill and a crash of the server after every statement of every command; SLICE=2/7 for a seventh of them; READS=fast
	SWAP_FAULTS_SLICE=$(SLICE) SWAP_FAULTS_READS=$(READS) $(PYTEST) --timeout 0 tests/faults/test_kill_matrix.py

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
	$(LOCK) --generate-hashes --extra report pyproject.toml --constraint requirements/test.lock --output-file requirements/image.lock
	$(LOCK) --resolution lowest-direct --extra demo $(INPUT) --output-file .venv-lock/lowest.txt
	$(LOCK) --generate-hashes --extra test $(INPUT) --constraint .venv-lock/lowest.txt --output-file requirements/lowest.lock
	$(LOCK) --generate-hashes --extra demo --extra report pyproject.toml --constraint requirements/test.lock --output-file requirements/demo.lock
	$(LOCK) --generate-hashes requirements/build.in --output-file requirements/build.lock
	$(LOCK) --generate-hashes requirements/docs.in --output-file requirements/docs.lock
	$(LOCK) --generate-hashes requirements/apps.in --output-file requirements/apps.lock

demo: $(DEMO)/installed  ## the whole cycle on a private server; VARIANT=adopt or fresh, MODE=trigger, logical or rehearse
	@mkdir -p build
	@PYTHONPATH=$(CURDIR) $(DEMO)/bin/python -P -m swap demo $(if $(VARIANT),--variant $(VARIANT)) $(if $(filter rehearse,$(MODE)),--rehearse build/rehearsal.html,$(if $(MODE),--mode $(MODE)))

$(DEMO)/installed: requirements/demo.lock
	@$(PYTHON) -m tools.environment $(DEMO) $<

bench: venv  ## the measurements
	$(BIN)/python -m bench

clean:  ## everything that can be made again
	rm -rf $(VENV) .venv-lowest .venv-lock $(DOCS) $(DEMO) $(APPS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
