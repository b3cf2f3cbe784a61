# Everything runs in .venv, which `install` makes; each target works on a fresh clone with python3 (3.10 or later).
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export NO_MKDOCS_2_WARNING := 1

.PHONY: install demo test test-slow check format bench docs study-pages clean

install: $(STAMP)

# torch comes first and by exact version: that is a CPU build, where a bare `torch` brings gigabytes for GPUs.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[offline,mteb,report,lora,translate,formats,identify,cluster,edge,qdrant,export,openvino,serve,universal,dev]"
	touch $@

demo: install
	$(BIN)/isoglot demo

# Several at a time, each on one thread: no test is so large that it gains by more.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --maxprocesses 4

test-slow: install
	$(BIN)/python -m pytest -q -m "slow or network"

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Without those that want servers or a benchmark's folder, which their first lines say
bench: install
	for script in $(filter-out %/embedding_servers.py %/fair_lists.py,$(wildcard bench/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# The documentation's pages of studies, from folders that `isoglot study` wrote: make study-pages FROM=studies
study-pages:
	for page in $(FROM)/*/page.md; do \
		from=$$(dirname $$page); to=docs/studies/$$(basename $$from); \
		rm -rf $$to && mkdir $$to && cp $$page $$to/index.md && cp -r $$from/plots $$from/*.csv $$to/ || exit 1; \
	done

docs: install
	$(BIN)/mkdocs serve

clean:
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
