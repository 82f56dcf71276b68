# SPDX-License-Identifier: MIT
"""Power goes on a node at every change of a file that a step makes there (docs/promises.md#m5 and 38): before each write,
rename, link and removal, half-way through each write, and again with all that no sync had made durable lost. Always:
`current` names a complete release, what an observing verb calls done is done, and the release done again ends right.

The steps' own scripts run as the runner runs them; tests/lib/cut_calls.c counts and cuts. CUT_EVERY=1 takes every point."""
import glob
import hashlib
import mmap
import os
import re
import shutil
import signal
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVERS = os.path.join(HERE, "..", "..", "drivers")
EVERY = int(os.environ.get("CUT_EVERY", "9"))
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
       "GIT_COMMITTER_EMAIL": "a@b"}
SHARED = ["var/", "conf/site.ini"]


def script_text(name):
    """The parts that its line "# needs:" names, and then the script: as the build puts them together."""
    [path] = glob.glob(f"{DRIVERS}/*/sh/{name}.sh")
    with open(path) as f:
        own = f.read()
    [needs] = re.findall(r"^# needs: (.*)$", own, re.MULTILINE)
    parts = [open(f"{DRIVERS}/node/sh/{p}.sh").read() for p in needs.split()]
    return "".join(parts) + own


def git(*args, cwd):
    out = subprocess.run(["git", *args], cwd=cwd, env={**os.environ, **GIT}, check=True, capture_output=True, text=True)
    return out.stdout.strip()


def tree(top, skip=()):
    """{path: hash or link} of all files under top."""
    found = {}
    for d, dirs, files in os.walk(top):
        for name in files + [x for x in dirs if os.path.islink(f"{d}/{x}")]:
            path = os.path.relpath(f"{d}/{name}", top)
            if path.split("/")[0] in skip:
                continue
            full = f"{d}/{name}"
            found[path] = os.readlink(full) if os.path.islink(full) else hashlib.sha1(open(full, "rb").read()).hexdigest()
    return found


