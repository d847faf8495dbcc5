# `make demo` and `make test` work on a fresh machine with Python 3.11+ and make; each makes .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH_INDEX ?=

.PHONY: install demo test check format clean

install: $(STAMP)

# torch comes first and pinned. TORCH_INDEX names where it is looked for beside pip's own places, such as
# https://download.pytorch.org/whl/cpu for the CPU build: on Linux PyPI has the one that brings gigabytes of CUDA libraries.
# The last two packages are what the tests hold our Inception network against; they ask for torchvision, which their
# networks do without.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(shell grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps $(shell grep -E '^(torch-fidelity|pytorch-fid)==' constraints.txt)
	touch $(STAMP)

demo: install
	$(BIN)/cardigan train digits

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
