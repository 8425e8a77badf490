# Everything happens in .venv of this checkout; nothing outside of it is changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
JOBS ?= auto
PARITY ?= ../shared/parity

.PHONY: help docs setup demo test lint check bench bench-smoke parity lock clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.dev ## .venv with Tollhouse, the embedded model and the development tools

demo: .venv/.runtime ## start the gateway with the embedded model and send real requests (ONCE=1: then end)
	@$(BIN)/tollhouse quickstart $(if $(filter 1,$(ONCE)),--once)

test: .venv/.dev ## the whole test suite
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: .venv/.dev ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test bench-smoke ## what CI runs

bench: .venv/.runtime ## CPU per request and requests/s beside nginx, Envoy, LiteLLM, Portkey
	$(BIN)/python -m benchmarks

bench-smoke: .venv/.runtime
	$(BIN)/python -m benchmarks --quick

parity: .venv/.runtime ## answers held against those recorded of a real Kong (GROUP="routing errors")
	$(BIN)/python $(PARITY)/replay.py --product tollhouse --start '$(BIN)/tollhouse start -c {file}' \
		--proxy http://127.0.0.1:18000 --admin http://127.0.0.1:18001 --status http://127.0.0.1:18007 \
		$(foreach group,$(GROUP),--group $(group))

docs: .venv/.runtime ## docs/reference again, from the code
	$(BIN)/python docs/generate.py

lock: .venv/.dev ## requirements/*.txt again, from pyproject.toml
	$(PIP) uv
	$(BIN)/uv pip compile --group pyproject.toml:build $(LOCK) -o requirements/build.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras -c requirements/build.txt $(LOCK) -o requirements/runtime.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev -c requirements/build.txt -c requirements/runtime.txt $(LOCK) \
		-o requirements/dev.txt
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'

clean: ## removes what was made here
	rm -rf .venv .tools

.venv/.runtime: requirements/build.txt requirements/runtime.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src  # a start takes half as long, also where Python may not write bytecode
	$(BIN)/tollhouse models add smollm2
	touch $@

.venv/.dev: .venv/.runtime requirements/dev.txt
	$(PIP) --require-hashes -r requirements/build.txt -r requirements/dev.txt
	touch $@
