#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds as others do, beside the build that the tests run in: sh build.sh plain|gcc|clang DIRECTORY
#   plain        the README's commands, by people who have no cmocka and want no tests
#   gcc, clang   Release, with warnings as errors; gcc compiles everything, as some of its warnings are not asked for in builds with
#                a sanitizer; clang the program, and with RELEASE_SWEEP the unit tests that need no servers
# Exit status 77: that compiler is not here.
set -eu
kind=$1 build=$2
source=$(cd "$(dirname "$0")/../.." && pwd)
case $kind in
plain) set -- ; targets='all release-load' ;;
*)
    command -v "$kind" >/dev/null || { echo "skipped: no $kind here (apt-get install $kind)" >&2; exit 77; }
    set -- -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER="$kind" -DRELEASE_WERROR=ON -DRELEASE_TESTS=ON
    targets=release
    [ "$kind" != gcc ] || targets=all
    [ "$kind" = gcc ] || [ -z "${RELEASE_SWEEP:-}" ] || targets='release quick-tests'
    ;;
esac
mkdir -p "$build"
# shellcheck disable=SC2086
{ cmake -G Ninja -S "$source" -B "$build" "$@" && ninja -C "$build" -j "${JOBS:-2}" $targets; } >"$build/build.log" 2>&1 || {
    grep -E 'rror:|warning:|FAILED' "$build/build.log" | head -n 30 >&2
    echo "the build failed; all of it is in $build/build.log" >&2
    exit 1
}
if grep 'warning:' "$build/build.log" >&2; then
    echo "no warnings were wanted" >&2
    exit 1
fi
