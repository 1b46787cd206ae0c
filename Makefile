# `make test` is all that a fresh machine needs: Rust, a C compiler and the package registries.
CARGO ?= cargo
PREFIX ?= /usr/local
LOOM_DIR := target/loom

header:  ## include/shmirror.h, made from the library's source
	$(CARGO) run --quiet --locked -p shmirror-ffi --example header

.PHONY: header build test test-unit test-loom test-figures bench clean help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

build:  ## the release binary
	$(CARGO) build --release --locked

test: test-unit test-loom  ## every test
	@echo "all tests passed"

test-unit: build  ## unit, property and multi-process tests
	$(CARGO) test --workspace --locked

test-loom:  ## the models of latch and lanes
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(LOOM_DIR) $(CARGO) test -p shmirror-shm --release --locked --lib

bench: build  ## the figures of this machine, beside what they must reach
	target/release/shmirror bench

clean:  ## remove what was built
	$(CARGO) clean
