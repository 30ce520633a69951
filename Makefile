# Every command here does its own set-up; `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first Python that is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell scripts/find-python)
VENV := .venv/bin/python
MANAGE := $(VENV) -W error::SyntaxWarning manage.py
MINUTES ?= 120
PYTEST := $(VENV) -m pytest
SOURCES := manage.py orchestrator designer approvals scripts tests $(wildcard bench)

.PHONY: help run dev test bench soak checks install tools lint format fix types imports django docs \
        unit integration concurrency failure e2e migrate lock

help: ## List the commands
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: ## Start everything on http://127.0.0.1:8000 (PORT=...), with the demo
	@$(PYTHON) scripts/install.py run
	@exec $(VENV) scripts/run.py

dev: ## Like run, started again whenever a source file changes
	@$(PYTHON) scripts/install.py dev
	@exec $(VENV) scripts/dev.py

test: ## Everything CI runs; installs PostgreSQL, Redis and Chromium where it may
	@$(PYTHON) scripts/install.py dev
	@$(VENV) scripts/system.py
	@exec $(VENV) -m scripts.services run -- $(MAKE) --no-print-directory checks

bench: ## Benchmarks beside their peers; prints a table and writes bench/results.json
	@$(PYTHON) scripts/install.py dev
	@$(VENV) scripts/system.py postgresql redis
	@exec $(VENV) -m scripts.services --durable run -- $(VENV) -m bench

soak: ## Hours of random plays, races and killed processes (MINUTES=...); writes bench/soak.json
	@$(PYTHON) scripts/install.py dev
	@$(VENV) scripts/system.py postgresql redis
	@exec $(VENV) -m scripts.services run -- $(VENV) -m scripts.soak --minutes $(MINUTES)

install: ## Make .venv and install the locked dependencies, tools included
	@$(PYTHON) scripts/install.py dev

checks: lint types imports django docs unit integration concurrency failure e2e

format: ## Check the formatting
	@$(VENV) -m ruff format --check $(SOURCES)

fix: ## Format, and repair what ruff can
	@$(VENV) -m ruff format $(SOURCES)
	@$(VENV) -m ruff check --fix $(SOURCES)

lint: format ## Formatting, ruff, templates
	@$(VENV) -m ruff check $(SOURCES)
	@$(VENV) -m djlint templates --lint --quiet

types: ## mypy, strict
	@$(VENV) -m mypy $(SOURCES)

imports: ## The import contracts of pyproject.toml
	@$(VENV) -c "from importlinter.cli import lint_imports_command as run; run()"

django: ## Deployment checks and missing migrations
	@ALLOWED_HOSTS=amends.example $(MANAGE) check --deploy --fail-level WARNING
	@$(MANAGE) makemigrations --check --dry-run

docs: ## The words in the docs are still true
	@$(PYTEST) tests/docs -q

unit: ## Tests without a database, and of the architecture
	@$(PYTEST) tests/unit tests/model tests/architecture -q -n auto

integration: ## Tests of rows, pages and both APIs, on SQLite and on PostgreSQL
	@env -u DATABASE_URL $(PYTEST) tests/integration tests/contract -q -n auto
	@$(VENV) -m scripts.services run -- $(PYTEST) tests/integration tests/contract -q -n auto

concurrency: ## Forced races on real connections
	@$(VENV) -m scripts.services run -- $(PYTEST) tests/concurrency -q

failure: ## Real processes killed at every moment that matters
	@$(VENV) -m scripts.services run -- $(PYTEST) tests/failure -q -n 2

e2e: ## A browser on a running server
	@env -u DATABASE_URL -u REDIS_URL $(PYTEST) tests/e2e -q

migrate: ## Bring the database of .data/ up to date
	@$(MANAGE) migrate

lock: ## Choose the versions of all dependencies anew
	@$(VENV) scripts/lock.py
