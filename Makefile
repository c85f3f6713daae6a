# Everything that a person does with a checkout. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ringdeck-installed
DEV_STAMP := $(VENV)/.ringdeck-dev-installed
SOURCES := pyproject.toml setup.py $(wildcard nodecore/table/*.pyx nodecore/table/*.pxi)
NAME ?= default
# Nodes and commands are many short processes: compiling every module in each costs more than they do.
unexport PYTHONDONTWRITEBYTECODE
FAST := not slow and not external and not chaos and not swarm
# Rooms that hold no entries: the table that is in use makes no difference to them.
TABLELESS := placement membership consensus resilience
# Measures how long a start takes: alone.
FIRST_START := tests/e2e/test_fresh_clone.py
WORLDS_LOG := $(VENV)/test-worlds.log

.DEFAULT_GOAL := help
.PHONY: help setup run test test-unit test-chaos test-swarm test-worlds test-processes check format \
	benchmark start-cluster stop-cluster first-look-demo consistent-hash-demo replication-demo clean distclean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(STAMP): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --editable .
	touch $@

$(DEV_STAMP): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --editable ".[dev]"
	touch $(STAMP) $@

setup: $(DEV_STAMP) ## Make the virtual environment with everything that tests need

run: $(STAMP) ## Open the console on five local nodes
	$(BIN)/ringdeck console --name $(NAME)

start-cluster: $(STAMP) ## Start three nodes that run on their own
	$(BIN)/ringdeck cluster start --name $(NAME) --enable-chaos

stop-cluster: $(STAMP) ## Stop them
	$(BIN)/ringdeck cluster stop --name $(NAME)

first-look-demo: $(STAMP) ## Kill a node under load, add one; fails when a claim is false
	$(BIN)/ringdeck demo run first-look

consistent-hash-demo: $(STAMP) ## Add, weigh and remove nodes; fails when more moves than must
	$(BIN)/ringdeck demo run consistent-hash

replication-demo: $(STAMP) ## Copies, quorums, a partition and its merging; fails when a claim is false
	$(BIN)/ringdeck demo run replication

check: $(DEV_STAMP) ## Format, lint, types and the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n 2 -m "$(FAST)"

format: $(DEV_STAMP) ## Put the source into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-unit: $(DEV_STAMP) ## The fast tests
	$(BIN)/pytest -q -m "$(FAST)"

test-chaos: $(DEV_STAMP) ## Real processes under injected faults
	$(BIN)/pytest -q -m chaos tests/chaos

test-swarm: $(DEV_STAMP) ## Every simulated scenario over more seeds; prints how to repeat what fails
	$(BIN)/pytest -q -n 2 -m swarm tests/simulation

test: $(DEV_STAMP) ## Everything; what depends on the table runs with both tables
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n 2 -m "$(FAST)"
	RINGDECK_TABLE=reference $(BIN)/pytest -q -n 2 -m "$(FAST)" tests/nodecore tests/simulation \
		$(addprefix --ignore=tests/nodecore/,$(TABLELESS))
	$(MAKE) -k -j 2 test-worlds test-processes
	RINGDECK_TABLE=reference $(BIN)/pytest -q -m slow tests/e2e/test_cluster.py
	$(BIN)/pytest -q -rP $(FIRST_START)

# Worlds need nothing but processor time, processes mostly wait: together they take as long as the
# processes alone. What worlds print is shown when they are done.
test-worlds: $(DEV_STAMP) ## Simulated clusters and long searches, behind everything else that runs
	@nice -n 19 $(BIN)/pytest -q -n 2 -o timeout=900 -o faulthandler_timeout=900 \
		-m "not ($(FAST)) and not swarm" tests/nodecore tests/simulation > $(WORLDS_LOG) 2>&1; \
		status=$$?; cat $(WORLDS_LOG); exit $$status

test-processes: $(DEV_STAMP) ## Real processes, real peers, real terminals
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not ($(FAST))" --ignore=tests/nodecore \
		--ignore=tests/simulation --ignore=$(FIRST_START)

benchmark: $(DEV_STAMP) ## Throughput beside redis-server
	$(BIN)/python -m tests.bench

clean: ## Stop local clusters; remove their state and what was built
	-test ! -x $(BIN)/ringdeck || $(BIN)/ringdeck cluster stop --all --purge
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## Also remove the virtual environment
	rm -rf $(VENV)
