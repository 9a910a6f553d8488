# Needs Python 3.11 or later; everything else comes from the Python package index, pinned and hashed.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PORT ?= 8080
STATE_DIR ?= .run
BROKER ?= tansu
TARGET ?= stack
N ?= 1000
CLIENTS ?= 32
RATE ?= 0
SEEDS ?= 20000
FROM ?= 0
export STACK ?= embedded

VENV := .venv
READY := $(VENV)/requirements-dev.lock
RUN := $(VENV)/bin/python
COMPILE := $(VENV)/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help run demo smoke test check simulate mutants torture bench lint format lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

run: $(READY) ## the whole system on this machine: PORT=8080 STATE_DIR=.run ALLOW_LOOPBACK=1 BROKER=tansu|kafka
	@exec $(RUN) -m deploy.stack run --port $(PORT) --state-dir $(STATE_DIR) --broker $(BROKER) \
		$(if $(filter 1 true yes,$(ALLOW_LOOPBACK)),--allow-loopback)

demo: $(READY) ## watch the promises being kept: TARGET=stack|compose
	@exec $(RUN) -m deploy.demo --target $(TARGET)

smoke: $(READY) ## build the image, walk the demo on its containers, and again on new ones; needs Docker
	@exec $(RUN) -m deploy.demo.smoke

test: check ## everything: STACK=embedded|kafka|containers|external
	$(RUN) -m pytest tests/contract tests/integration tests/e2e

check: lint ## in two minutes: format, lint, types, import contracts, unit and architecture tests
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m pytest tests/unit tests/architecture

simulate: $(READY) ## schedules of faults on a virtual clock: SEEDS=20000 FROM=0
	@PYTHONHASHSEED=0 $(RUN) -m tests.simulation --seeds $(SEEDS) --from $(FROM)

mutants: $(READY) ## plant known-bad variants one by one and show which test catches each (about ten minutes)
	@$(RUN) -m tests.mutants

torture: $(READY) ## faults on purpose, checked from outside: ONLY=kills,stops SEED=17 BROKER=kafka|tansu JSON=torture.json
	@$(RUN) -m tests.torture --broker $(if $(filter file,$(origin BROKER)),kafka,$(BROKER)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(JSON))

bench: $(READY) ## throughput and latency: WORKLOADS=a,b N=1000 CLIENTS=32 RATE=0 JSON=file STACK=embedded|kafka
	@exec $(RUN) -m deploy.bench --n $(N) --clients $(CLIENTS) --rate $(RATE) --stack $(STACK) \
		$(if $(WORKLOADS),--workloads $(WORKLOADS)) $(if $(JSON),--json $(JSON))

lint: $(READY) ## format and lint, changing nothing
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

format: $(READY) ## format, and mend what can be mended
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

lock: $(READY) ## write the lock files anew from pyproject.toml and deploy/image/sbom.in
	$(COMPILE) pyproject.toml --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) deploy/image/sbom.in --output-file deploy/image/sbom.lock

clean: ## remove the virtual environment, caches and the state of `make run`
	rm -rf $(VENV) .run .kafka .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A copy of the lock is the stamp: written last, so an interrupted installation is done again.
$(READY): requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later was not found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making $(VENV) (once; one to two minutes, most of it for downloads)"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@cp requirements-dev.lock $@
