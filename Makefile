# PhaseGap: one command to see it work (make demo), one to test it (make test). Each sets up what it needs first.
.DEFAULT_GOAL := help
.PHONY: help install dev otel demo serve test test-slow bench quality zoo storm cluster load fuzz fuzz-api check lint format causes lock audit clean

PY := .venv/bin/python
HOST ?= 127.0.0.1
PORT ?= 8000
DATA_DIR ?= data

export TF_CPP_MIN_LOG_LEVEL ?= 3

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

install: ## the locked environment in .venv, all that serve needs
	@sh tools/install.sh worker

dev:
	@sh tools/install.sh dev

demo: install ## start the service, diagnose the founding case through HTTP, print the outcome
	@$(PY) examples/demo.py

otel: install ## what sending traces takes, on top of install
	@.venv/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements/otel.txt

serve: install ## the service on its embedded default, until interrupted
	@exec .venv/bin/phasegap serve --host $(HOST) --port $(PORT) --data-dir $(DATA_DIR)

test: dev ## the tests, without the slow ones
	@$(PY) -m pytest

test-slow: dev ## the slow tests: the founding case trained anew, the README's examples
	@$(PY) -m pytest -m slow

bench: install ## a diagnosis of the founding case against the notebook cell that it replaces
	@$(PY) benchmarks/founding_ratio.py

quality: install ## how often the diagnosis is right on fresh specimens that no threshold was set on
	@$(PY) -m benchmarks.quality --seeds 1 --show

zoo: dev ## diagnose models that nobody here wrote: Keras' architectures and layers, and what packages ship (more than an hour, 14 GiB)
	@$(PY) -m benchmarks.zoo --all

fuzz-api: dev ## hold a real service against its own OpenAPI description (minutes)
	@$(PY) -m benchmarks.fuzz_api

storm: dev ## kill -9 of any process, 100 times over 50 jobs: every accepted job ends, none twice, nothing is left
	@$(PY) -m benchmarks.kill_storm --jobs 50 --kills 100

cluster: dev ## two hosts on one PostgreSQL: processes killed and frozen, a cable pulled, a wrong clock (ten minutes, as root)
	@$(PY) -m pytest -m slow tests/cluster/test_hosts.py -rP

load: dev ## 64 clients post for five minutes more than can be run: what they get, memory, health checks
	@$(PY) -m benchmarks.load --clients 64 --seconds 300

fuzz: dev ## 10,000 spoilt models and batches through whole guests in the sandbox (two hours)
	@$(PY) -m benchmarks.fuzz_cage --count 10000

lint: dev ## format, lint, types, import contracts
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

check: lint test ## everything that must hold before a commit: lint and test

format: dev ## put the code into shape
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

causes: dev ## write the reference of all causes, which /causes serves, from the analysis
	@$(PY) tools/causes.py

lock: dev ## resolve pyproject.toml into requirements/*.txt again
	@PATH="$(CURDIR)/.venv/bin:$$PATH" sh tools/lock.sh

audit: dev ## known vulnerabilities of the locked packages; fails where one could not be looked up
	@.venv/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/dev.txt -r requirements/uv.txt

clean: ## remove the environment, caches and what the examples made; never data
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis examples/out dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
