# make report   install into .venv and write the report on the shipped pair to report/index.html
# make test     install the development tools too and run what CI runs
# make lab      open the notebooks in JupyterLab
# make docs     build reference pages from the docstrings into build/reference
# make format   rewrite the code in the house style

PYTHON ?= python3
VENV ?= .venv
OUT ?= report
ARGS ?=
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: report test lab docs format clean

report: $(VENV)/.installed
	$(BIN)/interp report --out $(OUT) $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/interp calibrate --quick --out build/calibration-quick
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

lab: $(VENV)/.installed
	$(BIN)/jupytext-config set-default-viewer
	$(BIN)/jupyter lab notebooks

docs: $(VENV)/.installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python docs/reference.py build/reference

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(OUT) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("interp needs Python 3.11 or newer, $(PYTHON) is %d.%d; name another one: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

# A stamp says that what pyproject.toml and constraints.txt ask for is installed, so a second call starts at once.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV): about 2 GB, some minutes the first time."
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV): about 2 GB, some minutes the first time."
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.installed
