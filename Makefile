# Everything here creates and uses .venv itself; a machine needs Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
V3 := $(VENV)/sdk-v3
# a file's tests stay together: some share a server
PARALLEL ?= -n 2 --dist loadfile

export HF_HUB_OFFLINE = 1
export SAGEMAKER_SUPPRESS_V2_WARNING = 1

.PHONY: setup setup-dev demo test test-slow lint types layers bench clean

setup: $(VENV)/.setup
setup-dev: $(VENV)/.setup-dev $(V3)/.setup

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"

$(VENV)/.setup: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable ".[nlp,postgres,sagemaker]" --group demo
	touch $@

$(VENV)/.setup-dev: $(VENV)/.setup
	$(PIP) install --constraint constraints.txt --editable ".[nlp,plots,postgres,sagemaker]" --group demo --group dev
	touch $@

$(V3)/.setup: $(BIN)/python
	$(PYTHON) -m venv $(V3)
	$(V3)/bin/python -m pip --quiet --disable-pip-version-check install "sagemaker>=3,<4" awscli
	touch $@

demo: setup
	$(BIN)/python -m clary.cli.main demo

test: setup-dev lint types layers
	$(BIN)/python docs/make_reference.py --check
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

# what `make test` leaves out, and the acceptance suite once more on PostgreSQL
test-slow: setup-dev
	$(BIN)/python -m pytest $(PARALLEL) -m slow
	CLARY_TEST_DATABASE=postgresql $(BIN)/python -m pytest $(PARALLEL) -m "not slow" tests/acceptance

lint: $(VENV)/.setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.setup-dev
	$(BIN)/mypy

layers: $(VENV)/.setup-dev
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python bench/launch.py

clean:
	rm -rf $(VENV)
