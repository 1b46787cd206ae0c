# `make test` is all that a fresh machine needs: Rust, a C compiler and the package registries.
CARGO ?= cargo
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MAJOR := $(firstword $(subst ., ,$(VERSION)))
LOOM_DIR := target/loom

header:  ## include/shmirror.h, made from the library's source
	$(CARGO) run --quiet --locked -p shmirror-ffi --example header

.PHONY: header build install test test-unit test-loom test-figures bench clean help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

build:  ## the release binary, and the library for C and C++
	$(CARGO) build --release --locked -p shmirror-cli -p shmirror-ffi

install: build  ## to DESTDIR and PREFIX
	install -D -m 755 target/release/shmirror $(DESTDIR)$(BINDIR)/shmirror
	install -D -m 755 target/release/libshmirror_ffi.so $(DESTDIR)$(LIBDIR)/libshmirror.so.$(VERSION)
	ln -sf libshmirror.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libshmirror.so.$(MAJOR)
	ln -sf libshmirror.so.$(MAJOR) $(DESTDIR)$(LIBDIR)/libshmirror.so
	install -D -m 644 target/release/libshmirror_ffi.a $(DESTDIR)$(LIBDIR)/libshmirror.a
	install -D -m 644 include/shmirror.h $(DESTDIR)$(INCLUDEDIR)/shmirror.h

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
