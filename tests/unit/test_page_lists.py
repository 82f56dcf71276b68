#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cmake/page_lists.cmake makes every row of a list in C a word of the page, or stops: none is missing without a sound.
    test_page_lists.py CMAKE"""
import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "cmake" / "page_lists.cmake"
GOOD = '#define A_LIST(X) \\\n    X(ONE, "one") X(TWO, "two") /* X */ \\\n    X(THREE, "three")\n#define B(x) x\n'


def made(folder, header):
    (folder / "a.h").write_text(header)
    done = subprocess.run([sys.argv[1], f"-DTABLES={folder}/a.h:A_LIST:A:words", f"-DOUT={folder}/a.js", "-P", SCRIPT],
                          capture_output=True, text=True)
    return done.returncode == 0, (folder / "a.js").read_text() if done.returncode == 0 else done.stderr


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        good, text = made(folder, GOOD)
        problems = [] if good and "THREE: 'three'" in text else [f"a good list: {text}"]
        for row in ('X(FOUR4, "four")', 'X(FOUR, FOUR_TEXT)', 'X(FOUR,"four")', 'X(Four, "four")'):
            good, text = made(folder, GOOD.replace('X(TWO, "two")', f'X(TWO, "two") {row}'))
            if good or "found 3 of 4" not in text:
                problems.append(f"{row} is left out: {text}")
    print("\n".join(problems) or "fine")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
