# Every target that needs Python makes .venv first, and installs again only when one of $(INSTALL_INPUTS) has changed.
PYTHON ?= python3
BIN := .venv/bin
INSTALL_INPUTS := setup.py pyproject.toml constraints.txt build_tools/pillow.py
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# setuptools and pybind11 in the isolated environments where pip builds: the same versions as everywhere.
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt

DATA ?= data

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv install demo test test-faults lint bench bench-evaluate bench-kernels bench-launch bench-prepare bench-profile bench-quality bench-recovery bench-reduce bench-sameness bench-scaling bench-step bench-unequal chaos fuzz presets clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

install: .venv/installed ## make .venv and install gen-dist into it, editable

venv: install

.venv/installed: $(INSTALL_INPUTS)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "creating .venv"; rm -rf .venv; $(PYTHON) -m venv .venv; }
	@echo "installing (minutes the first time: torch, ray, and Pillow-SIMD from source)"
	@$(BIN)/python -m pip install -qq -c constraints.txt pip setuptools
	@pillow=$$($(BIN)/python build_tools/pillow.py) \
	  && GEN_DIST_PILLOW=$$pillow $(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	@touch $@

demo: install ## train a VAE, then a DCGAN, on the bundled pictures with two workers
	@$(BIN)/python -m gen_dist.launch.demo

test: install ## run the whole test suite but for chaos; two files at a time, but for faults
	@$(BIN)/python -m pytest tests/unit tests/e2e tests/integration --numprocesses=2 --dist=loadfile --durations=40
	@$(BIN)/python -m pytest tests/faults --ignore=tests/faults/test_chaos.py --durations=10

test-faults: install ## everything that may happen to workers and machines, and chaos; 12 minutes
	@$(BIN)/python -m pytest tests/faults

lint: install ## ruff (check and format) and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: install ## run every short benchmark
	@$(BIN)/python -m benchmarks

bench-kernels: install ## the kernels beside their peers, each in an environment of its own; 20 minutes the first time
	@$(BIN)/python -m benchmarks.peers.install
	@$(BIN)/python -m benchmarks.kernels
	@PYTHONPATH=. $$($(BIN)/python -m benchmarks.peers.install --python keras) -m benchmarks.keras_affine

bench-evaluate: install ## scoring 10,000 images, and the sliced Wasserstein distance beside plain torch; 10 minutes
	@$(BIN)/python -m benchmarks.evaluate

bench-launch: install ## time from process start to the first step, beside Ray Train
	@$(BIN)/python -m pip install -qq -c constraints.txt pandas pyarrow # which Ray Train asks for
	@$(BIN)/python -m benchmarks.launch

bench-prepare: install ## preparing 20,000 JPEGs beside Pillow in a pool and a DataLoader; and the memory for a million records
	@$(BIN)/python -m benchmarks.peers.install
	@$(BIN)/python -m benchmarks.prepare
	@$(BIN)/python -m benchmarks.prepare --records 1000000

bench-profile: install ## planted delays, and what profiles say of them; root, 17 minutes
	@$(BIN)/python -m benchmarks.attribution

bench-recovery: install ## what a killed worker costs, beside Ray Train; 15 minutes
	@$(BIN)/python -m pip install -qq -c constraints.txt pandas pyarrow # which Ray Train asks for
	@$(BIN)/python -m benchmarks.recovery

bench-reduce: install ## step time under tree and ddp; shaped links need root, 15 minutes
	@$(BIN)/python -m benchmarks.reduce

bench-quality: install ## recipes at equal compute time, cell by cell (DATA=folder of the archives); takes hours, can be stopped
	@$(BIN)/python -m benchmarks.peers.install --only pythae
	@$(BIN)/python -m benchmarks.quality --data $(DATA)

bench-sameness: install ## the same bits on any workers, 20 minutes
	@$(BIN)/python -m benchmarks.sameness

bench-scaling: install ## one, two and three machines of half a CPU, beside their bound and the plan; root, an hour, can be stopped
	@$(BIN)/python -m benchmarks.scaling
	@$(BIN)/python -m benchmarks.weak_scaling

bench-step: install ## how fast a step is, beside plain torch loops and Pythae; 20 minutes
	@$(BIN)/python -m benchmarks.peers.install --only pythae
	@$(BIN)/python -m benchmarks.step

bench-unequal: install ## a machine three times as fast as the other; root, 15 minutes
	@$(BIN)/python -m benchmarks.unequal

presets: install ## train every preset as it is for 30 steps, and go on where an earlier try stopped; takes hours
	@$(BIN)/python -m benchmarks.presets

chaos: install ## train for 30 minutes while workers are killed and stopped every few seconds; the same bits must come out
	@$(BIN)/python -m benchmarks.chaos

fuzz: install ## 200,000 damaged JPEGs and PNGs through the decoders, with bounds checks; 30 minutes
	@$(BIN)/python -m benchmarks.fuzz

clean: ## remove .venv and everything that was built; runs stay
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
