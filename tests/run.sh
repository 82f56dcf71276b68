#!/bin/sh
# Runs every test: sh tests/run.sh [ctest options, e.g. -R live/rolling or -L live]
# Installs missing packages, builds with address and undefined sanitizers (and, for what has threads, the thread
# sanitizer), runs all through ctest. The exit status is ctest's.
set -eu
cd "$(dirname "$0")/.."
. tests/lib/packages.sh
packages_install tests/packages.txt
jobs=${JOBS:-2}
began=$(date +%s)

build() { # directory, sanitizers, targets, more cmake options
    directory=$1 sanitizers=$2 targets=$3
    shift 3
    mkdir -p "$directory"
    echo "building in $directory ($sanitizers)"
    # shellcheck disable=SC2086
    { cmake -G Ninja -S . -B "$directory" -DRELEASE_SANITIZE="$sanitizers" -DRELEASE_FAILPOINTS=ON "$@" &&
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
status=0
# Live tests mostly wait for servers: twice as many as builds.
ctest --test-dir build/asan -j $((jobs + 1)) --output-on-failure --no-tests=error "$@" || status=$?
echo "$(($(date +%s) - began)) s in all, build and tests"
exit $status
