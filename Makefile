# `make test` is all that a fresh machine needs: Rust, a C compiler and the package registries.
CARGO ?= cargo
NM ?= nm
OBJCOPY ?= objcopy
STRIP ?= strip

# Where `make install` puts things, behind DESTDIR. Spaces are fine, relative paths are refused.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
BASHCOMPDIR ?= $(DATADIR)/bash-completion/completions
ZSHCOMPDIR ?= $(DATADIR)/zsh/site-functions
FISHCOMPDIR ?= $(DATADIR)/fish/vendor_completions.d

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
OUT := $(or $(CARGO_TARGET_DIR),target)/release
STAGE := $(OUT)/stage
LOOM_DIR := target/loom

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: help build built header freeze-abi stage where install uninstall examples
.PHONY: test test-unit python test-loom test-torture test-fuzz test-figures test-counts torture fuzz
.PHONY: bench figures clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

build:  ## the release binary, and the library for C and C++
	$(CARGO) build --release --locked -p shmirror-cli -p shmirror-ffi

header:  ## include/shmirror.h, made from the library's source
	$(CARGO) run --quiet --locked -p shmirror-ffi --example header

freeze-abi: header  ## ffi/abi: the header of this minor version, before its release
	@case $(VERSION) in *.0) ;; *) echo "$(VERSION): released; the ABI stays" >&2; exit 1 ;; esac
	install -D -m 644 include/shmirror.h ffi/abi/$(basename $(VERSION))/shmirror.h

# What cargo made; its time tells whether it changed. `sudo make install` may have no cargo: what was
# built before will do.
MADE := $(OUT)/shmirror $(OUT)/libshmirror_ffi.so $(OUT)/libshmirror_ffi.a
$(MADE): $(if $(shell command -v $(CARGO)),build,built) ;
built:
	@ls $(MADE) >/dev/null || { echo "no $(CARGO) here, and nothing built: make build" >&2; exit 1; }

$(STAGE):
	mkdir -p $@/completions

$(STAGE)/shmirror: $(OUT)/shmirror | $(STAGE)
	$(STRIP) -g -o $@ $<

$(STAGE)/libshmirror.so: $(OUT)/libshmirror_ffi.so | $(STAGE)
	$(STRIP) --strip-unneeded -o $@ $<

# One object with no global names but the API's: with those of Rust's own library in it, no program could
# link a second library that is written in Rust.
$(STAGE)/libshmirror.a: $(OUT)/libshmirror_ffi.a | $(STAGE)
	$(LD) -r --force-group-allocation -o $(STAGE)/shmirror.o $< \
		$$($(NM) -g --defined-only $< 2>/dev/null | sed -n 's/.* T \(shmirror_[a-z0-9_]*\)$$/-u \1/p')
	$(OBJCOPY) --wildcard --keep-global-symbol='shmirror_*' --strip-unneeded \
		--remove-section=.llvmbc --remove-section=.llvmcmd $(STAGE)/shmirror.o
	rm -f $@
	$(AR) rcs $@ $(STAGE)/shmirror.o

$(STAGE)/man/shmirror.1: $(STAGE)/shmirror
	rm -rf $(@D) && $< man $(@D)

$(STAGE)/completions/%: $(STAGE)/shmirror
	$< completions $* > $@

stage: $(addprefix $(STAGE)/,shmirror libshmirror.so libshmirror.a man/shmirror.1 \
	completions/bash completions/zsh completions/fish)

$(foreach name,DESTDIR PREFIX BINDIR LIBDIR INCLUDEDIR PKGCONFIGDIR MANDIR BASHCOMPDIR ZSHCOMPDIR \
	FISHCOMPDIR STAGE VERSION,$(eval install uninstall: export $(name) := $$($(name))))

where:
	@ffi/install.sh check

install: where stage  ## binary, libraries, headers, man pages, completions: to DESTDIR and PREFIX
	@ffi/install.sh install

uninstall: where  ## removes what install put there
	@test -e $(STAGE)/man/shmirror.1 || $(MAKE) stage
	@ffi/install.sh uninstall

