# Everything runs from .venv, made by plain venv and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install study test check format bench base example clean-venv

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

install: $(VENV)/.installed  ## install kochat into .venv

study: $(VENV)/.installed  ## run the whole study on the embedded data; ends with the report's path
	$(BIN)/python -m kochat study --config configs/study/quickstart.yaml

test: $(VENV)/.installed-test  ## install what the tests need and run them
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/.installed-dev  ## lint, format check and types
	$(BIN)/ruff check kochat tests
	$(BIN)/ruff format --check kochat tests
	$(BIN)/mypy

format: $(VENV)/.installed-dev  ## format the code
	$(BIN)/ruff check --fix kochat tests
	$(BIN)/ruff format kochat tests

bench: $(VENV)/.installed  ## compare with TRL and transformers' Trainer, for hours (benchmarks/results/peers.md)
	$(BIN)/python -m benchmarks.peers

# The runs to look at right after a clone: curves and report, no weights, and no config.yaml (its paths are this machine's).
# Files with answers are left out (6 MB); the report that was made from them is there.
EXAMPLE_LEFT_OUT := best_of_n.jsonl pair_scores.jsonl ppo_samples.jsonl rm_scores.jsonl samples.jsonl scored.jsonl
EXAMPLE_FILES := -name 'events.out.tfevents.*' -o -name '*.csv' -o -name '*.jsonl' -o -name 'done.json' -o -name 'study.json' \
	-o -name 'cleaning.json' -o -name 'report.*' -o -name '*.svg'

BASE_PARTS := first second third fourth

base: $(VENV)/.installed  ## pretrain the base that kochat brings, for an hour (kochat/world/base)
	set -e; for part in $(BASE_PARTS); do \
	  $(BIN)/python -m kochat.world.base_corpus $$part data/base/$$part.jsonl; \
	  $(BIN)/python -m kochat fit --config configs/embedded_base/$$part.yaml --name base_$$part; done
	rm -rf build/base
	$(BIN)/python -m kochat export base_$(lastword $(BASE_PARTS)) --dtype bfloat16 --out build/base
	cp build/base/* kochat/world/base/

example:  ## copy the finished three-seed study to lightning_logs/example, to be committed
	rm -rf lightning_logs/example && mkdir -p lightning_logs/example
	cd lightning_logs/quickstart_seeds && find . -type f \( $(EXAMPLE_FILES) \) | tar cf - -T - | tar xf - -C ../example
	cd lightning_logs/example && find . -type f \( $(patsubst %,-name % -o,$(EXAMPLE_LEFT_OUT)) -false \) -delete
	du -sh lightning_logs/example

clean-venv:  ## remove .venv
	rm -rf $(VENV)
