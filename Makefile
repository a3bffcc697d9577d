# One command is enough: each target installs what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install sandbox test chaos bench check format reference clean

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

sandbox: $(STAMP)
	@$(BIN)/zendesk-connector sandbox $(ARGS)

# Several at once: most of a test's time is waiting. ARGS="-n 0 -x tests/test_recipe.py" runs one file alone.
test: $(STAMP)
	$(BIN)/python -m pytest -q -n 4 --dist worksteal $(ARGS)

# About 17 minutes of kills and faults; ARGS="--kills 20 --events 200 --seed 2" makes it shorter.
chaos: $(STAMP)
	$(BIN)/python tests/chaos/run.py $(ARGS)

# About 20 minutes, beside a bare relay; ARGS="--quick speed bursts" shows that it works. CONNECTOR_BENCH_TOOLS names a
# folder with a faster stub of both services, where there is one.
bench: $(STAMP)
	$(BIN)/python bench/run.py $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@cd bench && ../$(BIN)/mypy --config-file ../pyproject.toml $$(ls *.py)
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Puts the reference of triggers and actions, as the code prints it, into the README.
reference: $(STAMP)
	@$(BIN)/zendesk-connector flows reference > .reference.md
	@$(BIN)/python -c 'from pathlib import Path; import re; \
	readme, new = Path("README.md"), Path(".reference.md"); \
	readme.write_text(re.sub(r"(checked by the tests -->\n).*(<!-- end of reference -->)", \
	lambda found: found[1] + "\n" + new.read_text() + "\n" + found[2], readme.read_text(), flags=re.DOTALL)); new.unlink()'

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