# Built as a user builds them: against an installed library, which pkg-config finds. PREFIX is where; without
# it they get a prefix of their own.
OWN_PREFIX := $(if $(filter file,$(origin PREFIX)),$(CURDIR)/target/prefix)
examples:  ## the C and C++ examples, into target/examples
	$(if $(OWN_PREFIX),$(MAKE) install PREFIX="$(OWN_PREFIX)" DESTDIR=)
	@$(MAKE) --no-print-directory -C examples BUILD="$(or $(BUILD),../target/examples)" \
		PKG_CONFIG_PATH="$(if $(OWN_PREFIX),$(OWN_PREFIX)/lib/pkgconfig,$(PKGCONFIGDIR)):$$PKG_CONFIG_PATH"

test: test-unit test-loom test-torture test-fuzz  ## every test
	@echo "all tests passed"

test-unit: build python  ## unit, property and multi-process tests
	SHMIRROR_PYTHON="$$(ls "$(PYTHON_ENV)/bin/python3" 2>&-)" $(CARGO) test --workspace --exclude shmirror-torture --locked

# For the test that reads the store's files in Python. Where it can't be had, that test is ignored.
PYTHON_ENV := $(CURDIR)/target/python
PYNACL := pynacl==1.6.2
python:  ## Python with PyNaCl, in target/python
	@test -e "$(PYTHON_ENV)/$(PYNACL)" || { rm -rf "$(PYTHON_ENV)" && python3 -m venv "$(PYTHON_ENV)" \
		&& "$(PYTHON_ENV)/bin/pip" install --quiet --disable-pip-version-check $(PYNACL) \
		&& touch "$(PYTHON_ENV)/$(PYNACL)"; } \
		|| { rm -rf "$(PYTHON_ENV)"; echo "no Python with venv and PyNaCl here" >&2; test -z "$$CI"; }

test-loom:  ## the models of latch, lanes and segment; each of their fences weakened
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(LOOM_DIR) $(CARGO) test -p shmirror-shm --release --locked --lib

# Its features make the engine one that can be broken: it is built by itself, and nothing else with it.
TORTURE := $(CARGO) run --quiet --locked -p shmirror-torture --
test-torture:  ## a short round of every fault
	$(CARGO) test --locked -p shmirror-torture
	$(CARGO) test --locked -p shmirror-store --features faults --lib faults
	$(TORTURE) run --seconds 5

MINUTES ?= 60
torture:  ## faults of every kind, for MINUTES in all
	$(CARGO) test --locked -p shmirror-cli --test odd --test golden
	$(CARGO) run --release --locked -p shmirror-torture -- run --minutes $(MINUTES)

# What was ever found, and the corpus, are replayed by ordinary tests; this looks further, if little.
test-fuzz:  ## each fuzz target for some seconds, where there is a C++ compiler
	@if command -v c++ >/dev/null; then CARGO="$(CARGO)" SEED=1 fuzz/run.sh 2; \
		else echo "no C++ compiler here: no further fuzzing" >&2; test -z "$$CI"; fi

SECONDS ?= 60
fuzz:  ## each fuzz target for SECONDS
	CARGO="$(CARGO)" fuzz/run.sh $(SECONDS)

test-figures:  ## what a read costs in C, beside what it costs in Rust
	$(CARGO) test --locked -p shmirror-ffi --test figures -- --nocapture --test-threads=1

test-counts:  ## how many instructions reads and submissions take; COUNTS=write records it
	$(CARGO) test --locked -p shmirror-ffi --test counts -- --nocapture --test-threads=1

# A workspace of its own, which builds where this one does. QUICK=1 for a short run, ONLY="R1 W2" for some rows;
# what was kept of a full run stays then.
bench: build  ## shmirror beside its peers, all in one run: bench/README.md
	CARGO_TARGET_DIR="$(abspath $(OUT)/..)" $(CARGO) build --release --locked --manifest-path bench/Cargo.toml
	$(OUT)/shmirror-bench $(if $(QUICK),--quick) $(ONLY:%=--only %) \
		--out $(if $(QUICK)$(ONLY),$(or $(CARGO_TARGET_DIR),target)/bench,bench)/results.json

figures: build  ## the figures of this machine, beside what they must reach
	$(OUT)/shmirror bench

clean:  ## remove what was built
	$(CARGO) clean
