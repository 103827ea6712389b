# `make help` lists the targets. Everything runs from this folder and writes only into it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup environments local redeploy demo preflight smoke web quick test test-web coverage matrix model lint format lock audit clean check add docs

# The Python that makes the environments. Empty: local/setup.sh looks for one.
PYTHON ?=
# Number of cores for the tests, and further arguments of pytest. tests/support/scheduling.py has more processes than cores,
# since many tests wait.
TEST_PROCESSES ?= $(shell getconf _NPROCESSORS_ONLN)
PYTEST_ARGS ?=
PYTEST = .venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile
# With bytecode: each interpreter that a test starts would otherwise compile everything that it imports.
unexport PYTHONDONTWRITEBYTECODE
# Model provider of `make local` (a real one, see docs/providers.md) and `make demo` (its fake); empty: the offline model.
PROVIDER ?=
# Of `make local`: WATCH=1 deploys at each save; WORKERS=1 is the number of workers kept up; DEBUG=1 runs one in which
# breakpoint() and debugpy work.
WATCH ?=
DEBUG ?=
WORKERS ?=
# Of `make local` and `make demo`: TRANSPORT=direct connects clients to the workers themselves; with TRANSPORT=both
# clients choose.
TRANSPORT ?=
# Of `make add`.
PACKAGE ?=
# Settings of `make preflight`, as for `npx cdk deploy`: SETTINGS='-c stage=prod -c worker_count=4'.
SETTINGS ?=
# Of `make smoke`: the deployment's address, a token (else SEGUE_TOKEN), and options such as SMOKE='--stack Segue-dev --long'.
URL ?=
SMOKE ?=
# Of `make matrix`: releases of Strands (STRANDS=1.63.0: also the project's own tests) and interpreters; empty: the range.
STRANDS ?=
PYTHONS ?=

VENV_STAMP := .venv/.stamp
EMULATOR_STAMP := .emulator/.stamp
NODE_STAMP := node_modules/.stamp
WEB_STAMP := web/node_modules/.stamp
PAGE_STAMP := web/page/dist/index.html
PAGE_SOURCES := $(shell find web/page web/client/src -name dist -prune -o -type f -print)
LOCKS := bootstrap layer worker turn authorizer emulator dev

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: ## set up everything the other targets need (quick when nothing changed)
	@$(MAKE) --no-print-directory $(if $(findstring j,$(MAKEFLAGS)),,--jobs=4) environments

# Side by side, because each waits for a registry.
environments: $(NODE_STAMP) $(PAGE_STAMP) $(VENV_STAMP) $(EMULATOR_STAMP)
	@:

local: setup ## deploy to a local AWS, start workers, open a conversation (Ctrl-C stops everything)
	@.venv/bin/python -m local up --chat $(if $(PROVIDER),--provider $(PROVIDER)) $(if $(WORKERS),--workers $(WORKERS)) \
	  $(if $(WATCH),--watch) $(if $(DEBUG),--debug) $(if $(TRANSPORT),--transport $(TRANSPORT))

redeploy: setup ## deploy what has changed and replace the workers of a running `make local`
	@.venv/bin/python -m local redeploy

check: setup ## import functions/worker/agent.py and build its agents; each mistake with file and line
	@.venv/bin/python -m local check

add: setup ## add a package for your agent: make add PACKAGE=httpx (image, text function, local environment)
	@.venv/bin/python -m local add '$(PACKAGE)'
	@$(MAKE) --no-print-directory setup

demo: setup ## one call through three redeployments, a killed worker and a stopped one; every frame is accounted for
	@.venv/bin/python -m local demo $(if $(PROVIDER),--provider $(PROVIDER)) $(if $(TRANSPORT),--transport $(TRANSPORT))

preflight: setup ## before `npx cdk deploy`: ask the AWS account for what the settings need (SETTINGS='-c stage=prod'); changes nothing
	@.venv/bin/python -m infra.preflight $(SETTINGS)

smoke: setup ## after it: play a story against the deployment at URL=… with TOKEN=… and report what came (three minutes)
	@SEGUE_TOKEN="$${TOKEN:-$$SEGUE_TOKEN}" .venv/bin/python -m smoke --url '$(URL)' $(SMOKE)

web: setup ## build the TypeScript library and the page into web/*/dist
	@cd web && npm run --silent build

quick: setup ## lint of the files changed against main, and the unit tests that are not marked slow
	@local/quick.sh $(shell getconf _NPROCESSORS_ONLN)

test: setup ## all tests
	@$(PYTEST) $(PYTEST_ARGS)

test-web: setup ## the tests of web/ alone: types, unit tests, the conformance kit, the page in a browser
	@cd web && npm run --silent check && npm run --silent test
	@.venv/bin/python -m pytest -n0 $(PYTEST_ARGS) tests/conformance tests/browser

coverage: setup ## all tests, and which lines and branches they reach (takes half as long again)
	@$(PYTEST) --cov --cov-report=term $(PYTEST_ARGS)

matrix: setup ## the library on Python 3.11 to 3.14 and on each supported Strands; STRANDS=1.63.0 tries a new release
	@.venv/bin/python -m tests.matrix $(if $(STRANDS),--strands $(STRANDS)) $(if $(PYTHONS),--python $(PYTHONS))

model: setup ## search the Promela model of the guard exhaustively, find each of its mutants (needs spin and gcc)
	@.venv/bin/python -m tests.model

docs: setup ## the documentation's site, with the API from the docstrings, into site/ (links are checked)
	@.venv/bin/python -m mkdocs build --strict --quiet --site-dir site
	@echo "site/index.html"

lint: setup ## ruff and mypy
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: setup ## write files the way `make lint` wants them
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

lock: $(VENV_STAMP) ## resolve requirements/*.in again into hashed locks
	@cd requirements && for name in $(LOCKS); do \
	  ../.venv/bin/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links --annotation-style line $(LOCK_ARGS) $$name.in -o $$name.txt || exit 1; done
	@! grep -n '://' requirements/*.txt package-lock.json web/package-lock.json

audit: setup ## ask PyPI's and npm's advisories about everything locked (says so if they cannot be reached)
	@.venv/bin/python -m local.audit

clean: ## remove the environments and everything `make` wrote
	rm -rf site .venv .emulator node_modules web/node_modules web/*/dist .segue cdk.out layers/dependencies .mypy_cache .ruff_cache .pytest_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV_STAMP): requirements/bootstrap.txt requirements/dev.txt pyproject.toml .python-version
	@PYTHON='$(PYTHON)' local/setup.sh venv
	@touch $@

$(EMULATOR_STAMP): requirements/emulator.txt $(VENV_STAMP)
	@local/setup.sh emulator
	@touch $@

$(NODE_STAMP): package-lock.json package.json
	@local/setup.sh node
	@touch $@

$(PAGE_STAMP): $(WEB_STAMP) $(PAGE_SOURCES)
	@echo 'setup: building the page'
	@cd web && npm run --silent page

$(WEB_STAMP): web/package-lock.json web/package.json
	@local/setup.sh web
	@touch $@
