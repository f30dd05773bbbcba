.DEFAULT_GOAL := help
SHELL := /bin/sh

# Python 3.12 and 3.11 come first: not every package has a wheel for newer ones yet.
PYTHON ?= $(shell for name in python3.12 python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin

# What pip has been told about indexes and certificates, uv is told too: it does not read pip's configuration.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# $(call install,EXTRAS): the project with some of its extras, and its client, at the locked versions; pip where uv cannot reach an index.
packages = --editable '.[$(1)]' --editable ./client
install = $(BIN)/uv pip install --python $(BIN)/python --constraints requirements.lock $(packages) \
	|| $(BIN)/python -m pip install --constraint requirements.lock $(packages)

FUZZ_TESTS := tests/contract/api/test_openapi_fuzz.py tests/unit/streams/core/test_record_fuzz.py tests/unit/loaders/test_file_fuzz.py

.PHONY: help demo up test test-fast check fuzz format bench docs docs-serve watch lock clean

help: ## Show this help
	@echo 'usage: make TARGET'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-11s %s\n", $$1, $$2 }'

demo: $(VENV)/.local ## Install, start the whole stack, play events and show a feed change (ONCE=1: end with a proof; ARGS="...": more flags)
	$(BIN)/millrace demo $(if $(ONCE),--once) $(ARGS)

up: $(VENV)/.local ## Install and start the whole stack (ARGS="...": more flags)
	$(BIN)/millrace up $(ARGS)

test: check ## Install, check and run every test in three processes, each with servers of its own (ARGS="...": handed to pytest)
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(VENV)/.dev ## Run the unit tests alone, in some four minutes
	$(BIN)/pytest --numprocesses 2 tests/unit $(ARGS)

watch: $(VENV)/.dev ## Run the unit tests of changed code again at every save (ARGS="-x": handed to pytest)
	$(BIN)/python -m checks.watch $(ARGS)

check: $(VENV)/.dev ## Install and check style, types, imports, names, sizes and generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m checks.names
	$(BIN)/python -m checks.sizes
	$(BIN)/python -m schemas.generate --check
	$(BIN)/python client/generate.py --check
	$(BIN)/python docs/generate.py --check

fuzz: $(VENV)/.dev ## Try requests, records and files that nobody thought of, for some five minutes (MINUTES=120: rounds with new seeds)
	end=$$(($$(date +%s) + 60 * $(or $(MINUTES),0))); \
	while seed=$$(date +%s) && echo "seed $$seed"; do \
		FUZZ_EXAMPLES=200 $(BIN)/pytest --hypothesis-seed=$$seed $(FUZZ_TESTS) $(ARGS) || exit 1; \
		[ $$(date +%s) -lt $$end ] || break; \
	done

format: $(VENV)/.dev ## Put the code in house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev ## Measure throughput, freshness, prefetch, reads, memory and restart (ARGS="throughput": one part)
	$(BIN)/millrace bench $(ARGS)

docs: $(VENV)/.docs ## Write the generated parts, and build the documentation into site/, with search, for reading offline
	$(BIN)/python -m schemas.generate
	$(BIN)/python client/generate.py
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs auto --conf-dir docs/sphinx --doctree-dir build/doctrees . site
	@echo 'open site/index.html, or make docs-serve'

docs-serve: docs ## Build the documentation and serve it on 127.0.0.1 (PORT=8080)
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory site $(or $(PORT),8080)

lock: $(BIN)/uv ## Resolve the newest versions that pyproject.toml allows, for every platform (torch is left to its extras)
	$(BIN)/uv pip compile pyproject.toml client/pyproject.toml --extra local --extra dev --extra bench --extra evaluate --extra privacy --extra docs \
		--universal --upgrade --no-header --no-annotate --quiet --output-file requirements.lock

clean: ## Remove the environment, the caches and the local stack's data
	rm -rf $(VENV) .millrace build dist site docs/reference ./*.egg-info client/build client/dist client/src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/uv:
	@test -n '$(PYTHON)' || { echo 'Millrace needs Python 3.11 or newer on PATH, or make PYTHON=/path/to/python'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock uv

$(VENV)/.local: pyproject.toml client/pyproject.toml requirements.lock | $(BIN)/uv
	$(call install,local)
	@touch $@

$(VENV)/.docs: pyproject.toml client/pyproject.toml requirements.lock | $(BIN)/uv
	$(call install,docs)
	@touch $@

$(VENV)/.dev: pyproject.toml client/pyproject.toml requirements.lock | $(BIN)/uv
	$(call install,local$(comma)dev$(comma)docs$(comma)bench$(comma)evaluate$(comma)analytics$(comma)privacy$(comma)train$(comma)text)
	@touch $@ $(VENV)/.local $(VENV)/.docs

comma := ,
