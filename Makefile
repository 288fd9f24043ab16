# make run    install into .venv, then run the whole pipeline on this machine (profile `local`)
# make test   install into .venv, then lint, type-check and run every test
# make lock   resolve requirements/*.in into the pinned requirements/*.txt (needs uv)

PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: run test install lock clean

run: install
	$(BIN)/gift run --profile local --runner subprocess

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

install: $(INSTALLED)

# Everything but torch is pinned with hashes and installed without resolving anything (see requirements/torch.txt).
# pip would warn that vLLM misses torchvision, torchaudio and torchcodec: they break it beside a CPU torch.
BUILD := requirements/build.txt
LOCKS := requirements/cpu.txt requirements/development.txt requirements/models.txt
$(INSTALLED): $(BUILD) $(LOCKS) requirements/torch.txt pyproject.toml
	$(PYTHON) -m venv .venv
	@echo "installing pinned dependencies into .venv (about two minutes the first time)"
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: -r $(BUILD)
	DS_BUILD_OPS=0 $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes \
		--no-build-isolation --use-pep517 $(addprefix -r ,$(LOCKS))
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-warn-conflicts -r requirements/torch.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# torch is left out of cpu.txt: its build differs by machine (see torch.txt). A GPU image has one build, so gpu.txt pins it.
LOCK := uv pip compile --python-version 3.11 --generate-hashes --no-header --no-annotate
lock:
	printf '%s\n' torch torchvision torchaudio torchcodec triton > .venv/excluded.txt
	$(LOCK) --excludes .venv/excluded.txt requirements/cpu.in --output-file requirements/cpu.txt
	$(LOCK) requirements/gpu.in --output-file requirements/gpu.txt
	$(LOCK) --constraint requirements/cpu.txt requirements/development.in --output-file requirements/development.txt
	$(LOCK) requirements/sbom.in --output-file requirements/sbom.txt
	$(LOCK) requirements/build.in --output-file requirements/build.txt

clean:
	rm -rf .venv .gift runs
