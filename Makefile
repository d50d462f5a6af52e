# make demo | make test | make test-all | make lint; each sets up what it needs in .venv
PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
PIP := install --quiet --disable-pip-version-check
EXTRAS := cpu,align,synth,report,test
SLOW := ray,s3,servers
DEMO := demo

.PHONY: demo test test-all lint clean

.venv/.ready: setup.cfg pyproject.toml
	@echo "installing into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip $(PIP) --upgrade pip
	@$(PY) -m pip $(PIP) --editable '.[$(EXTRAS)]'
	@touch $@

.venv/.ready-slow: .venv/.ready
	@echo "installing what the slow tests need into .venv ..."
	@$(PY) -m pip $(PIP) --editable '.[$(EXTRAS),$(SLOW)]'
	@touch $@

# The oldest `datasets` that we support, and the libraries that the stored reference outputs were made with.
.venv-oldest/.ready: setup.cfg
	@echo "installing datasets 4.0.0 into .venv-oldest ..."
	@$(PYTHON) -m venv .venv-oldest
	@.venv-oldest/bin/python -m pip $(PIP) --editable '.[$(EXTRAS)]' 'datasets==4.0.0'
	@touch $@

.venv-reference/.ready: setup.cfg
	@echo "installing torch and transformers into .venv-reference ..."
	@$(PYTHON) -m venv .venv-reference
	@.venv-reference/bin/python -m pip $(PIP) --editable '.[cpu,reference,test]'
	@touch $@

demo: .venv/.ready
	@test -d $(DEMO)/espeak || $(PY) -m builders load espeak --option utterances=96 --out $(DEMO)/espeak
	@$(PY) -m features $(DEMO)/espeak --encoder log_mel
	@$(PY) -m features $(DEMO)/espeak --encoder mfcc
	@$(PY) -m features $(DEMO)/espeak --encoder whisper-tiny --init random
	@test -d $(DEMO)/training || $(PY) -m builders load espeak --option utterances=1500 --out $(DEMO)/training
	@$(PY) -m features train vgs $(DEMO)/training --without $(DEMO)/espeak --out $(DEMO)/vgs --max-seconds 60
	@$(PY) -m features $(DEMO)/espeak --encoder $(DEMO)/vgs --layers rnn0 rnn1 rnn2
	@$(PY) -m features $(DEMO)/espeak --encoder $(DEMO)/vgs --layers rnn0 rnn1 rnn2 --init random
	@$(PY) -m probes $(DEMO)/espeak --tier phones --max-frames 100 --out $(DEMO)/results
	@echo
	@echo "next: trained weights beside the random ones, then the plot again:"
	@echo "  $(PY) -m features $(DEMO)/espeak --encoder openai/whisper-tiny"
	@echo "  $(PY) -m probes $(DEMO)/espeak --tier phones --max-frames 100 --out $(DEMO)/results"

test: .venv/.ready
	$(PY) -m pytest -m 'not slow' -n 2 -q

test-all: .venv/.ready-slow .venv-oldest/.ready .venv-reference/.ready
	$(PY) -m pytest -m slow -q
	.venv-oldest/bin/python -m pytest -m 'not slow' -n 2 -q tests/builders tests/features/test_encode.py tests/features/test_encode_cache.py tests/features/test_mlx_format.py tests/features/test_batches.py

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv .venv-oldest .venv-reference $(DEMO) build *.egg-info
