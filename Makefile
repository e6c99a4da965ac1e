# Every command of the project. Each one first brings .venv up to date with the pinned requirements;
# when nothing has changed that takes no time.
#
#   make run      start the service           make check    lint, format, types, import contracts
#   make test     check, then the tests       make format   rewrite files in the house format
#   make bench    measure                     make lock     pin requirements*.txt anew (needs uv)
#   make fuzz     bad input for ten minutes   make clean    remove what make made, but no data
#
# PYTHON=... chooses the interpreter (3.11 or later).

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

PY := .venv/bin/python
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
# -qq: of pip's messages, only errors.
INSTALL := $(PY) -m pip install -qq
UV ?= uv
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

# A copied or moved checkout has a .venv that points to the old place, and a system upgrade can take
# the interpreter away: in both cases .venv is made again.
$(shell test "$$(cat .venv/made-for 2>&1)" = "$$(pwd)" && $(PY) -c '' 2>&1 || rm -f .venv/made-for)

.PHONY: run test bench fuzz check format lock clean

run: .venv/runtime-installed
	@.venv/bin/daybook serve

test: check
	@$(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder

bench: .venv/dev-installed
	@$(PY) -m benchmarks

fuzz: .venv/dev-installed
	@$(PY) -m tests.fuzzing $(or $(SECONDS),600)

check: .venv/dev-installed
	@$(PY) -m ruff check --quiet
	@$(PY) -m ruff format --check --quiet || { echo "Some files are not in the house format: make format" >&2; exit 1; }
	@$(PY) -m mypy --no-error-summary
	@report=$$(.venv/bin/lint-imports --no-logo 2>&1) || { echo "$$report" >&2; exit 1; }
	@echo "Lint, format, types and import contracts are in order."

format: .venv/dev-installed
	@$(PY) -m ruff check --quiet --fix-only
	@$(PY) -m ruff format --quiet

lock:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv (UV=... says where it is)." >&2; exit 1; }
	@$(LOCK) requirements.in --output-file requirements.txt
	@$(LOCK) requirements-dev.in --output-file requirements-dev.txt

clean:
	@rm -rf .venv build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The developer requirements contain the runtime ones, so they satisfy both stamps.
.venv/runtime-installed: .venv/made-for requirements.txt pyproject.toml
	@echo "Installing into .venv (the first time takes a minute) ..."
	@$(INSTALL) --require-hashes -r requirements.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev-installed: .venv/made-for requirements-dev.txt pyproject.toml
	@echo "Installing into .venv (the first time takes a minute) ..."
	@$(INSTALL) --require-hashes -r requirements-dev.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@ .venv/runtime-installed

# A candidate must run: a pyenv shim may stand on the PATH for a version that is not installed.
.venv/made-for:
	@rm -rf .venv
	@found=; \
	for python in $(CANDIDATES); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		found=$$python; \
		"$$python" -c 'import ensurepip' 2>/dev/null || continue; \
		"$$python" -m venv .venv && pwd > $@ && exit 0; \
		rm -rf .venv; exit 1; \
	done; \
	if [ -n "$$found" ]; then \
		echo "$$found cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)." >&2; \
	else \
		echo "Daybook needs Python 3.11 or later; none of these runs: $(CANDIDATES). PYTHON=... names another." >&2; \
	fi; \
	exit 1
