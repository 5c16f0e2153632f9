# make run    trains small models of four media and writes runs/quickstart/index.html
# make test   linters, types and the tests
# make docs   the documentation, into site/; a warning is an error
# make test-all  the tests that take long as well; PART=3/10: of those alone the third tenth
# make bench  the side-by-side benchmarks (installs PyTorch and TensorFlow)
# Another interpreter: make PYTHON=python3.11 VENV=.venv311 test

# The newest that can make an environment: from Python 3.12 on it is jax 0.12, which is faster.
PYTHON ?= $(firstword $(foreach python,python3.13 python3.12,$(shell \
	$(python) -c 'import ensurepip' 2>/dev/null && echo $(python))) python3)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test test-all lint docs bench clean

run: $(VENV)/.installed
	$(BIN)/python -m experiments.quickstart

test: lint
	$(BIN)/python -m pytest -n 2 --dist=loadgroup

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist=loadgroup \
		$(if $(PART),-m all --part=$(PART),-m "all or not all")

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.run

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("aigc_jax needs Python 3.11 or newer, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
