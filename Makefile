# `make demo` and `make test` need only Python 3.11+, make and a package index.

PYTHON ?= python3
BIN := .venv/bin
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow docs lint layers types clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "PYTHON=... chooses the Python that .venv is made from (now $(PYTHON))."

demo: .venv/base ## Run the whole chain on the embedded synthetic cohort and write demo/report.html
	@echo "Running the demo, from synthetic scans to the report, in demo/"
	@rm -rf demo
	@$(BIN)/fmrifm demo --out demo
	@echo "Report: demo/report.html"

test: .venv/dev ## Run all tests but the slow ones
	@echo "Running the tests; those that want real scans skip unless FMRIFM_TEST_DATA names their folder"
	@$(TEST) -m "not slow"

test-slow: .venv/dev ## Run the slow tests
	@echo "Running the slow tests"
	@$(TEST) -m slow --dist loadfile

docs: .venv/dev ## Build the documentation, tutorials run, into build/docs
	@echo "Building the documentation"
	@$(BIN)/python -m sphinx -W -q -b html docs build/docs
	@echo "Documentation: build/docs/index.html"

lint: .venv/dev ## Check style and format (ruff)
	@echo "Checking style and format"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

layers: .venv/dev ## Check that imports point down the layout (import-linter)
	@echo "Checking that imports point down the layout"
	@$(BIN)/lint-imports

types: .venv/dev ## Check types (mypy)
	@echo "Checking types"
	@$(BIN)/mypy

clean: ## Remove .venv, the demo and caches
	rm -rf .venv demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml once everything in it is installed.
.venv/base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("fmrifm needs Python 3.11 or newer; set PYTHON=..." if sys.version_info < (3, 11) else 0)'
	@echo "Making .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@echo "Installing fmrifm and what it needs into .venv (minutes the first time)"
	@$(INSTALL) --editable .
	@touch $@

.venv/dev: .venv/base
	@echo "Installing the test and development tools into .venv"
	@$(INSTALL) --editable '.[dev]'
	@touch $@
