#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs unit tests of another build one after another and names those that failed: sh unit.sh DIRECTORY TEST..
# Exit status 77: that build was skipped.
set -eu
directory=$1
shift
[ -e "$directory/$1" ] || [ -e "$directory/../build.log" ] || { echo "skipped: $directory was not built" >&2; exit 77; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=
for name; do
    "$directory/$name" >"$log" 2>&1 || {
        failed="$failed $name"
        tail -n 40 "$log"
    }
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
echo "$# passed"
