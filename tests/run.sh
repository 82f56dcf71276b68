#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every test: sh tests/run.sh [ctest options, e.g. -R live/rolling or -L live]
# Installs missing packages, builds with address and undefined sanitizers (and, for what has threads, the thread
# sanitizer), runs all through ctest. The exit status is ctest's.
set -eu
cd "$(dirname "$0")/.."
. tests/lib/packages.sh
packages_install tests/packages.txt tests/packages-tests.txt
jobs=${JOBS:-2}
began=$(date +%s)

build() { # directory, sanitizers, targets, more cmake options
    directory=$1 sanitizers=$2 targets=$3
    shift 3
    mkdir -p "$directory"
    echo "building in $directory ($sanitizers)"
    # shellcheck disable=SC2086
    { cmake -G Ninja -S . -B "$directory" -DRELEASE_SANITIZE="$sanitizers" -DRELEASE_FAILPOINTS=ON \
        -DRELEASE_TESTS=ON -DRELEASE_WERROR=ON "$@" &&
        ninja -C "$directory" -j "$jobs" $targets; } >"$directory/build.log" 2>&1 || {
        grep -E 'error|warning|FAILED' "$directory/build.log" | head -n 40 >&2 || tail -n 40 "$directory/build.log" >&2
        echo "the build failed; all of it is in $directory/build.log" >&2
        return 1
    }
}

if [ "${TSAN:-yes}" = yes ]; then
    build build/tsan thread thread-tests
    set -- -DRELEASE_THREAD_BUILD="$PWD/build/tsan" -- "$@"
else
    set -- -DRELEASE_THREAD_BUILD= -- "$@"
fi
option=$1
shift 2
build build/asan address,undefined all "$option"
echo "built in $(($(date +%s) - began)) s"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
log=build/asan/tests.log
status=0
# Live tests mostly wait for servers: two more at a time than cores.
ctest --test-dir build/asan -j $((jobs + 2)) --output-on-failure --no-tests=error -O "$log" "$@" || status=$?

count() { # words of ctest's closing lines
    sed -n "s/.*, \([0-9]*\) tests failed out of \([0-9]*\).*/\1 \2/p" "$1" | tail -n 1
}
# shellcheck disable=SC2046
set -- $(count "$log")
failed=${1:-} total=${2:-}
if [ "$status" != 0 ] && [ "${failed:-0}" -gt 0 ] && [ "$failed" -le 3 ]; then
    # A few that failed beside others are run once more, alone, and named: a bug fails again, and a test that passes
    # only now is one to mend.
    echo "again, alone, what failed:"
    status=0
    ctest --test-dir build/asan --rerun-failed --output-on-failure -O "$log.again" || status=$?
    sed -n 's/.*Test *#[0-9]*: \([^ ]*\) .*Passed.*/passed only when it ran alone: \1/p' "$log.again"
    # shellcheck disable=SC2046
    set -- $(count "$log.again")
    failed=${1:-$failed}
fi
echo "$(($(date +%s) - began)) s in all, build and tests"
skipped=$(grep -c '\*\*\*Skipped' "$log" || :)
[ -z "$total" ] || echo "$((total - failed - skipped)) passed, $failed failed, $skipped skipped"
exit $status
