# Needs make and Python 3.11 or newer, nothing else: each target brings what it uses into .venv by itself.

PYTHON ?= python3
RUN := .venv/bin/python -m

.PHONY: help demo test browser lint check bench docs clean
.NOTPARALLEL:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile

demo: .venv/.demo  ## three frameworks on real servers, every answer checked; REDIS=1 or REDIS_URL=redis://..., SERVE=1
	@$(RUN) redis_middleware.cli.demo $(if $(REDIS),--redis) $(if $(SERVE),--serve)

test: .venv/.dev  ## the tests; ARGS="-k rate_limit -x"
	@$(RUN) pytest $(ARGS)

browser: .venv/.browser  ## the health page in an installed Chromium, or Debian's; ARGS="-k phone"
	@command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null || { \
	  echo "Installing Chromium by apt-get."; apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	} >/dev/null || { echo "No Chromium on the PATH, and apt-get cannot install it here." >&2; exit 1; }
	@$(RUN) pytest tests/browser $(ARGS)

lint: .venv/.dev  ## formatting, lint and types
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy

check: lint test  ## all of that, and the tests

bench: .venv/.dev  ## the benchmarks; ARGS=--help
	@$(RUN) benchmarks $(ARGS)

docs: .venv/.docs  ## the documentation, into site/
	@$(RUN) mkdocs build --strict

clean:  ## remove everything that was made here, .venv too
	rm -rf .venv dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.demo .venv/.dev .venv/.docs .venv/.browser: .venv/.%: pyproject.toml | .venv/bin/pip
	@echo "Installing what 'make $(MAKECMDGOALS)' needs into .venv: a minute or two, once."
	@$(RUN) pip install -q --disable-pip-version-check -e '.[$*]'
	@touch $@

.venv/bin/pip:
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is not a Python 3.11 or newer with venv. Name one that is: make $(MAKECMDGOALS) PYTHON=python3.12"; \
	  echo "(on Debian and Ubuntu, venv is a package of its own: apt install python3-venv)"; exit 1; } >&2
	@$(PYTHON) -m venv .venv
