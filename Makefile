# One entrance. Every target sets up what it needs, and is quick about it when there is nothing to do.
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n auto
UV_LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help demo test soak check lint fmt bench lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.run ## set up and run the main job on real data: import, check, replay, backtest, report, verify
	@$(BIN)/python -m openbell.app.demo

test: .venv/.dev lint ## set up and run everything: format, lint, types, contracts, all tests
	$(PYTEST)

soak: .venv/.dev ## play 10,000 seeds of the simulated engine and 10,000 live ones (SEEDS=7000:7100, LIVE=40); takes minutes
	OPENBELL_SEEDS=$(or $(SEEDS),10000) OPENBELL_LIVE_SEEDS=$(or $(LIVE),10000) $(PYTEST) --timeout 1200 \
		tests/replay/test_simulation.py tests/replay/test_live_simulated.py

check: .venv/.dev lint ## format, lint, types, contracts, unit tests: before every commit
	$(PYTEST) -m "not shared" --ignore=tests/flows --ignore=tests/test_examples.py

lint: .venv/.dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: .venv/.dev ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

js: ## build the Node packages into the Python package, after a change in packages/ (needs npm)
	cd packages && npm ci --silent && npm run --silent build

bench: .venv/.dev ## run the benchmarks and write docs/benchmarks.md
	$(BIN)/python -m benchmarks.run

lock: .venv/.dev ## write the lock files anew, from pyproject.toml (UPGRADE=1: to the newest versions)
	$(UV_LOCK) $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	$(UV_LOCK) $(if $(UPGRADE),--upgrade) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove the environment, the caches and the demo's output; data and runs stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo dist build
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run: pyproject.toml requirements.lock tools/setup.sh
	@sh tools/setup.sh run

.venv/.dev: pyproject.toml requirements.lock requirements-dev.lock tools/setup.sh
	@sh tools/setup.sh dev
	@touch .venv/.run
