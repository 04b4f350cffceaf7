# aio-rs. `make help` lists the targets.

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
CARGO   ?= cargo
CC      ?= cc
BUILD   := build
TARGET  := $(or $(CARGO_TARGET_DIR),target)

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR     ?= $(PREFIX)/bin
DATADIR    ?= $(PREFIX)/share

# Replaces a file only when it differs, and in one step: a running program may
# have it mapped.
replace = @mkdir -p $(dir $(2)); cmp -s $(1) $(2) || { cp $(1) $(2).new && mv -f $(2).new $(2); }

.PHONY: all
all: lib preload dropin command ## build the libraries and the aio-rs command below build/

# cargo knows what is out of date.
.PHONY: lib
lib: ## build build/lib/libaio-rs.so, for -laio-rs
	$(CARGO) build --release --lib
	$(call replace,$(TARGET)/release/libaio_rs.so,$(BUILD)/lib/libaio-rs.so.1)
	@ln -sfn libaio-rs.so.1 $(BUILD)/lib/libaio-rs.so

# What stands in front of libc has its `syscall`, `_exit` and exec, too.
.PHONY: preload
preload: ## build build/preload/libaio-rs-preload.so, for LD_PRELOAD
	AIO_RS_SONAME=libaio-rs-preload.so $(CARGO) build --release --lib --features syscall \
		--target-dir $(TARGET)/preload
	$(call replace,$(TARGET)/preload/release/libaio_rs.so,$(BUILD)/preload/libaio-rs-preload.so)

# Found by a path, the name is enough, and the link; in the loader's cache it has
# to be the soname: make dropin DROPIN=libaio.so.1t64
DROPIN ?= libaio.so.1

.PHONY: dropin
dropin: ## build build/dropin/libaio.so.1, for LD_LIBRARY_PATH
	AIO_RS_SONAME=$(DROPIN) $(CARGO) build --release --lib --features syscall \
		--target-dir $(TARGET)/dropin
	$(call replace,$(TARGET)/dropin/release/libaio_rs.so,$(BUILD)/dropin/$(DROPIN))
	@[ $(DROPIN) != libaio.so.1 ] || ln -sfn $(DROPIN) $(BUILD)/dropin/libaio.so.1t64

.PHONY: command
command: ## build build/bin/aio-rs
	$(CARGO) build --profile cli --features cli --bin aio-rs
	$(call replace,$(TARGET)/cli/aio-rs,$(BUILD)/bin/aio-rs)

.PHONY: demo
demo: ## install what is missing, build, run the example and fio on both engines
	@scripts/deps.sh demo
	@$(MAKE) --no-print-directory all
	@CC='$(CC)' scripts/demo.sh $(BUILD)

.PHONY: check
check: ## format, lint, unit tests, gates, C tests, programs: all that CI runs
	@scripts/deps.sh check
	@$(MAKE) --no-print-directory all
	@CC='$(CC)' AIO_TEST_OURS=$(BUILD) CARGO='$(CARGO)' scripts/check.sh

.PHONY: c-tests
c-tests: all ## the C tests only (AIO_TEST_FILTER=, AIO_TEST_MODES=, AIO_TEST_JOBS=)
	@AIO_TEST_OURS=$(BUILD) $(CARGO) test --quiet --test c_tests

.PHONY: conformance
conformance: c-tests ## run the C tests and write docs/conformance.md from what they say
	@AIO_RS_WRITE_CONFORMANCE=1 AIO_TEST_OURS=$(BUILD) $(CARGO) test --quiet --test conformance

.PHONY: gates
gates: all ## the header, layout and symbol gates only
	@AIO_TEST_OURS=$(BUILD) $(CARGO) test --quiet --test header --test layout --test symbols

.PHONY: check-fio
check-fio: all ## the whole fio matrix (make check runs a part of it)
	@AIO_TEST_OURS=$(BUILD) AIO_TEST_FIO=all $(CARGO) test --quiet --test fio

.PHONY: check-apps
check-apps: all ## all real programs, on both engines (AIO_TEST_FILTER=, AIO_TEST_MODES=)
	@scripts/deps.sh check
	@AIO_TEST_OURS=$(BUILD) AIO_TEST_APPS=all $(CARGO) test --quiet --test apps

.PHONY: apps-table
apps-table: all ## the same, and write docs/apps.md
	@scripts/deps.sh check
	@AIO_TEST_OURS=$(BUILD) AIO_TEST_APPS=write $(CARGO) test --quiet --test apps