class Node:
    """One node's directory, put back to a kept state before each cut; always under the same name."""

    def __init__(self, top, so):
        self.top, self.so, self.dir = top, so, f"{top}/srv"
        self.boot, self.log, self.count = f"{top}/boot", f"{top}/log", f"{top}/count"
        os.makedirs(f"{top}/tree/conf")
        git("init", "-q", "-b", "main", cwd=f"{top}/tree")
        self.revs, self.trees, self.texts = [], {}, {}
        for version in ("one", "two"):
            for name in ("app", "lib/a", "lib/b", "conf/site.ini"):
                os.makedirs(os.path.dirname(f"{top}/tree/{name}"), exist_ok=True)
                with open(f"{top}/tree/{name}", "w") as f:
                    f.write(f"{name} {version}\n" * 50)
            os.path.islink(f"{top}/tree/link") or os.symlink("app", f"{top}/tree/link")
            git("add", "-A", cwd=f"{top}/tree")
            git("commit", "-qm", version, cwd=f"{top}/tree")
            rev = git("rev-parse", "HEAD", cwd=f"{top}/tree")
            self.revs.append(rev)
            self.trees[rev] = tree(f"{top}/tree", skip=(".git",))
        git("clone", "-q", "--bare", f"{top}/tree", f"{top}/origin.git", cwd=top)
        for name in ("git", "releasedir", "switch"):
            with open(f"{top}/{name}.sh", "w") as f:
                f.write(script_text(name))
        os.makedirs(self.dir)
        self.reboot(0)

    def place(self, rev):
        return f"{self.dir}/releases/{rev[:12]}-abcdef"

    def argv(self, step, rev):
        place = self.place(rev)
        return {"fetch": ("git", "fetch", "releases", self.dir, f"{self.top}/origin.git", rev, "no"),
                "fetched": ("git", "fetched", "releases", self.dir, f"{self.top}/origin.git", rev, "no"),
                "unpack": ("releasedir", "unpack", self.dir, place, rev, "5", "", "", *SHARED),
                "unpacked": ("releasedir", "unpacked", self.dir, place, rev, *SHARED),
                "seal": ("releasedir", "seal", self.dir, place, rev, "apps/site"),
                "sealed": ("releasedir", "sealed", self.dir, place, rev),
                "switch": ("switch", "switch", self.dir, place, rev),
                "switched": ("switch", "switched", self.dir, place, rev),
                "clean": ("switch", "clean", self.dir, "1", "")}[step]

    def run(self, step, rev, cut_at=0, torn=False):
        """(exit status, what it said, number of changes it came to)."""
        with open(self.count, "wb") as f:
            f.write(b"\0" * 4)
        open(self.log, "w").close()
        script, *args = self.argv(step, rev)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "CUT_"))}
        env.update(LD_PRELOAD=self.so, CUT_COUNT=self.count, CUT_AT=str(cut_at), CUT_LOG=self.log, CUT_BOOT=self.boot,
                   **({"CUT_TORN": "1"} if torn else {}))
        p = subprocess.Popen(["sh", f"{self.top}/{script}.sh", *args], env=env, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, start_new_session=True, cwd="/")
        said, _ = p.communicate(timeout=60)
        with open(self.count, "rb") as f:
            made = int.from_bytes(mmap.mmap(f.fileno(), 4, access=mmap.ACCESS_READ)[:4], "little")
        return p.returncode, said, made

    def reboot(self, number):
        with open(self.boot, "w") as f:
            f.write(f"00000000-0000-0000-0000-{number:012d}\n")

    def keep(self):
        """The state as it is now, and which of its files no sync has reached."""
        shutil.rmtree(f"{self.top}/kept", ignore_errors=True)
        shutil.copytree(self.dir, f"{self.top}/kept", symlinks=True)

    def put_back(self):
        shutil.rmtree(self.dir)
        shutil.copytree(f"{self.top}/kept", self.dir, symlinks=True)

    def unsynced(self, before=()):
        """Files written by the last run, or before it, and not made durable since; by the name they have now."""
        waiting = list(before)
        with open(self.log) as f:
            for line in f:
                what, _, rest = line.rstrip("\n").partition(" ")
                a, _, b = rest.partition("\t")
                if what == "A":
                    waiting = []
                elif what == "S":
                    waiting = [x for x in waiting if x != a]
                elif what == "W":
                    waiting = [x for x in waiting if x != a] + [a]
                elif what == "R" and a in waiting:
                    waiting = [x for x in waiting if x not in (a, b)] + [b]
        return [x for x in waiting if x.startswith(self.dir) and os.path.isfile(x) and not os.path.islink(x)]

    def lose(self, paths, number):
        """The machine comes up again, with names but no data: what delayed allocation leaves."""
        for path in paths:
            if os.path.exists(path):
                os.chmod(path, 0o600)
                os.truncate(path, 0)
        self.reboot(number)

    def complete(self, rev):
        """What is wrong with the release directory of rev: nothing, when it is whole."""
        place, found = self.place(rev), []
        want = {k: v for k, v in self.trees[rev].items() if k != "conf/site.ini"}
        have = tree(place, skip=(".release-complete", ".incomplete"))
        for path, value in want.items():
            if have.get(path) != value:
                found.append(f"{path} is {have.get(path)}, wanted {value}")
        for path in ("var", "conf/site.ini"):
            if have.get(path) != f"{self.dir}/shared/{path}":
                found.append(f"{path} leads to {have.get(path)}")
        shared = tree(f"{self.dir}/shared")
        if shared.get("conf/site.ini") not in [t["conf/site.ini"] for t in self.trees.values()]:
            found.append(f"shared/conf/site.ini is not as any revision brought it: {shared}")
        extra = set(have) - set(want) - {"var", "conf/site.ini"}
        return found + [f"{path} is left over" for path in extra]

    def current_rev(self):
        """The revision that `current` leads to; it must be complete, and its marker must say so."""
        if not os.path.lexists(f"{self.dir}/current"):
            return None
        target = os.path.realpath(f"{self.dir}/current")
        with open(f"{target}/.release-complete") as f:
            rev = f.read().split()[1]
        assert target == self.place(rev), target
        assert self.complete(rev) == []
        return rev


