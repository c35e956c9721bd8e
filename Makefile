# All a fresh machine needs is `make demo` or `make test`: both make the virtual environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE  # tests start many processes: modules are compiled once
INSTALLED := $(VENV)/.installed

.PHONY: demo test check docs install clean

demo: $(INSTALLED)  ## pre-train, fine-tune, search and report on drawn streets (options: make demo DEMO="--seed 1")
	$(BIN)/spnet demo $(DEMO)

test: $(INSTALLED)  ## all tests, files side by side: many wait for processes (options: make test TEST="-k oim")
	$(BIN)/python -m pytest -n 4 --dist loadfile $(TEST)

check: $(INSTALLED)  ## style, types, unused code and dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	! $(BIN)/vulture | grep '^src/'
	$(BIN)/deptry src

docs: $(INSTALLED)  ## the site of docs/: docs/_build/index.html
	$(BIN)/python -m sphinx -b html --fail-on-warning --keep-going --nitpicky docs docs/_build

install: $(INSTALLED)  ## the virtual environment, with this package in it

# Again only when the package's requirements change. pip is what a half-made environment lacks.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old or missing: Python 3.11 or newer is needed, as in: make PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:  ## what tools left behind; the environment, data and runs stay
	rm -rf build dist docs/_build .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
