#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzzes: sh tests/fuzz/run.sh [-b DIRECTORY] [SECONDS [NAME...]]     60 s each; all targets
# Finds grow beside the kept corpus, in DIRECTORY/found/NAME; a failing input stays in DIRECTORY/failed/.
# SECONDS may be `smoke`, which is what ctest does: the kept corpus, then 2 s from there, always the same ones.
# Exit status 1: something was found; 77: there is no clang here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build/fuzz
[ "${1:-}" = -b ] && { build=$2; shift 2; }
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ -n "${SKIP_BUILD:-}" ] || sh "$here/build.sh" "$build"
[ $# -gt 0 ] || set -- $(cd "$here" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
status=0 total=0
mkdir -p "$build/failed" "$build/log"
names=$*
for name in $names; do
    program=$build/tests/fuzz/fuzz_$name corpus=$here/corpus/$name log=$build/log/$name
    options="-timeout=5 -rss_limit_mb=1024 -max_len=65536 -artifact_prefix=$build/failed/$name- -print_final_stats=1"
    [ -f "$here/dict/$name" ] && options="$options -dict=$here/dict/$name"
    [ -x "$program" ] || { echo "skipped: $program was not built (see build.sh)" >&2; exit 77; }
    if [ "$seconds" = smoke ]; then
        fresh=$build/smoke/$name
        rm -rf "$fresh" && mkdir -p "$fresh"
        set -- "$fresh" "$corpus" -seed=1 -max_total_time=2
    else
        mkdir -p "$build/found/$name"
        set -- "$build/found/$name" "$corpus" -max_total_time="$seconds"
    fi
    # shellcheck disable=SC2086
    if "$program" $options "$@" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        total=$((total + runs))
        printf '%-14s %9s executions, %s\n' "$name" "$runs" "$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)"
    else
        status=1
        printf '%-14s FAILED: %s\n' "$name" "$(grep -m 1 -E 'ERROR|runtime error|must\(' "$log" || tail -n 1 "$log")"
        grep -m 1 'Test unit written' "$log" || tail -n 20 "$log"
    fi
done
echo "$total executions in all"
exit $status
