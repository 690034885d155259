# `make run` and `make test` need python3, python3-venv and make; everything else is made here.

PYTHON ?= python3
SECONDS ?= 600
SUBSCRIBE ?= dist/uwsgi-subscribe
BIN := .venv/bin
BENCH_QUICK := $(filter-out 0,$(QUICK))
# The distribution's Python, if it will do: it is what most users have, and nginx and HAProxy are the distribution's too.
BENCH_PYTHON ?= $(shell /usr/bin/python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo /usr/bin/python3 || echo $(PYTHON))

# Of each version the first on the path that works, can make wheels, and has Python.h.
WHEEL_PYTHONS ?= $(shell for minor in 11 12 13 14; do \
	python3.$$minor -c 'import os, pip, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
	2>/dev/null && echo python3.$$minor; done)

# Where something is tested that pyproject.toml has compiled.
COMPILED_TESTS := tests/protocol tests/subscriptions \
	$(addprefix tests/router/, app backs certificates core fronts jails net proxy report routing table) \
	$(addprefix tests/e2e/test_, http_exchanges.py http_operations.py http_proxy_protocol.py http_servers.py http_vectors.py \
		http_websockets.py large_bodies.py nginx_and_three_vassals.py odd_answers.py other_protocols.py raw_databases.py \
		raw_tls.py tls_clients.py workers.py)

.PHONY: run test compiled-test compiled-install compiled-fuzz lint unit peers docs fuzz reload-load autobahn bench attacks bench-programs serve-load subscribe.pyz wheels clean

run: .venv/installed
	$(BIN)/uwsgi-router demo

test: lint
	tests/peers/install.sh $(if $(filter true,$(CI)),--with-debian-packages,--if-possible)
	$(BIN)/pytest --numprocesses 2 --dist worksteal
	@if command -v $(CC) >/dev/null; then $(MAKE) compiled-test; else echo "no C compiler: the compiled build is not tested"; fi

# The tests of what is compiled, and those with real programs whose requests go through it, against a wheel as users get it
# (docs/running.md); needs a C compiler, and minutes. asyncio's own loop has had its turn in the plain build.
compiled-test: compiled-install
	cd build/compiled/tree && ../venv/bin/pytest --numprocesses 2 --dist worksteal -m "not sources" -k "not asyncio" $(COMPILED_TESTS)

# What is tested must not be the sources: they are not there.
compiled-install:
	rm -rf build/compiled
	mkdir -p build/compiled/tree
	$(PYTHON) -m venv build/compiled/venv
	UWSGI_ROUTER_COMPILE=1 build/compiled/venv/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	git ls-files -z --cached --others --exclude-standard bench docs scripts tests tools '*.md' pyproject.toml | xargs -0 cp --parents --target-directory build/compiled/tree
	[ ! -d .peers ] || ln -s ../../../.peers build/compiled/tree/.peers
	cd build/compiled/tree && ../venv/bin/python -m tests.compiled

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

# Without the real programs (uWSGI, nginx, HAProxy): what one runs while writing.
unit: .venv/installed
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m "not peers"

peers: .venv/installed
	tests/peers/install.sh --with-debian-packages

# The options page, the manual page (man docs/uwsgi-router.1) and the site. A warning is an error; `make test` builds the
# site too, to throw it away, and says if a page is out of date.
docs: .venv/installed
	$(BIN)/python -m uwsgi_router.router.config.page >docs/options.md
	$(BIN)/python -m uwsgi_router.router.cli.manual >docs/uwsgi-router.1
	$(BIN)/python -m sphinx -W --keep-going -b html -d build/doctrees docs build/docs

# Reloads and deaths under load, a minute each (SECONDS=60): no request may be lost that need not be.
reload-load: .venv/installed
	SECONDS=$(if $(filter 600,$(SECONDS)),60,$(SECONDS)) $(BIN)/python -m tests.loads

fuzz: .venv/installed
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

compiled-fuzz: compiled-install
	cd build/compiled/tree && ../venv/bin/python -m tests.fuzz --seconds $(SECONDS)

# Half an hour; needs a Python 2.7 (pyenv's is found), which the suite runs under.
autobahn: .venv/installed
	$(BIN)/python -m tests.autobahn

# Half an hour, and docs/benchmarks.md has new figures; with QUICK=1 under three, and build/bench/quick has them.
bench: .bench/installed $(if $(BENCH_QUICK),,.bench/compiled/installed)
	.bench/venv/bin/python -m bench --docs $(if $(BENCH_QUICK),--quick)

# Ten minutes: how long an innocent waits during each of some attacks, with this router, nginx and HAProxy.
attacks: .bench/installed .bench/compiled/installed
	.bench/venv/bin/python -m bench.attacks

bench-programs:
	BENCH_PYTHON=$(BENCH_PYTHON) tests/peers/install.sh --for-bench

# Compiled wheels for the Pythons at hand that have their headers, and a plain one, in dist.
wheels:
	mkdir -p dist
	UWSGI_ROUTER_COMPILE=0 $(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	for python in $(WHEEL_PYTHONS); do \
		echo "compiling for $$python"; \
		UWSGI_ROUTER_COMPILE=1 $$python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist . || exit 1; \
	done

# One executable file, for images of applications that have Python and nothing of ours.
subscribe.pyz:
	$(PYTHON) scripts/build_subscribe.py $(SUBSCRIBE)

clean:
	rm -rf .venv .peers .bench dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is too old or missing: Python 3.11 or newer is needed (make PYTHON=python3.12 …)"; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	UWSGI_ROUTER_COMPILE=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# A minute for each test of `serve` under load.
serve-load: .venv/installed
	SERVE_LOAD_SECONDS=$(if $(filter 600,$(SECONDS)),60,$(SECONDS)) $(BIN)/pytest tests/e2e/test_serve_load.py

# Not .venv: whatever Python the tests run with, these figures are of the one that users have. BENCH_PYTHON is looked up
# after bench-programs, which installs what it takes to make environments.
.bench/installed: pyproject.toml | bench-programs
	@$(BENCH_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(BENCH_PYTHON) is too old or missing: Python 3.11 or newer is needed (make bench BENCH_PYTHON=…)"; exit 1; }
	$(BENCH_PYTHON) -m venv --clear .bench/venv
	UWSGI_ROUTER_COMPILE=0 .bench/venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench,signatures]'
	@touch $@

# Three minutes of the C compiler, on both cores. Without it there is a row less in the tables, which `python -m bench` says.
.bench/compiled/installed: pyproject.toml $(wildcard scripts/*) $(shell find protocol subscriptions router -name '*.py') \
		.bench/installed
	@echo "compiling the packages; takes two minutes, once (log: .bench/compile.log)"
	@$(BENCH_PYTHON) -m venv --clear .bench/compiled
	@UWSGI_ROUTER_COMPILE=1 .bench/compiled/bin/python -m pip install --disable-pip-version-check '.[signatures]' \
		>.bench/compile.log 2>&1 && touch $@ || { tail -n 5 .bench/compile.log; echo "the packages could not be compiled"; }
