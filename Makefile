# The commands that anyone must know: make demo, make lab, make test, make check, make bench. CI calls the same ones.

# The first interpreter here that is Python 3.11 or 3.12.
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
LATEST := .venv-latest/bin
# Two cores: numeric libraries must not start a pool of threads in every test process.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
# Where an environment forbids bytecode, each of thousands of processes compiles this package anew.
export PYTHONDONTWRITEBYTECODE :=
TESTS := -q -n 3 --dist loadscope --no-loadscope-reorder

# Every core compiles, which is most of an installation: pip compiles with one. As for pip, what does not compile is no error.
define install
$(PYTHON) -m venv $(1)
$(1)/bin/python -m pip install -qq --no-compile --require-hashes -r $(2)
$(1)/bin/python -m pip install -qq --no-deps -e .
$(1)/bin/python -m compileall -qq -j 0 $(1)/lib || true
endef

.PHONY: setup demo lab labextension labextension-if-npm test test-latest test-ray check bench bench-monitoring bench-reports bench-stats bench-retraining lock pictures verbs clean

setup: .venv/ready

.venv/ready: requirements/all.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "mlprod_nb needs Python 3.11 or 3.12: none is on the PATH."; exit 1; }
	@echo "Installing into .venv what requirements/all.txt names: a few minutes."
	$(call install,.venv,requirements/all.txt)
	@touch $@

.venv-latest/ready: requirements/latest.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "mlprod_nb needs Python 3.11 or 3.12: none is on the PATH."; exit 1; }
	$(call install,.venv-latest,requirements/latest.txt)
	@touch $@

demo: setup  ## Run the quickstart headless in ./demo and say where the reports lie.
	$(BIN)/python tools/demo.py demo

lab: setup labextension-if-npm  ## Open the quickstart in JupyterLab.
	mkdir -p demo && cp -n notebooks/quickstart.ipynb demo/ || true
	cd demo && JUPYTER_PATH=$(CURDIR)/labextension/build ../$(BIN)/jupyter lab quickstart.ipynb

# What its build reads; tools/labextension.py compares their digests.
EXTENSION := labextension/build/labextensions/mlprod-nb/package.json
EXTENSION_SOURCES := $(shell find labextension -path labextension/node_modules -prune -o -path labextension/build -prune -o \
	-path labextension/tests -prune -o -type f -print) $(wildcard widgets/*) mlprod_nb/__init__.py

labextension: $(EXTENSION)  ## Build the JupyterLab extension; needs npm.

$(EXTENSION): labextension/node_modules/.ready $(EXTENSION_SOURCES)
	cd labextension && npm run --silent build

labextension/node_modules/.ready: labextension/package.json
	cd labextension && npm install --silent
	@touch $@

labextension-if-npm:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory labextension; \
	else echo "npm is missing: the JupyterLab extension is not built, and its tests are skipped."; fi

test: setup labextension-if-npm  ## Every test, in the environment with alibi-detect.
	$(BIN)/python -m pytest $(TESTS)

test-latest: .venv-latest/ready  ## The tests with the newest numpy and pandas, without alibi-detect and the browser.
	$(LATEST)/python -m pytest $(TESTS) -m "not browser and not exhaustive"

# Beside the environment, whose packages are all that Ray needs, so that it stays as the lock file says.
test-ray: setup  ## The tests that need Ray, on a cluster of this machine; takes 240 MB.
	$(BIN)/python -m pip install -qq --no-deps --upgrade --target build/ray 'ray>=2.40' msgpack
	PYTHONPATH=build/ray $(BIN)/python -m pytest -q tests/targets -k ray

check: setup  ## Style, types and import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## The gateway beside MLflow's server and a bare echo, a model worker beside MLServer; needs wrk. Writes benchmarks/RESULTS.md.
	$(BIN)/python -m benchmarks.gateway
	$(BIN)/python -m benchmarks.model_worker

bench-monitoring: setup  ## The monitor beside a bare pass, scipy and alibi-detect, and cold from a shell. Writes its sections of benchmarks/RESULTS.md.
	$(BIN)/python -m benchmarks.monitoring
	$(BIN)/python -m benchmarks.monitoring_cold

bench-reports: setup  ## A report beside papermill and nbconvert of an equal notebook. Writes its section of benchmarks/RESULTS.md.
	$(BIN)/python -m benchmarks.reports

bench-stats: setup  ## Error rates and powers of the statistics by simulation. Writes benchmarks/STATISTICS.md.
	set -e; for module in abtest_statistics abtest_families abtest_peeking abtest_scan monitoring_statistics; do $(BIN)/python -m benchmarks.$$module; done

bench-retraining: setup  ## A year of flights, retrained each month or never. Writes its section of benchmarks/STATISTICS.md.
	$(BIN)/python -m benchmarks.retraining

lock:  ## Resolve the locked requirements anew; needs uv.
	for extra in all latest; do uv pip compile pyproject.toml --extra $$extra --universal --python-version 3.11 \
		--no-header --no-annotate --generate-hashes -q -o requirements/$$extra.txt; done

pictures: setup labextension  ## Take the docs' screenshots anew.
	PYTHONPATH=. $(BIN)/python tools/pictures.py

verbs: setup  ## Write anew the pages that are made from code: docs/verbs, one a verb, and docs/settings.md.
	PYTHONPATH=. $(BIN)/python tools/verbs.py

clean:
	rm -rf .venv .venv-latest .venv-mlserver demo
