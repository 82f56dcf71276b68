#!/bin/sh
# SPDX-License-Identifier: MIT
# Asks clang-tidy (.clang-tidy) of every C file of the product, or of those that are named: sh tests/tidy.sh [FILE...]
# Needs clang-tidy and a configured build: BUILD=build/dev. Minutes of CPU, so it is for people, not part of the suite.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build/dev} jobs=${JOBS:-2}
command -v clang-tidy >/dev/null || {
    echo "no clang-tidy here: apt-get install clang-tidy" >&2
    exit 2
}
[ -f "$build/compile_commands.json" ] || {
    echo "no $build/compile_commands.json: cmake --preset dev, or say BUILD=the folder of a configured build" >&2
    exit 2
}
[ $# -gt 0 ] || set -- $(git ls-files 'engine/*.c' 'drivers/*.c' 'plans/*.c' 'state/*.c')
said=$(mktemp)
trap 'rm -f "$said"' EXIT
# On stderr it counts what it kept to itself (warnings of system headers), and says why it could not go on.
printf '%s\n' "$@" | xargs -P "$jobs" -n 8 clang-tidy -p "$build" --quiet \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument 2>"$said" || {
    grep -vE '^[0-9]+ warnings? ' "$said" >&2 || :
    exit 1
}
echo "$# files, nothing found"
