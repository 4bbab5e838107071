# Every command of this repository. `make help` lists them; CI calls the same ones.

UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --no-sync
READY := .venv/.ready
CONSOLE := console/dist/index.html

.DEFAULT_GOAL := help
# The browser of the console's tests: any Chromium or Chrome that is there.
export CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || \
	ls "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" /Applications/Chromium.app/Contents/MacOS/Chromium 2>/dev/null | head -1)

.PHONY: chromium help setup demo test check fmt gen bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) $(CONSOLE) ## install everything that the other commands need, and build the console

demo: setup ## start the stack and a shop whose payments fail (ARGS=--once runs to the end and exits)
	$(RUN) python -m examples.shop $(ARGS)

test: check $(if $(CHROMIUM),,chromium) ## check, then run all tests (ARGS is passed on to pytest)
	$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder tests/integration tests/replay tests/typing tests/unit $(ARGS)
	# Whole systems, killed and restarted: three at a time, since they mostly wait.
	$(RUN) pytest -n 3 --dist loadfile tests/acceptance $(ARGS)
	# By themselves: a process that drives a browser has an event loop running, beside which no other can be started.
	$(RUN) pytest -n 3 --dist loadfile tests/console $(ARGS)

check: setup ## formatting, lint, types, import contracts, generated files
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) lint-imports --no-logo
	$(RUN) mypy
	$(RUN) pyright
	$(RUN) python -m docs.generate --check
	cd console && npm run --silent check

fmt: setup ## format and mend what can be mended
	$(RUN) ruff check --fix .
	$(RUN) ruff format .
	cd console && npm run --silent format

gen: setup ## write generated files anew: OpenAPI document, state diagram, recorded histories
	$(RUN) python -m docs.generate
	cd console && npm run --silent gen

bench: $(READY) ## measure; prints the tables of docs/performance.md (ARGS selects)
	$(RUN) python -m bench $(ARGS)

clean: ## remove what the other commands made
	rm -rf .venv console/node_modules console/dist .tools .redrive dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

console/node_modules/.ready: console/package.json console/package-lock.json
	@node -e 'if (+process.versions.node.split(".")[0] < 20) throw "Node 20 or later is needed, found " + process.version'
	cd console && npm ci --no-audit --no-fund --silent
	@touch $@

$(CONSOLE): console/node_modules/.ready console/index.html console/vite.config.ts $(shell find console/src console/public -type f)
	cd console && npm run --silent build -- --logLevel warn
	@touch $@

chromium: ## install the browser that the console is tested with
	@if [ "$$(uname)" = Darwin ]; then \
	  echo "Install Chromium or Chrome (brew install --cask chromium), or set CHROMIUM=/path/to/it."; exit 1; \
	else \
	  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk; \
	fi

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv

$(READY): pyproject.toml uv.lock $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv)
	$(UV) sync --locked --all-extras --quiet
	@touch $@