# BENCH=: more arguments, such as the first words of rows (BENCH=--list).
.PHONY: bench
bench: lib ## measure beside kernel AIO and io_uring: all rows, engines, file systems
	$(CARGO) bench --quiet --bench aio -- --all --json $(BUILD)/bench.json $(BENCH)

.PHONY: bench-report
bench-report: ## draw what make bench measured into docs/bench
	$(CARGO) bench --quiet --bench aio -- --json $(BUILD)/bench.json --draw docs/bench

# LIBAIO=, XFSTESTS=: directories with their sources; LTP=: where it is installed.
.PHONY: check-suites
check-suites: all ## the suites of libaio, xfstests and LTP, fetched; on theirs and on ours
	@scripts/deps.sh check
	@CC='$(CC)' AIO_TEST_OURS=$(BUILD) scripts/suites.sh

.PHONY: bench-smoke
bench-smoke: lib ## a few seconds of the benchmark: that it works, not how fast
	$(CARGO) bench --quiet --bench aio -- --slices 3 --length 10 --json $(BUILD)/smoke/bench.json \
		'cached read 4k qd1' 'direct overwrite 4k qd32' 'epoll direct read 4k qd1' \
		'reaper direct read 4k qd32' 'cold read 64k' 'fsync' 'io_setup' 'empty poll' '4 threads' \
		'memory of 1000'
	$(CARGO) bench --quiet --bench aio -- --json $(BUILD)/smoke/bench.json --draw $(BUILD)/smoke
	@cd $(BUILD)/smoke && ls README.md overview.svg speed-1.svg cpu-1.svg io_submit-1.svg >/dev/null

.PHONY: fmt
fmt: ## format the sources
	$(CARGO) fmt

.PHONY: lint
lint: ## check the format; clippy with warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --features cli -- -D warnings

.PHONY: header
header: ## write include/libaio.h anew from src/capi
	AIO_RS_WRITE_HEADER=1 $(CARGO) test --quiet --test header

# A new seed each time, which is printed; FUZZ_PROGRAM= runs one program of it.
.PHONY: fuzz-diff
fuzz-diff: all ## random programs on kernel AIO and on ours (FUZZ_SECONDS=, FUZZ_SEED=)
	@AIO_TEST_OURS=$(BUILD) $(CARGO) test --quiet --test fuzz_diff

.PHONY: fuzz-diff-hour
fuzz-diff-hour: all ## the same for an hour, and a million steps at least
	@AIO_TEST_OURS=$(BUILD) FUZZ_SECONDS=3600 FUZZ_STEPS=1000000 $(CARGO) test --quiet --test fuzz_diff

.PHONY: command-pages
command-pages: ## write the command's manual pages and completions anew
	AIO_RS_WRITE_PAGES=1 $(CARGO) test --quiet --test command_pages

.PHONY: pictures
pictures: all ## draw docs/pictures/top.svg and doctor.svg from what the command shows
	AIO_RS_WRITE_PICTURES=1 AIO_TEST_OURS=$(BUILD) $(CARGO) test --quiet --test pictures

.PHONY: deps
deps: ## install the tools that the tests use (root), or name what is missing
	@scripts/deps.sh check

# Where everything goes; DESTDIR= stands before all of it.
layout = BUILD='$(BUILD)' VERSION='$(VERSION)' DESTDIR='$(DESTDIR)' LIBDIR='$(LIBDIR)' \
	INCLUDEDIR='$(INCLUDEDIR)' BINDIR='$(BINDIR)' DATADIR='$(DATADIR)'

.PHONY: install
install: all ## install to PREFIX= (default /usr/local), LIBDIR=, below DESTDIR=
	@$(layout) scripts/install.sh install

.PHONY: uninstall
uninstall: ## remove what install put there, by its list
	@$(layout) scripts/install.sh uninstall

.PHONY: deb
deb: ## build the Debian packages into build/deb; lintian has to be content
	@scripts/deps.sh package
	@scripts/deb.sh '$(BUILD)' '$(VERSION)'

.PHONY: check-package
check-package: deb ## cargo package; the Debian packages as a new user meets them, in a chroot (root)
	$(CARGO) package --quiet --allow-dirty
	@scripts/check-package.sh '$(BUILD)'

.PHONY: clean
clean: ## remove everything that was built
	$(CARGO) clean --quiet
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20
