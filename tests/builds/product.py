#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What was built for users: python3 product.py plain|gcc|clang DIRECTORY. It runs, says its version, is hardened and can be
installed; the plain build asked for nothing that only tests need."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

kind, build = sys.argv[1:]
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77
wrong = []


def want(true, what):
    if not true:
        wrong.append(what)


def say(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    want(done.returncode == 0, f"{' '.join(argv)}: exit status {done.returncode} (wanted 0): {done.stderr.strip()}")
    return done.stdout


def hardened(program):
    dynamic, header, symbols = (say("readelf", "-W", how, program) for how in ("-d", "-l", "--dyn-syms"))
    want("BIND_NOW" in dynamic or re.search(r"Flags:.*\bNOW\b", dynamic), "not linked with -z now")
    want("GNU_RELRO" in header, "not linked with -z relro")
    want(re.search(r"Flags:.*\bPIE\b", dynamic), "no position-independent executable")
    want(re.search(r"GNU_STACK\s.* RW\s", header), "its stack is executable")
    want("__stack_chk_fail" in symbols, "built without a stack protector")
    want(re.search(r"\b__(memcpy|snprintf|vsnprintf|read)_chk\b", symbols), "built without _FORTIFY_SOURCE")


def versions(program):
    version = say(program, "--version").strip()
    with open(f"{SOURCE}/CMakeLists.txt") as f:
        number = re.search(r"project\(release VERSION ([0-9.]+)", f.read()).group(1)
    want(re.fullmatch(rf"release {re.escape(number)}(\+[0-9a-z.]+)?", version), f"--version says '{version}', wanted {number}...")
    git = subprocess.run(["git", "-C", SOURCE, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True)
    if git.returncode == 0 and os.path.exists(f"{SOURCE}/.git"):
        want(f".g{git.stdout.strip()}" in version or version == f"release {number}", f"'{version}' does not name the commit")
    # A tree without git, as from an archive.
    with tempfile.TemporaryDirectory() as bare:
        say("cmake", f"-DSOURCE={bare}", f"-DVERSION={number}", f"-DOUT={bare}/version.h", "-P", f"{SOURCE}/cmake/version.cmake")
        with open(f"{bare}/version.h") as f:
            want(f.read() == f'#define RELEASE_VERSION "{number}"\n', "a tree without git has another version than its number")


def installs():
    with tempfile.TemporaryDirectory() as root:
        say("cmake", "--install", build, "--prefix", f"{root}/usr")
        program = f"{root}/usr/bin/release"
        want("release run --rev" in say(program, "help", "run"), "the installed program does not print its help")
        want(os.path.exists(f"{root}/usr/share/man/man1/release.1"), "the manual page is not installed")


def main():
    if not os.path.exists(f"{build}/release"):
        print(f"skipped: {build}/release was not built")
        return SKIPPED if kind != "plain" and not shutil.which(kind) else 1
    hardened(f"{build}/release")
    versions(f"{build}/release")
    installs()
    if kind == "plain":
        with open(f"{build}/CMakeCache.txt") as f:
            want("CMOCKA_" not in f.read(), "the README's build looks for cmocka")
    for what in wrong:
        print(f"{kind}: {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
