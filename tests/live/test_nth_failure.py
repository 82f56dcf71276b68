# SPDX-License-Identifier: MIT
"""The Nth call of one kind fails inside the controller, once or from then on (docs/promises.md#m9): memory, the journal's disk,
connections, the balancer's socket, libssh2, curl, threads, file descriptors. Always: it ends by itself, with an
exit status that is true; the journal is sound; and one command afterwards ends the release.

tests/lib/fail_calls.c, preloaded, counts and fails. A few points in the suite; NTH=60 draws so many of each kind, NTH_SEED=N
others, NTH_KIND=ssh,http only these, NTH_POINTS=disk:25,ssh:7+ just those."""
import os
import random
import signal
import subprocess

import oracle
import pytest
from fleet import Fleet
from scene import told

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ["malloc", "disk", "net", "balancer", "ssh", "http", "thread", "files"]
N = int(os.environ.get("NTH", "0"))
SEED = int(os.environ.get("NTH_SEED", "1"))
# How many calls a release of two nodes makes, about.
MOST = {"malloc": 54000, "disk": 300, "net": 1300, "balancer": 140, "ssh": 1000, "http": 28, "thread": 14, "files": 90}
# The suite's: early and late, once and for ever.
SAMPLE = ["thread:1+", "malloc:30000+", "disk:150+", "balancer:60", "ssh:500", "http:9", "files:50"]


def points():
    if os.environ.get("NTH_POINTS"):
        return os.environ["NTH_POINTS"].split(",")
    if not N:
        return SAMPLE
    rng, found = random.Random(SEED), []
    for kind in os.environ.get("NTH_KIND", ",".join(KINDS)).split(","):
        # Most calls are made early, and early ones are the odd ones: half of the points come from the first tenth.
        tops = [max(2, MOST[kind] // (10 if i % 2 else 1)) for i in range(N)]
        found += [f"{kind}:{rng.randint(1, top)}{'+' if i % 3 == 0 else ''}" for i, top in enumerate(tops)]
    return sorted(set(found), key=found.index)


class World:
    """One fleet for all points; a new one after a failure, so that one failure stays one."""

    def __init__(self, top):
        self.so, self.fleet, self.clean = f"{top}/fail.so", None, False
        subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-fPIC", "-shared", "-o", self.so, f"{HERE}/../lib/fail_calls.c", "-ldl"],
                       check=True)

    def ready(self):
        if not self.clean:
            self.stop()
            self.fleet = Fleet(varnish=None, n_nodes=2, balancers=1, pillar={"stages": "[100%]"}).start()
        self.clean = False
        return self.fleet

    def stop(self):
        if self.fleet:
            self.fleet.stop(keep=bool(os.environ.get("KEEP_FAILED")) and not self.clean)
            self.fleet = None

    def run(self, point, *args):
        # The sanitizers' own allocator stays behind the one that counts.
        asan = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0", "detect_leaks=0"]))
        more = {"LD_PRELOAD": self.so, "FAIL_CALL": point, "FAIL_PORT": str(self.fleet.base + 99), "ASAN_OPTIONS": asan}
        return subprocess.run(self.fleet.argv(*args), env=self.fleet.environ(**more), capture_output=True, text=True,
                              timeout=200, stdin=subprocess.DEVNULL, cwd=self.fleet.dir)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("nth"))
    yield w
    w.stop()


def no_crash(result, point):
    """Out of memory ends the program at once and says so; nothing else may."""
    bad = [line for line in result.stderr.splitlines() if "Sanitizer" in line or "runtime error:" in line]
    assert not bad, told(result)
    if point.startswith("malloc") and result.returncode == -signal.SIGABRT:
        assert "internal error" in result.stderr, told(result)
        return
    assert result.returncode in (0, 1, 4, 5, 6, 7), told(result)
    assert result.returncode == 0 or result.stderr.strip(), "it does not say why: " + told(result)


def true_status(fleet, result, old, new):
    """What the exit status promises."""
    wanted = {0: new, 1: old, 6: old}.get(result.returncode)
    if wanted:
        problems = oracle.settle(fleet, fleet.revs[wanted], finished=False, journal=False)
        assert problems == [], f"{problems}\n" + told(result)
    if result.returncode in (0, 1, 4, 6):
        assert oracle.balancer_problems(fleet) == [], told(result)


def recovered(fleet, way, old, new):
    """One command ends it; which revision it must have ended on, None when there was nothing to go on with."""
    result = fleet.release(way, "--yes", "prod")
    if result.returncode == 2:
        return None
    # To go on with what was going back already is to go back.
    assert result.returncode == 0 or (way == "resume" and result.returncode == 1), f"{way}: " + told(result)
    return new if way == "resume" and result.returncode == 0 else old


def n_releases(fleet):
    if not os.path.exists(fleet.state):
        return 0
    return oracle.open_journal(fleet.state).execute("select count(*) from releases").fetchone()[0]


@pytest.mark.parametrize("point", points())
def test_one_call_fails(world, point):
    fleet = world.ready()
    old = next(v for v, rev in fleet.revs.items() if rev == fleet.nodes[0].running_rev())
    new = "v2" if old != "v2" else "v7"
    before = n_releases(fleet)
    result = world.run(point, "run", "--rev", fleet.revs[new], "--yes", "prod")
    print(f"{point}: exit status {result.returncode}: {result.stderr.strip().splitlines()[-1:]}")
    no_crash(result, point)
    true_status(fleet, result, old, new)
    if os.path.exists(fleet.state):
        assert oracle.journal_problems(fleet.state, finished=False) == [], told(result)
    # Without a release in the journal nothing has begun, and `rollback` would be that of the one before.
    if result.returncode not in (0, 1, 6) and n_releases(fleet) > before:
        way = "rollback" if len(point) % 2 else "resume"
        wanted = recovered(fleet, way, old, new)
        ended = [wanted] if wanted else [old, new]
        now = next(v for v, rev in fleet.revs.items() if rev == fleet.nodes[0].running_rev())
        assert now in ended, f"{way} ended on {now}: " + told(result)
        assert oracle.settle(fleet, fleet.revs[now], finished=False) == [], told(result)
    elif result.returncode not in (0, 1, 6):
        problems = oracle.settle(fleet, fleet.revs[old], finished=False)
        # The lock of the dead is the next one's to take.
        assert [p for p in problems if not p.startswith("lock of prod")] == [], told(result)
    world.clean = True


def test_too_few_files_are_refused_at_once(world):
    fleet = world.ready()
    result = subprocess.run(["prlimit", "--nofile=40:40", *fleet.argv("run", "--rev", "v2", "--yes", "prod")],
                            env=fleet.environ(), capture_output=True, text=True, timeout=30)
    assert result.returncode == 2 and "only 40 files" in result.stderr, told(result)
    result = subprocess.run(["prlimit", "--nofile=40:200", *fleet.argv("run", "--rev", "v2", "--yes", "prod")],
                            env=fleet.environ(), capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, "the limit was not raised: " + told(result)
    world.clean = True
