# SPDX-License-Identifier: MIT
"""Random pillar trees, read by this program and by Salt itself: for every node either the same pillar, or a refusal. Never another
one. `--trees N` trees from `--seed`; `--salt 3008,3006` says which Salts are asked, `--keep DIR` keeps the trees that differ."""
import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import trees

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../lib")
import salt_env  # noqa: E402


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def environment(line):
    """A Python that has this Salt."""
    try:
        return f"{salt_env.path(line)}/bin/python3"
    except salt_env.Unavailable as e:
        skip(f"Salt cannot be installed here: {e}")


class Child:
    """One line in, one line out."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} died (status {self.process.wait()})")
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


def same(a, b):
    """As Python compares them, but 1, 1.0 and True are three, and -0.0 is not 0.0: as text."""
    return json.dumps(a) == json.dumps(b)


def kind_of(text):
    """A refusal without its names, for the table."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+|/\S+", "*", text.split("\n")[0])[:90]


def show(ask, node, ours, salt, name):
    for path, _, files in os.walk(f"{ask['root']}/pillar"):
        for f in sorted(files):
            print(f"--- {os.path.relpath(os.path.join(path, f), ask['root'])}")
            print(open(os.path.join(path, f), encoding="utf-8").read(), end="")
    print(f"=== {node} in {ask['env']}, grains {json.dumps(ask['grains'][node])}\nours: {json.dumps(ours)[:3000]}\n{name}: {json.dumps(salt)[:3000]}")


def batch(numbers, folder, ours, salts, count, options):
    for i, n in enumerate(numbers):
        ask = trees.make(n, f"{folder}/{n}")
        for child in salts.values():
            child.send(json.dumps(ask))
        mine = {}
        for node in ask["grains"]:
            ours.send(f"{ask['root']}\t{ask['env']}\t{node}")
            mine[node] = ours.read()
        answers = {name: child.read() for name, child in salts.items()}
        if i < options.program:
            program_agrees(ask, node, mine[node], options)
        for node, got in mine.items():
            for name, answer in answers.items():
                judge(ask, node, got, answer[node], name, count, options)
        shutil.rmtree(ask["root"])


def plain(value):
    """As `release pillar --json` prints it: the types of keys are lost."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {k if isinstance(k, str) else json.dumps(k): plain(v) for k, v in value["m"]}


def program_agrees(ask, node, got, options):
    """The command says the same as the library; one of a tree's nodes, for it is a process each."""
    run = subprocess.run([f"{options.build}/release", "pillar", "--root", ask["root"], ask["env"], node, "--json"], capture_output=True, text=True,
                         timeout=60)
    if "error" in got:
        assert run.returncode == 2 and run.stderr, f"refused by the library, not by the program: {run}"
    else:
        assert run.returncode == 0 and same(json.loads(run.stdout), plain(got["ok"])), f"{node}: {run}\nlibrary: {got}"


def judge(ask, node, got, salt, name, count, options):
    failed = isinstance(salt, dict) and "error" in salt
    if "error" in got:
        count["refused"] += 1
        count["refused, Salt too" if failed else "refused, Salt reads it"] += 1
        if not failed:
            count.kinds[kind_of(got["error"])] += 1
            if options.refused and kind_of(got["error"]).find(options.refused) >= 0:
                show(ask, node, got, salt, name)
    elif not failed and same(got["ok"], salt):
        count["equal"] += 1
        count["equal and not empty"] += got["ok"] != {"m": []}
    else:
        count["different"] += 1
        if count["different"] <= options.show:
            show(ask, node, got, salt, name)
        if options.keep:
            shutil.copytree(ask["root"], f"{options.keep}/{os.path.basename(ask['root'])}", dirs_exist_ok=True)


class Count(collections.Counter):
    def __init__(self):
        super().__init__()
        self.kinds = collections.Counter()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--salt", default="3008,3006")
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--program", type=int, default=20, help="so many trees are asked from the program, too")
    parser.add_argument("--keep")
    parser.add_argument("--refused", help="show the trees whose refusal has this text")
    options = parser.parse_args()
    began, count = time.monotonic(), Count()
    pythons = {line: environment(line) for line in options.salt.split(",")}
    ours = Child([f"{options.build}/tests/salt-pillars"])
    salts = {line: Child([python, f"{HERE}/salt_pillar.py"]) for line, python in pythons.items()}
    versions = {line: child.read()["salt"] for line, child in salts.items()}
    with tempfile.TemporaryDirectory(prefix="salt-trees-") as folder:
        os.chmod(folder, 0o700)
        os.umask(0o022)
        batch(range(options.seed, options.seed + options.trees), folder, ours, salts, count, options)
    for child in [ours, *salts.values()]:
        child.end()
    print(f"{options.trees} trees, Salt {', '.join(versions.values())}, {time.monotonic() - began:.0f} s: pillars of nodes " +
          ", ".join(f"{n} {what}" for what, n in sorted(count.items())))
    for kind, n in count.kinds.most_common(15):
        print(f"  {n:6} refused, Salt reads it: {kind}")
    assert count["equal and not empty"] * 4 > options.trees, "hardly anything was read: this test shows nothing"
    return 1 if count["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
