# Thin names over plain commands; each can be typed by hand as well.
PYTHON ?= python3
PY := .venv/bin/python

.PHONY: demo test up lint screens bench lock
.DEFAULT_GOAL := demo

.venv/run: requirements.lock
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

.venv/dev: requirements-dev.lock
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

.venv/bench: requirements-bench.lock
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	touch $@

demo: .venv/run  ## the main job, as a person would see it
	$(PY) starter.py demo

up: .venv/run  ## the whole stack until Ctrl-C
	$(PY) starter.py up

lint: .venv/dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

test: .venv/dev lint
	$(PY) -m tests.pages.browser
	$(PY) -m pytest -n 3 --dist loadfile

screens: .venv/dev  ## every page at 390 and 1280 px in both languages, into var/screens
	$(PY) -m tests.pages.browser
	SCREENS=var/screens $(PY) -m pytest -q tests/pages

bench: .venv/bench
	$(PY) -m bench

lock:  ## needs `uv`; only after a change of pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --output-file requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --group dev -c requirements.lock --output-file requirements-dev.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --group bench -c requirements-dev.lock --output-file requirements-bench.lock pyproject.toml
