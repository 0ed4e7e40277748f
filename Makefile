# Every target sets up what it needs in .venv; `make` alone lists them.
# ARGS reaches the program behind a target: make test ARGS="tests/unit -k clock".

SOURCES := schemas rules streams notifiers detente tests $(wildcard benchmarks)
ARGS ?=

PY := .venv/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
LOCK := .venv/bin/uv pip compile --quiet --universal --generate-hashes \
	--custom-compile-command "make lock"

export PYTHON

# A venv survives neither a move of the checkout nor the end of the Python it was made with.
ifneq ($(shell cat .venv/.checkout 2>/dev/null):$(shell test -x $(PY) && echo sound),$(CURDIR):sound)
$(shell rm -f .venv/.run .venv/.dev)
endif

.DEFAULT_GOAL := help
.PHONY: help run test thorough lint format schemas docs bench bench-cluster lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

run: .venv/.run ## start the service on the example data and keep it serving
	@exec .venv/bin/detente serve --example $(ARGS)

test: .venv/.dev ## run the tests
	@$(PY) -m pytest -q -n auto --dist worksteal $(ARGS)

thorough: .venv/.dev ## run the tests with more examples and longer runs
	@$(PY) -m pytest -q -n auto --dist worksteal --thorough -o faulthandler_timeout=0 $(ARGS)

lint: .venv/.dev ## check style, types, layers and that generated pages are up to date
	$(PY) -m ruff check $(SOURCES)
	$(PY) -m ruff format --check $(SOURCES)
	$(PY) -m mypy $(SOURCES)
	.venv/bin/lint-imports
	$(PY) -m detente.schema_files docs/schemas --check
	$(PY) -m detente.diagrams docs --check

format: .venv/.dev ## format the code and repair what can be repaired
	$(PY) -m ruff check --fix $(SOURCES)
	$(PY) -m ruff format $(SOURCES)

schemas: .venv/.run ## write the JSON Schemas to docs/schemas
	$(PY) -m detente.schema_files docs/schemas

docs: .venv/.run ## write the pages under docs/ that are made from the code
	$(PY) -m detente.diagrams docs

bench: .venv/.run ## measure speed and memory
	@$(PY) -m benchmarks $(ARGS)

bench-cluster: .venv/.dev .venv-peers/.done ## compare a cluster's worker with its peers (starts Kafka and PostgreSQL)
	@$(PY) -m benchmarks.cluster $(ARGS)

lock: .venv/.dev ## lock the dependencies anew (ARGS=--upgrade for newer versions)
	$(LOCK) $(ARGS) --group build pyproject.toml -o requirements/run.txt
	$(LOCK) $(ARGS) --group build --group cluster -c requirements/run.txt pyproject.toml \
		-o requirements/cluster.txt
	$(LOCK) $(ARGS) --group peers pyproject.toml \
		-o requirements/peers.txt
	$(LOCK) $(ARGS) --group dev -c requirements/cluster.txt pyproject.toml -o requirements/dev.txt
	@! grep -n '://' requirements/*.txt  # a lock names packages, never the host they came from

clean: ## remove .venv and everything else that make made
	rm -rf .venv .venv-peers build *.egg-info .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run: requirements/run.txt requirements/venv.sh pyproject.toml
	@sh requirements/venv.sh
	@echo "Installing the locked dependencies (requirements/run.txt)"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@echo "Installing the detente command into .venv"
	@PYTHONWARNINGS=ignore $(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.run
	@echo "Installing the locked development tools (requirements/dev.txt)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# Quix Streams wants other versions than ours: an environment of its own, for the comparison alone.
.venv-peers/.done: requirements/peers.txt .venv/.run
	@echo "Making .venv-peers with the locked peers (requirements/peers.txt)"
	@$(PY) -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements/peers.txt
	@touch $@
