#!/bin/sh
# What cargo runs in place of rustc for this workspace's own packages (RUSTC_WORKSPACE_WRAPPER): the same
# compiler, whose LLVM counts edges and shows comparisons to libFuzzer. These flags are on the stable
# toolchain; no sanitizer is. Packages from registries are compiled as always, and shared with other builds.
case " $* " in
  # Large, and of it only the configuration is fuzzed, and the errors' texts.
  *" --crate-name shmirror_daemon "* | *" --crate-name shmirror "*) level=0 ;;
  *) level=2 ;;
esac
# Checks of overflow and the like would go with the optimization.
exec "$@" -Copt-level=$level -Cdebug-assertions=on -Coverflow-checks=on \
  -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares
