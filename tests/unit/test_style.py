#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One dialect: every C file is as clang-format writes it (.clang-format), a struct or enum has its name alone, and each file its licence.
To mend: clang-format -i FILE. Exit status 77: nothing is wrong, but there is no clang-format here."""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "drivers", "plans", "state", "tests")
LICENCE = "MIT"  # LICENSE has its text
# code, whatever it is written in; what starts with #! is, too. Data (plans, scenarios, schemas, units, manuals) has the licence of the whole
SOURCES = {".c", ".h", ".sh", ".bash", ".py", ".js", ".mjs", ".cjs", ".css", ".html", ".pml", ".cmake"}
NAMED = {"CMakeLists.txt", "_release"}
VERSION = "14"  # others write a few things otherwise: the one of Debian 12 decides


# a type that others see only as a pointer, and each of them fills in its own way
EACH_ITS_OWN = {"struct call": "drivers/transport"}


def names_twice():
    """Whoever looks for a struct or an enum finds one."""
    where = {}
    for folder in FOLDERS[:-1]:
        for source in sorted((ROOT / folder).rglob("*.[ch]")):
            name = source.relative_to(ROOT).as_posix()
            for found in re.findall(r"^(?:static |const )*((?:struct|enum) \w+) \{", source.read_text(), re.M):
                if not name.startswith(EACH_ITS_OWN.get(found, "/")):
                    where.setdefault(found, []).append(name)
    return [f"{found}: stands in {' and '.join(names)}; name each for what it is" for found, names in sorted(where.items()) if len(names) > 1]


def is_code(f):
    return f.suffix in SOURCES or f.name in NAMED or (f.is_file() and f.read_bytes().startswith(b"#!"))


def unlicensed():
    """The licence goes with each file, wherever it is copied to."""
    line = f"SPDX-License-Identifier: {LICENCE}"
    sources = [ROOT / "CMakeLists.txt"] + [f for folder in (*FOLDERS, "cmake", "completion", "docs", "packaging")
                                          for f in (ROOT / folder).rglob("*") if is_code(f)]
    return [f"{f.relative_to(ROOT)}: wanted '{line}' in a comment on its first line (behind #!)"
            for f in sorted(sources) if not any(line in first for first in f.read_text().split("\n")[:2])]


def not_formatted():
    """[problem]; None: there is no formatter here that could tell."""
    formatter = next((path for path in map(shutil.which, (f"clang-format-{VERSION}", "clang-format")) if path), None)
    if not formatter:
        print("no clang-format here (apt-get install clang-format)")
        return None
    version = subprocess.run([formatter, "--version"], check=True, capture_output=True, text=True).stdout
    if f"version {VERSION}." not in version:
        print(f"{version.strip()}; wanted {VERSION}")
        return None
    files = sorted(str(f.relative_to(ROOT)) for folder in FOLDERS for f in (ROOT / folder).rglob("*.[ch]"))
    done = subprocess.run([formatter, "--dry-run", "-Werror", *files], cwd=ROOT, capture_output=True, text=True)
    wrong = sorted(set(re.findall(r"^(\S+\.[ch]):\d+:\d+: error: code should be clang-formatted", done.stderr, re.M)))
    problems = [f"{name}: not as clang-format writes it; 'clang-format -i {name}'" for name in wrong]
    if done.returncode != 0 and not wrong:
        problems.append(done.stderr.strip())
    return problems


def main():
    problems, format_problems = names_twice() + unlicensed(), not_formatted()
    problems += format_problems or []
    print("\n".join(problems + [f"{len(problems)} problems"]))
    if problems:
        return 1
    return 77 if format_problems is None else 0


if __name__ == "__main__":
    sys.exit(main())
