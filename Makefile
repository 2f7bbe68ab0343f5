# Everything runs in .venv, made on first use.
# make demo | test | test-slow | test-gpu | notebooks | docs | lint | release | clean

PYTHON ?= python3
# tests run in so many processes, each with a model of its own in memory
PROCESSES ?= 2
BIN := .venv/bin
PORT ?= 8000
INSTALLED := .venv/.installed
PARTS := benchmarks integrations/langchain integrations/llama_index

.PHONY: demo test test-slow test-gpu notebooks docs lint release clean

demo: $(INSTALLED)
	$(BIN)/s3-retriever demo $(ARGS)

test: lint
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile -m "not slow and not gpu" $(ARGS)

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow $(ARGS)

test-gpu: $(INSTALLED)
	$(BIN)/pytest -m gpu $(ARGS)

notebooks: $(INSTALLED)
	$(BIN)/pytest --nbmake --nbmake-timeout=600 notebooks $(ARGS)

# the site: built strictly, then served on this machine; its authors' notice is not ours
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	cd site && ../$(BIN)/python -m http.server --bind 127.0.0.1 $(PORT)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# builds the wheels into dist/ and checks them; nothing is tagged or sent anywhere
release: $(INSTALLED)
	.ci/release

# torch first and alone, as constraints.txt pins it: no other package then chooses a build of it
$(INSTALLED): pyproject.toml $(addsuffix /pyproject.toml,$(PARTS)) constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]" $(addprefix -e ./,$(PARTS))
	touch $@

clean:
	rm -rf .venv site .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
