# Everything a person or CI runs. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The client of the days when projects were called use cases pins old libraries, so it lives in its own environment.
USE_CASE_CLIENT := .venvs/use-case-client
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help install serve test check format bench clean
help:
	@echo "make serve    install what is missing, then serve on http://127.0.0.1:9000"
	@echo "make test     run all tests"
	@echo "make check    lint and type-check"
	@echo "make format   format the code"
	@echo "make bench    measure the engine and the HTTP path on this machine"
	@echo "make install  create $(VENV) with everything"
	@echo "make clean    remove the environments"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Adaptive Engine needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[server,dev]'
	touch $@

$(USE_CASE_CLIENT)/.installed: Makefile
	test -x $(USE_CASE_CLIENT)/bin/python || $(PYTHON) -m venv $(USE_CASE_CLIENT)
	$(USE_CASE_CLIENT)/bin/python -m pip install --quiet 'adaptive-sdk==0.1.5'
	touch $@

serve: install
	$(BIN)/adaptive serve

test: install $(USE_CASE_CLIENT)/.installed
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python benchmarks/serving.py

clean:
	rm -rf $(VENV) .venvs
