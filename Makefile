# maskdet: `make help` lists the targets. Every target sets up what it needs.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export NO_ALBUMENTATIONS_UPDATE := 1
export DVC_NO_ANALYTICS := 1
# `dvc exp run` makes commits; where git knows no name, it gets a neutral one.
ifeq ($(shell git config user.email),)
export GIT_AUTHOR_NAME ?= maskdet
export GIT_AUTHOR_EMAIL ?= maskdet@localhost
export GIT_COMMITTER_NAME ?= maskdet
export GIT_COMMITTER_EMAIL ?= maskdet@localhost
endif

SAMPLE_OVERRIDES := -S data=sample -S experiment=smoke
SWEEP ?= backbones
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo restore test lint format params reproduce sweep report release bench unlock clean

help:  ## List the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' Makefile

setup: $(STAMP)  ## Make .venv with everything (needs python 3.11+, make, git)

# uv comes from PyPI into the environment, then installs the exact pins of requirements.lock.
$(STAMP): requirements.lock pyproject.toml
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@test -x $(VENV)/bin/uv || $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip sync requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## Run the whole pipeline on the embedded sample: minutes on two cores
	@dvc pull --quiet data.dvc
	@dvc exp run $(SAMPLE_OVERRIDES)
	@echo "report:  $(CURDIR)/reports/report.html"
	@echo "params.yaml, dvc.lock and reports/ now describe the sample; to return to the committed run:"
	@echo "  make restore"

restore: $(STAMP)  ## Return from the demo to the committed run
	@git restore params.yaml dvc.lock reports
	@git clean -fdq reports
	@rm -rf build/train build/predictions
	@dvc checkout --quiet --allow-missing || true

test: $(STAMP)  ## Run the whole test suite, one process a core, four at most
	@dvc pull --quiet data.dvc
	@OMP_NUM_THREADS=1 pytest --numprocesses=logical --maxprocesses=4 --no-loadscope-reorder

lint: $(STAMP)  ## Check style, docstrings and the direction of imports
	@ruff format --check --quiet .
	@ruff check --quiet .
	@ruff check --quiet --preview --select DOC102 src
	@lint-imports --no-logo

format: $(STAMP)  ## Format the code
	@ruff format --quiet .
	@ruff check --quiet --fix .

params: $(STAMP)  ## Compose conf/ into params.yaml
	@python -c "from dvc.utils.hydra import compose_and_dump; compose_and_dump('params.yaml', '$(CURDIR)/conf', None, 'config', None, [])"

reproduce: $(STAMP)  ## The real thing: the whole pipeline on the Kaggle set
	@if grep -q "name: sample" params.yaml; then echo "params.yaml describes the sample: run 'make restore' first" >&2; exit 1; fi
	@dvc pull --quiet data.dvc
	@dvc repro

sweep: $(STAMP)  ## Train side by side what a file of conf/sweep lists: make sweep SWEEP=anchors ARGS="experiment=smoke"
	@python -m maskdet.stages.train --multirun +sweep=$(SWEEP) $(ARGS)

report: $(STAMP)  ## Remake the HTML report of the present run
	@dvc repro --single-item --force report

release: $(STAMP)  ## Train the model that ships on every image, export it and the two-phase model, copy them into the package
	@if grep -q "name: sample" params.yaml; then echo "params.yaml describes the sample: run 'make restore' first" >&2; exit 1; fi
	@dvc repro pipelines/release/dvc.yaml
	@mkdir -p src/maskdet/reference
	@cp build/release/reference.onnx build/release/reference.safetensors build/release/reference.json build/release/two_phase.onnx src/maskdet/reference/
	@ls -l src/maskdet/reference

bench: $(STAMP)  ## Measure speeds, as ratios within one run: some twenty minutes on two cores, most of them the audit of 10,000 drawn photos
	@for script in benchmarks/*.py; do python $$script || exit 1; done

unlock: $(STAMP)  ## Remove a stale DVC lock once no dvc lives
	@if pgrep -f "[d]vc (repro|exp|pull|push)" >/dev/null; then echo "a dvc is running: stop it first" >&2; exit 1; fi
	@rm -f .dvc/tmp/rwlock .dvc/tmp/rwlock.lock .dvc/tmp/lock && echo "unlocked"

clean:  ## Remove the environment and everything that runs have made
	@rm -rf $(VENV) build outputs multirun reports/gallery reports/report.html
