# One command a task; CONTRIBUTING.md says how long each takes. JOBS is how many processes run tests.
PYTHON ?= .venv/bin/python
JOBS ?= 6
SEEDS ?= 0:100
NAMES ?=

.PHONY: quick test long seeds teeth lint pictures benchmarks

quick:       ; $(PYTHON) -m pytest -q -n $(JOBS) -m "quick and not long"
test:        ; $(PYTHON) -m pytest -q -n $(JOBS)
long:        ; $(PYTHON) -m pytest -q -n $(JOBS) -m "long or hypothesis" --hypothesis-profile whole
seeds:       ; $(PYTHON) -m tests.simulation.seeds $(SEEDS) --jobs $(JOBS)
teeth:       ; $(PYTHON) -m tests.teeth $(NAMES)
lint:        ; $(PYTHON) -m ruff check && $(PYTHON) -m ruff format --check && $(PYTHON) -m mypy
pictures:    ; $(PYTHON) -m docs.pictures.make && $(PYTHON) -m docs.pictures.rooms && $(PYTHON) -m docs.pictures.topologies
benchmarks:  ; $(PYTHON) -m benchmarks.all