# What a step brings a node to; `create` is the first fetch of a node that has nothing yet.
STEPS = ["fetch", "unpack", "seal", "switch"]
OBSERVE = {"fetch": "fetched", "unpack": "unpacked", "seal": "sealed", "switch": "switched"}


@pytest.fixture(scope="module")
def so(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("cut") / "cut.so")
    subprocess.run(["cc", "-O1", "-fPIC", "-shared", "-o", path, os.path.join(HERE, "..", "lib", "cut_calls.c"), "-ldl"],
                   check=True)
    return path


@pytest.fixture
def node(tmp_path, so):
    return Node(str(tmp_path), so)


def do(node, step, rev):
    status, said, made = node.run(step, rev)
    assert status == 0, f"{step}: exit status {status}: {said}"
    return made


def brought_to(node, rev):
    """What the engine does when it goes on: looks, does what is not done, and builds anew what cannot be sealed."""
    for step in STEPS:
        status, said, _ = node.run(OBSERVE[step], rev)
        if status == 0:
            continue
        status, said, _ = node.run(step, rev)
        if status == 65 and step == "seal":  # refused: the next release of the same revision unpacks anew
            do(node, "unpack", rev)
            status, said, _ = node.run(step, rev)
        assert status == 0, f"{step} after the cut: exit status {status}: {said}"
    assert node.current_rev() == rev


def judge(node, step, old, new):
    """Right after the cut."""
    now = node.current_rev()
    assert now in (old, new) and (now == old or step in ("switch", "clean"))
    if step in OBSERVE and node.run(OBSERVE[step], new)[0] == 0:
        if step == "fetch":
            git("--git-dir", f"{node.dir}/repo.git", "rev-list", "--objects", new, cwd="/")
        else:
            assert node.complete(new) == [], "it says: done"


@pytest.mark.parametrize("step", [*STEPS, "create"])
@pytest.mark.parametrize("how", ["killed", "torn", "power"])
def test_cut_at_every_change(node, step, how):
    old, new = node.revs
    if step == "create":
        step, old = "fetch", None
    else:
        for one in STEPS:
            do(node, one, old)
    early = []  # steps before may be done and not durable yet
    for one in STEPS[:STEPS.index(step)]:
        do(node, one, new)
        early = node.unsynced(early)
    node.keep()
    made = do(node, step, new)
    points = 0
    for n in range(1, made + 2, EVERY if made > 12 else 1):
        node.put_back()
        node.reboot(0)
        status, said, _ = node.run(step, new, cut_at=n, torn=how == "torn")
        # git's threads make one change more or less from run to run.
        assert status == -signal.SIGKILL or status == 0 and n > made - 5, f"cut {n} of {made}: {status}: {said}"
        if how == "power":
            node.lose(node.unsynced(early), n)
        judge(node, step, old, new)
        brought_to(node, new)
        points += 1
    print(f"{step}, {how}: {points} cuts of {made} changes")


def test_cleaning_cut_at_every_change(node):
    """What is half removed is no target any more, and `current` stays as it is."""
    old, new = node.revs
    for rev in node.revs:
        for step in STEPS:
            do(node, step, rev)
    node.keep()
    made = do(node, "clean", new)
    for n in range(1, made + 1):
        node.put_back()
        assert node.run("clean", new, cut_at=n)[0] == -signal.SIGKILL
        assert node.current_rev() == new
        if node.run("sealed", old)[0] == 0:
            assert node.complete(old) == []
        do(node, "clean", new)
        # Cut before its very last change it leaves an empty directory, which might be anybody's.
        assert not os.path.isdir(node.place(old)) or os.listdir(node.place(old)) == []
        assert node.current_rev() == new
