#!/usr/bin/env python3
"""One dialect: every C file is as clang-format writes it (.clang-format), and says in its first lines what it is for.
To mend: clang-format -i FILE. Exit status 77: there is no clang-format here."""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "drivers", "plans", "state", "tests")
VERSION = "14"  # others write a few things otherwise: the one of Debian 12 decides


def main():
    formatter = next((path for path in map(shutil.which, (f"clang-format-{VERSION}", "clang-format")) if path), None)
    if not formatter:
        print("skipped: no clang-format here (apt-get install clang-format)")
        return 77
    version = subprocess.run([formatter, "--version"], check=True, capture_output=True, text=True).stdout
    if f"version {VERSION}." not in version:
        print(f"skipped: {version.strip()}; wanted {VERSION}")
        return 77
    files = sorted(str(f.relative_to(ROOT)) for folder in FOLDERS for f in (ROOT / folder).rglob("*.[ch]"))
    done = subprocess.run([formatter, "--dry-run", "-Werror", *files], cwd=ROOT, capture_output=True, text=True)
    wrong = sorted(set(re.findall(r"^(\S+\.[ch]):\d+:\d+: error: code should be clang-formatted", done.stderr, re.M)))
    problems = [f"{name}: not as clang-format writes it; 'clang-format -i {name}'" for name in wrong]
    if done.returncode != 0 and not wrong:
        problems.append(done.stderr.strip())
    print("\n".join(problems + [f"{len(files)} files, {len(problems)} problems"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
