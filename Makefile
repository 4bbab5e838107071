# Every command of this repository. `make help` lists them; CI calls the same ones.

UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --no-sync
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fmt gen bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## install everything that the other commands need, into .venv

demo: $(READY) ## start the stack and a shop whose payments fail (ARGS=--once runs to the end and exits)
	$(RUN) python -m examples.shop $(ARGS)

test: check ## check, then run all tests (ARGS is passed on to pytest)
	$(RUN) pytest -n 3 --dist loadfile tests/unit tests/replay tests/typing tests/integration $(ARGS)
	# Whole systems, killed and restarted: one at a time, so that each has the machine to itself.
	$(RUN) pytest tests/acceptance $(ARGS)

check: $(READY) ## formatting, lint, types, import contracts, generated files
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) lint-imports --no-logo
	$(RUN) mypy
	$(RUN) pyright
	$(RUN) python -m docs.generate --check

fmt: $(READY) ## format and mend what can be mended
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

gen: $(READY) ## write generated files anew: OpenAPI document, state diagram, recorded histories
	$(RUN) python -m docs.generate

bench: $(READY) ## measure; prints the tables of docs/performance.md (ARGS selects)
	$(RUN) python -m bench $(ARGS)

clean: ## remove what the other commands made
	rm -rf .venv .tools .redrive dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv

$(READY): pyproject.toml uv.lock $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv)
	$(UV) sync --locked --all-extras --quiet
	@touch $@
