# Habits kept from the container processor's repository, and the check command.
PYTHON ?= python3
UV := .venv/bin/uv
RUN := $(UV) run --quiet --group test --group lint
IMAGE ?= ranvier-processor
ENV_FILE ?= dev.env

.DEFAULT_GOAL := check
.PHONY: venv install test test-cov lint format types imports check soak benchmark image run clean

venv: $(UV)

$(UV):
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet uv

install: venv
	$(UV) sync --inexact --group test --group lint

test: venv
	$(UV) run --group test pytest

test-cov: venv
	$(UV) run --group test pytest --cov=storage --cov=tasks --cov=flows --cov=realtime --cov=deployments

lint: venv
	$(RUN) ruff check .

format: venv
	$(RUN) ruff format --check .

types: venv
	$(RUN) mypy

imports: venv
	$(RUN) lint-imports

check: format lint types imports test

# The long forms of the tests that a check runs for a minute.
soak: venv
	RANVIER_SOAK=1 $(UV) run --group test pytest -m soak

benchmark: venv
	$(UV) run --group test ranvier benchmark convert
	$(UV) run --group test ranvier benchmark records
	$(UV) run --group test ranvier benchmark viewer

image:
	docker build --tag $(IMAGE) --file deployments/Dockerfile .

run: image
	docker run --rm --env-file $(ENV_FILE) \
		--volume "$(CURDIR)/data/input:/data/input" \
		--volume "$(CURDIR)/data/output:/data/output" $(IMAGE)

clean:
	find data/input data/output -mindepth 1 ! -name .gitkeep -delete
