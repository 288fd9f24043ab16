# make run    install into .venv, then run the whole pipeline on this machine (profile `local`)
# make check  install into .venv, then lint, type-check and run the tests that start no servers, containers or ranks
# make test   install into .venv, then lint, type-check and run every test
# make cluster-test IMAGE=registry/name@sha256:… [SETTINGS="key=value …"]
#             test the cluster that KUBECONFIG and KF_PIPELINES_ENDPOINT name, with tiny runs (tests/cluster/conftest.py)
# make audit  print the licences of what is installed, and what of it no lock file pins, or was withdrawn
# make bench-install
#             install TRL beside it, which `gift bench step` measures against
# make lock   resolve requirements/*.in into the pinned requirements/*.txt

PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/installed
PYTEST := $(BIN)/python -m pytest
# The tests of a file share what it sets up, and those with Docker follow one another (tests/conftest.py). In their order,
# as files with few tests are the long ones, which must not come last.
IN_PROCESSES := --dist loadfile --no-loadscope-reorder

.PHONY: run check test cluster-test lint audit install bench-install lock clean

# Every process would compile this project's modules anew.
unexport PYTHONDONTWRITEBYTECODE

run: install
	$(BIN)/gift run --profile local --runner subprocess

# A test that takes longer than the limit is marked `slow`.
check: lint
	$(PYTEST) -n 2 $(IN_PROCESSES) -m "not slow" --timeout 20

# One process more than cores: servers, subprocesses and containers leave much of them idle.
test: lint
	$(PYTEST) -n 3 $(IN_PROCESSES)

cluster-test: install
	$(if $(IMAGE),,$(error IMAGE must name the image by its digest: make cluster-test IMAGE=registry/name@sha256:…))
	GIFT_CLUSTER_TEST_IMAGE="$(IMAGE)" GIFT_CLUSTER_TEST_SETTINGS="$(SETTINGS)" $(PYTEST) -v -rs tests/cluster

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: install
	$(BIN)/python -m pipelines.install.audit

install: $(INSTALLED)

# Everything is pinned with hashes and installed without resolving anything, but the CPU build of torch (see torch.txt).
# uv takes packages from where pip is told to look (pipelines/install). vLLM's torchvision, torchaudio and torchcodec stay
# out: they break it beside a CPU torch.
UV := $(BIN)/python -m pipelines.install.uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
TOOLS := requirements/uv.txt requirements/build.txt
LOCKS := requirements/cpu.txt requirements/development.txt requirements/models.txt
$(INSTALLED): $(TOOLS) $(LOCKS) requirements/torch.txt requirements/gpu.txt pyproject.toml
	$(PYTHON) -m venv .venv
	@echo "installing pinned dependencies into .venv (about a minute the first time)"
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/uv.txt
	$(INSTALL) --no-deps --require-hashes --no-build -r requirements/build.txt
	DS_BUILD_OPS=0 $(INSTALL) --no-deps --require-hashes --no-build-isolation $(addprefix -r ,$(LOCKS))
	build=$$($(BIN)/python -m pipelines.install.torch_build) && $(INSTALL) $$build
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

# What it needs is installed already, at the versions of cpu.txt.
bench-install: install
	$(INSTALL) --no-deps --require-hashes --no-build -r requirements/bench.txt

# torch is left out of cpu.txt: its build differs by machine (see torch.txt). A GPU image has one build, so gpu.txt pins it.
LOCK := $(UV) pip compile --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: install
	printf '%s\n' torch torchvision torchaudio torchcodec triton > .venv/excluded.txt
	$(LOCK) --excludes .venv/excluded.txt requirements/cpu.in --output-file requirements/cpu.txt
	$(LOCK) requirements/gpu.in --output-file requirements/gpu.txt
	$(LOCK) --constraint requirements/cpu.txt requirements/development.in --output-file requirements/development.txt
	$(LOCK) --no-deps requirements/bench.in --output-file requirements/bench.txt
	$(LOCK) requirements/sbom.in --output-file requirements/sbom.txt
	$(LOCK) requirements/build.in --output-file requirements/build.txt
	$(LOCK) requirements/uv.in --output-file requirements/uv.txt

clean:
	rm -rf .venv .gift runs
