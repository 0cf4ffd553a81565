# Two commands matter: `make demo` shows it, `make test` checks it. Both say what they install.

SHELL := /bin/bash
CARGO ?= cargo
# One build for everything: what is tested is what runs, and nothing is compiled twice.
FEATURES := --features etcd
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin

SUITE := lab/suite.sh
# Each file of tests/ is a suite of its own; netns and vm come last.
SUITES := $(filter-out netns vm,$(sort $(basename $(notdir $(wildcard tests/*.rs)))))
SCRIPTS := $(wildcard lab/*.sh lab/*.script lab/guest/* tests/netns/*.sh tests/vm/*.sh \
  benches/*.sh benches/migration/*.sh .ci/run)
# One after another, and what they say of this machine is shown.
VM := $(SUITE) vm $(CARGO) test --release --quiet $(FEATURES) --test vm -- \
  --test-threads=1 --nocapture

.DEFAULT_GOAL := help
.PHONY: help demo test test-vm chaos bench bench-ports bench-migration lint build tools clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

demo: tools build ## three VM ports, four DHCP clients, a killed daemon: what the guests see
	@lab/demo.sh

test: tools ## everything, one suite after another, with the seconds that each took
	@$(SUITE) build $(CARGO) build --release --quiet --all-targets $(FEATURES)
	@$(SUITE) unit $(CARGO) test --release --quiet $(FEATURES) --lib
	@set -e; for suite in $(SUITES); do \
	  $(SUITE) $$suite $(CARGO) test --release --quiet $(FEATURES) --test $$suite; \
	done
	@$(SUITE) netns $(CARGO) test --release --quiet $(FEATURES) --test netns -- --test-threads=6
	@$(VM)
	@echo "all suites passed"

test-vm: tools ## every scenario with real VMs, which `make test` has the short ones of
	@$(VM) --include-ignored

chaos: tools build ## the store in trouble for long: kills, disks, damaged files, etcd; one report
	@lab/chaos.sh $(CARGO) test --release --quiet $(FEATURES)

bench: ## what the core costs, and the whole daemon beside a raw socket (as root)
	@$(CARGO) bench $(FEATURES)

bench-migration: tools build ## how soon a VM that has come to a node is told of its gateway
	@set -e; for part in $(sort $(wildcard benches/migration/*.sh)); do $$part; done

bench-ports: tools build ## 10 to 5,000 ports on one node: how long each thing takes, and the memory
	@LAB_LIMIT=600 lab/world.sh benches/ports.sh

lint: ## formatting, clippy, documentation and shellcheck; warnings are errors
	@$(CARGO) fmt --check
	@$(CARGO) clippy --release --quiet --all-targets $(FEATURES) -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --quiet --no-deps $(FEATURES)
	@command -v shellcheck >/dev/null || { echo "shellcheck is not installed" >&2; exit 1; }
	@shellcheck $(SCRIPTS)

build: ## target/release/leasehold
	@$(CARGO) build --release $(FEATURES)

tools:
	@lab/install.sh

clean: ## forgets what was built
	@$(CARGO) clean
