# `make run` and `make test` need python3, python3-venv and make; everything else is made here.

PYTHON ?= python3
SECONDS ?= 600
SUBSCRIBE ?= dist/uwsgi-subscribe
BIN := .venv/bin

.PHONY: run test compiled-test lint unit peers docs fuzz autobahn bench subscribe.pyz clean

run: .venv/installed
	$(BIN)/uwsgi-router demo

test: lint
	tests/peers/install.sh $(if $(filter true,$(CI)),--with-debian-packages,--if-possible)
	$(BIN)/pytest

# The tests against a wheel whose hot path is compiled (docs/running.md); needs a C compiler, and minutes.
compiled-test:
	rm -rf build/compiled
	mkdir -p build/compiled/tree
	$(PYTHON) -m venv build/compiled/venv
	UWSGI_ROUTER_COMPILE=1 build/compiled/venv/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	# What is tested must not be the sources: they are not there.
	git ls-files -z --cached --others --exclude-standard bench docs scripts tests '*.md' pyproject.toml | xargs -0 cp --parents --target-directory build/compiled/tree
	cd build/compiled/tree && ../venv/bin/python -m tests.compiled
	cd build/compiled/tree && ../venv/bin/pytest -m "not peers" tests/protocol tests/router tests/subscriptions tests/http

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

# Without the real programs (uWSGI, nginx): what one runs while writing.
unit: .venv/installed
	$(BIN)/pytest -m "not peers"

peers: .venv/installed
	tests/peers/install.sh --with-debian-packages

# A warning is an error; `make test` builds the site too, to throw it away.
docs: .venv/installed
	$(BIN)/python -m sphinx -W --keep-going -b html -d build/doctrees docs build/docs

fuzz: .venv/installed
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# Half an hour; needs a Python 2.7 (pyenv's is found), which the suite runs under.
autobahn: .venv/installed
	$(BIN)/python -m tests.autobahn

# Twenty minutes, and docs/benchmarks.md has new figures; with QUICK=1 under three, and build/bench/quick has them.
bench: .venv/plots
	tests/peers/install.sh --for-bench
	$(BIN)/python -m bench --docs $(if $(filter-out 0,$(QUICK)),--quick)

# One executable file, for images of applications that have Python and nothing of ours.
subscribe.pyz:
	$(PYTHON) scripts/build_subscribe.py $(SUBSCRIBE)

clean:
	rm -rf .venv .peers dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The command is copied into the environment, not linked: a change of it installs anew, as new dependencies do.
.venv/installed: pyproject.toml scripts/uwsgi-router
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is too old or missing: Python 3.11 or newer is needed (make PYTHON=python3.12 …)"; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# Without them the benchmarks have tables only.
.venv/plots: .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]' && touch $@ \
		|| echo "matplotlib could not be installed: no plots"
