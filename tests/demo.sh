#!/bin/sh
# SPDX-License-Identifier: MIT
# Shows a release from end to end on real servers on this machine: sh tests/demo.sh [--keep]
# Installs missing packages, builds, and hands over to tests/demo/demo.py.
set -eu
cd "$(dirname "$0")/.."
case ${1-} in
'' | --keep) ;;
*) echo "usage: sh tests/demo.sh [--keep]   (--keep leaves the fleet up, to try things on)" >&2; exit 2 ;;
esac
. tests/lib/packages.sh
packages_install tests/packages.txt
build=${DEMO_BUILD:-build/demo}
mkdir -p "$build"
echo "building in $build"
{ cmake -G Ninja -S . -B "$build" && ninja -C "$build" release release-load; } >"$build/demo.log" 2>&1 || {
    tail -n 30 "$build/demo.log" >&2
    echo "the build failed; all of it is in $build/demo.log" >&2
    exit 1
}
exec /usr/bin/python3 -B tests/demo/demo.py --build "$build" "$@"
