#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The folders are the architecture: who may include whom, and a core that links to nothing (docs/ARCHITECTURE.md)."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

VERBS_USE = {"engine/base", "drivers/op", "drivers/node", "drivers/aws"}
# folder -> folders whose headers it may include, itself aside
MAY_USE = {
    "engine/base": set(),
    "engine/core": set(),  # but for CORE_HEADERS
    "engine/loop": {"engine/base", "engine/core"},
    "drivers/op": {"engine/base"},
    "drivers/transport": {"engine/base", "drivers/op"},
    "drivers/node": {"engine/base", "drivers/op", "drivers/transport"},
    "drivers/aws": {"engine/base", "drivers/op"},
    "drivers/balancer": VERBS_USE,
    "drivers/app": VERBS_USE,
    "drivers/verbs": VERBS_USE,
    "drivers": {"engine/base", "drivers/op", "drivers/transport"},  # table.c, which alone knows them all
    "plans": {"engine/base", "drivers/op"},
    "state": {"engine/base", "state/sqlite"},  # store.c chooses the kind of database
    "state/sqlite": {"engine/base", "state"},
    "engine/watch": {"engine/base", "state"},
    "engine/run": {"engine/base", "engine/core", "engine/loop", "drivers/op", "drivers/node", "plans", "state"},
    "engine/sim": {"engine/base", "engine/core", "engine/loop", "drivers/op", "drivers/balancer", "plans", "engine/run"},
    "engine/serve": {"engine/base", "plans", "state", "engine/watch"},
    "engine/chat": {"engine/base", "plans", "state", "engine/watch", "engine/serve"},
    "engine/cli": {"engine/base", "drivers/op", "plans", "state", "engine/run", "engine/watch", "engine/sim", "engine/serve", "engine/chat"},
}
# library header -> the only folders that may include it
LIBRARIES = {
    "sqlite3.h": {"state/sqlite"},
    "libssh2.h": {"drivers/transport"},
    "expat.h": {"drivers/op"},
    "yaml.h": {"plans"},
    "microhttpd.h": {"engine/serve"},
}
# what the floors of an op share, and no verb sees
INNER = {"drivers/op/inner.h": {"drivers/op", "drivers/transport", "drivers/node"}}
CORE_HEADERS = {"base/words.h", "base/notes.h"}
# What the core may call: nothing but what the compiler itself inserts.
CORE_SYMBOLS = {"memcpy", "memset", "memcmp", "memmove", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


def folder_of(path):
    for folder in sorted(MAY_USE, key=len, reverse=True):
        if path == folder or path.startswith(folder + "/"):
            return folder
    return None


def wrong_includes():
    for source in sorted(ROOT.glob("**/*.[ch]")):
        relative = source.relative_to(ROOT).as_posix()
        folder = folder_of(relative)
        if folder is None:
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            library = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            if library and folder not in LIBRARIES.get(library.group(1), {folder}):
                yield f"{relative}:{number}: {library.group(1)} belongs to {', '.join(LIBRARIES[library.group(1)])}"
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            header = match.group(1)
            used = folder_of("engine/" + header) or folder_of(header)
            if folder == "engine/core" and header in CORE_HEADERS:
                continue
            if used and used != folder and used not in MAY_USE[folder]:
                yield f"{relative}:{number}: {folder} may not use {used} ({header})"
            if folder not in INNER.get(header, {folder}):
                yield f"{relative}:{number}: {header} is for {', '.join(sorted(INNER[header]))}"
            if used and used != folder and header.endswith("_priv.h"):
                yield f"{relative}:{number}: {header} is private to {used}"


def core_needs(archive):
    out = subprocess.run(["nm", "-u", archive], check=True, capture_output=True, text=True).stdout
    defined = subprocess.run(["nm", "--defined-only", archive], check=True, capture_output=True, text=True).stdout
    own = {line.split()[-1] for line in defined.splitlines() if len(line.split()) == 3}
    wanted = {line.split()[-1] for line in out.splitlines() if line.strip().startswith("U ")}
    for symbol in sorted(wanted - own - CORE_SYMBOLS):
        if not re.match(r"__(asan|ubsan|tsan|sanitizer|gcov)_", symbol):
            yield f"engine/core calls {symbol}: the core is pure"


def main():
    problems = list(wrong_includes())
    if len(sys.argv) > 1:
        problems += core_needs(sys.argv[1])
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
