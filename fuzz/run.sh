#!/usr/bin/env bash
# Runs the fuzz targets one after another, each from the kept corpus and what earlier runs here have learnt.
#
#   fuzz/run.sh [SECONDS [TARGET...]]     each for SECONDS (60)
#   fuzz/run.sh minimise [TARGET...]      what was learnt, minimised, into fuzz/corpus
#   fuzz/run.sh seeds [TARGET...]         inputs made from real values, into what was learnt
#
# SEED=N draws the same inputs again; else it is another one each time. An input on which a target fails is
# put into fuzz/regressions/TARGET, where a test replays it for ever. Needs a C++ compiler; no nightly, no
# sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-60}
shift || true
seed=${SEED:-$((RANDOM << 15 | RANDOM))}
learnt=${CARGO_TARGET_DIR:-target}/fuzz
built=${CARGO_TARGET_DIR:-target}/debug/shmirror-fuzz

RUSTC_WORKSPACE_WRAPPER="$PWD/fuzz/rustc.sh" \
  ${CARGO:-cargo} build --quiet --locked -p shmirror-fuzz --features engine

targets=("$@")
if [ "${#targets[@]}" = 0 ]; then
  mapfile -t targets < <(sed -n '/^targets!\[$/,/^\];$/s/^    \([a-z_]*\),$/\1/p' fuzz/src/lib.rs)
fi

# engine TARGET ARGUMENTS: its log is LEARNT/TARGET.log.
engine() {
  local target=$1
  shift
  mkdir -p "$learnt/$target" "fuzz/corpus/$target"
  SHMIRROR_FUZZ=$target "$built" -rss_limit_mb=2048 -timeout=25 -verbosity=1 "$@" \
    > "$learnt/$target.log" 2>&1
}

case $what in
  seeds)
    for target in "${targets[@]}"; do
      mkdir -p "$learnt/$target"
      SHMIRROR_FUZZ_SEEDS="$learnt/$target" engine "$target"
    done
    exit ;;
  minimise)
    for target in "${targets[@]}"; do
      kept="$learnt/$target.kept"
      rm -rf "$kept" && mkdir -p "$kept"
      engine "$target" -set_cover_merge=1 -use_counters=0 "$kept" "fuzz/corpus/$target" "$learnt/$target"
      # The smallest are what covers most of it by the byte.
      rm -rf "fuzz/corpus/$target" && mkdir -p "fuzz/corpus/$target"
      bytes=0
      while read -r size file; do
        bytes=$((bytes + size))
        [ "$bytes" -lt "${MOST:-65536}" ] || break
        cp "$file" "fuzz/corpus/$target/"
      done < <(find "$kept" -type f -printf '%s %p\n' | sort -n)
      printf '%-16s %s inputs, %s bytes\n' "$target" "$(ls "fuzz/corpus/$target" | wc -l)" \
        "$(cat "fuzz/corpus/$target"/* | wc -c)"
    done
    exit ;;
  *[!0-9]* | 0) echo "$0: $what seconds?" >&2; exit 2 ;;
esac

echo "fuzzing, $what s each, SEED=$seed"
printf '%-16s %12s %10s %10s %8s\n' target inputs covered corpus failed
failed=0
for target in "${targets[@]}"; do
  mkdir -p "fuzz/regressions/$target"
  ended=0
  engine "$target" -max_total_time="$what" -seed="$seed" -max_len=8192 -print_final_stats=1 \
    -artifact_prefix="fuzz/regressions/$target/" \
    "$learnt/$target" "fuzz/corpus/$target" "fuzz/regressions/$target" || ended=$?
  log="$learnt/$target.log"
  last=$(grep -aE '^#[0-9]+.* cov: ' "$log" | tail -n 1)
  figure() { sed -n "s/.* $1: \([0-9]*\).*/\1/p" <<< "$last"; }
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  found=-
  [ "$ended" = 0 ] || { found=yes; failed=1; }
  printf '%-16s %12s %10s %10s %8s\n' "$target" "${inputs:-?}" "$(figure cov)" "$(figure corp)" "$found"
  if [ "$ended" != 0 ]; then
    grep -aE -A 3 'panicked at|ERROR: libFuzzer|Test unit written' "$log" | grep -av '^ *at ' | head -n 20 >&2
  fi
  rmdir --ignore-fail-on-non-empty "fuzz/regressions/$target"
done
exit "$failed"
