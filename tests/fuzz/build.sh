#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the fuzz targets with clang, libFuzzer and the address and undefined sanitizers: sh build.sh [DIRECTORY]
# Exit status 77: there is no clang with libFuzzer here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
build=${1:-$source/build/fuzz}
for clang in ${CLANG:-} clang-14 clang; do
    path=$(command -v "$clang") && break
done
[ -n "${path:-}" ] || { echo "skipped: no clang here (apt-get install clang)" >&2; exit 77; }
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n); int LLVMFuzzerTestOneInput(const char *p, unsigned long n)
{ return p && n ? 0 : 0; }' >"$probe/a.c"
"$path" -fsanitize=fuzzer,address "$probe/a.c" -o "$probe/a" 2>/dev/null ||
    { echo "skipped: $path has no libFuzzer (apt-get install libclang-rt-14-dev)" >&2; exit 77; }
mkdir -p "$build"
{ cmake -G Ninja -S "$source" -B "$build" -DCMAKE_C_COMPILER="$path" -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_C_FLAGS="-O1 -g" -DRELEASE_WERROR=ON -DRELEASE_FUZZ=ON \
    -DRELEASE_SANITIZE=fuzzer-no-link,address,undefined &&
    ninja -C "$build" -j "${JOBS:-2}" fuzz-targets; } >"$build/build.log" 2>&1 || {
    grep -E 'error:|FAILED' "$build/build.log" | head -n 30 >&2
    echo "the build failed; all of it is in $build/build.log" >&2
    exit 1
}
