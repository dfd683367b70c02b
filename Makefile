# Two commands matter: `make demo` and `make test`. Each creates .venv, installs and runs.
PY ?= python3
V := .venv
PIP := $(V)/bin/python -m pip install --disable-pip-version-check -qq
# Another index for torch alone, e.g. one with small CPU builds: make demo TORCH_INDEX=https://...
TORCH_INDEX ?=

.PHONY: demo test test-long test-deployment check docs bench bench-peers notebooks wheel-check clean

$(V)/.base: pyproject.toml constraints.txt tools/look_before_install.py
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PY=python3.11 ..."; exit 1; }
	@test -x $(V)/bin/python || $(PY) -m venv $(V)
ifneq ($(TORCH_INDEX),)
	$(PIP) --index-url $(TORCH_INDEX) -c constraints.txt torch
endif
	@$(V)/bin/python tools/look_before_install.py
	@echo "installing into $(V) (about a minute) ..."
	@$(PIP) -c constraints.txt -e .
	@touch $@

$(V)/.dev: $(V)/.base
	@echo "installing the checkers ..."
	@$(PIP) -c constraints.txt -e ".[test,check]"
	@touch $@

demo: $(V)/.base
	@$(V)/bin/secure-fedmeta run hospital

test: $(V)/.dev
	$(V)/bin/python -m pytest -q -n auto -m "not long"

test-long: $(V)/.dev
	$(V)/bin/python -m pytest -q -n auto -m "long and not deployment"

# Flower's own programs on this machine, killed and cut off: about an hour; the network namespaces need root.
test-deployment: $(V)/.dev
	$(V)/bin/python -m pytest -q -m deployment

check: $(V)/.dev
	$(V)/bin/ruff check .
	$(V)/bin/ruff format --check .
	$(V)/bin/mypy
	$(V)/bin/lint-imports

$(V)/.docs: $(V)/.base
	@$(PIP) -c constraints.txt -e ".[docs]"
	@touch $@

# The site, into build/docs; a warning is an error, and nothing is fetched.
docs: $(V)/.docs
	$(V)/bin/python tools/write_error_page.py
	$(V)/bin/python -m sphinx -q -W --keep-going -b html docs build/docs

bench: $(V)/.dev
	$(V)/bin/python benchmarks/secure_aggregation.py --clients 10 --repeat 21
	$(V)/bin/python benchmarks/secure_aggregation.py --clients 10 --repeat 21 --mode malicious
	$(V)/bin/python benchmarks/mask_loop.py
	$(V)/bin/python benchmarks/large_rounds.py
	$(V)/bin/python benchmarks/aggregations.py
	for scheme in mask rlwe32 rlwe64 bfv ckks; do $(V)/bin/python benchmarks/homomorphic.py --scheme $$scheme; done
	$(V)/bin/python benchmarks/homomorphic.py --scheme rlwe32 --dimension 10000 --repeat 21
	$(V)/bin/python benchmarks/demo_cost.py
	$(V)/bin/python benchmarks/accounting.py
	$(V)/bin/python benchmarks/noise.py
	$(V)/bin/python benchmarks/dropout_noise.py
	$(V)/bin/python benchmarks/empirical_audit.py
	$(V)/bin/python benchmarks/ledger_cost.py
	$(V)/bin/python benchmarks/hospital.py --seeds 20
	for model in sine mlp conv; do $(V)/bin/python benchmarks/meta_step.py --model $$model; done
	for model in mlp cnn; do $(V)/bin/python benchmarks/federated_round.py --model $$model --noise 1; done
	$(V)/bin/python benchmarks/population_scale.py
	$(V)/bin/python benchmarks/leaf_data.py
	for shots in 5 10 20; do for algorithm in maml meta-sgd; do \
	  $(V)/bin/python benchmarks/sine.py --algorithm $$algorithm --shots $$shots; done; done
	for algorithm in fomaml anil reptile per-fedavg imaml; do $(V)/bin/python benchmarks/sine.py --algorithm $$algorithm; done
	for epsilon in 8 3 1; do $(V)/bin/python benchmarks/sine.py --epsilon $$epsilon; done
	$(V)/bin/python benchmarks/curves.py --data synthetic --unit task --seeds 5
	$(V)/bin/python benchmarks/curves.py --data digits --unit record --seeds 5
	$(V)/bin/python benchmarks/prompt_tuning.py
	$(V)/bin/python benchmarks/forecast.py
	$(V)/bin/python benchmarks/scale_on_paper.py
	$(V)/bin/python benchmarks/flower_rounds.py
	$(V)/bin/python benchmarks/flower_large.py --deployment

# Against other projects' code, each in an environment of its own under .peers/; stops where one cannot be built.
bench-peers: $(V)/.dev
	$(V)/bin/python benchmarks/peers/build.py flower torchopt pfl nvflare
	.peers/flower/bin/python benchmarks/peers/flower_defects.py
	$(V)/bin/python benchmarks/side_by_side.py
	$(V)/bin/python benchmarks/meta_side_by_side.py --compiled
	for model in mlp cnn; do $(V)/bin/python benchmarks/federated_round.py --model $$model --peer; done
	for scheme in mask rlwe32 rlwe64 bfv; do $(V)/bin/python benchmarks/homomorphic.py --scheme $$scheme --peer; done

notebooks: $(V)/.dev
	$(V)/bin/python tools/notebooks.py check

wheel-check: $(V)/.dev
	rm -rf dist .wheelvenv && $(V)/bin/python -m build -q --wheel
	$(PY) -m venv .wheelvenv && .wheelvenv/bin/python -m pip install --disable-pip-version-check -qq -c constraints.txt dist/*.whl
	out=$$(mktemp -d) && cd $$out && $(CURDIR)/.wheelvenv/bin/secure-fedmeta run hospital --rounds 2 --out $$out/run \
	  && test -s $$out/run/report.html \
	  && $(CURDIR)/.wheelvenv/bin/secure-fedmeta new $$out/f --flower && test -s $$out/f/app/pyproject.toml && rm -rf $$out
	rm -rf .wheelvenv

clean:
	rm -rf $(V) .wheelvenv .peers dist build
