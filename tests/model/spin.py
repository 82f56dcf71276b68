#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks lock.pml exhaustively with Spin: no error with the fence, an error without it. Exits 77 (skipped) without Spin."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MODEL = pathlib.Path(__file__).with_name("lock.pml")


def check(defines):
    """(errors, states) of the whole state space."""
    with tempfile.TemporaryDirectory() as scratch:
        def call(*command):
            return subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True, timeout=240).stdout

        call("spin", *[f"-D{d}" for d in defines], "-a", str(MODEL))
        call("gcc", "-O2", "-w", "-DSAFETY", "-DVECTORSZ=2048", "-o", "pan", "pan.c")
        out = call("./pan", "-m100000")
    if "errors: 0" not in out and "assertion violated" not in out:
        sys.exit(f"another error than the one that is looked for:\n{out}")
    errors = re.search(r"errors: (\d+)", out)
    states = re.search(r"(\d+) states, stored", out)
    if not errors or not states or "max search depth too small" in out:
        sys.exit(f"cannot read what the verifier says:\n{out}")
    return int(errors.group(1)), int(states.group(1))


def main():
    if not shutil.which("spin"):
        print("skipped: spin is not installed (package spin)")
        return 77
    good, states = check([])
    print(f"with the fence: {good} errors in {states} states")
    bad, states = check(["NO_FENCE"])
    print(f"without the fence: {bad} errors ({states} states until the first)")
    return 0 if good == 0 and bad > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
