# SPDX-License-Identifier: MIT
"""kill -9 at drawn instants of a whole release on real servers: before and after a commit of the journal, and after an
effect that the journal does not know yet; times resume, rollback, and killed again during either, up to three deaths.
Judged: one revision, balancers as before, the run-once step run once, no request failed.

A few points in the suite; RELEASE_SWEEP=70 draws so many, RELEASE_SWEEP_SEED=N others. Needs a build with failpoints."""
import os
import random
import signal
import time

import oracle
import pytest
from fleet import Fleet
from load import Load
from scene import expect_world, told

POINTS = int(os.environ.get("RELEASE_SWEEP", "9"))
SEED = int(os.environ.get("RELEASE_SWEEP_SEED", "1"))
# How many of each a release, a resume and a rollback of two nodes pass, about: beyond the end nobody dies.
MOST = {"commit-before": 44, "commit-after": 44, "effect-after": 19}
WAYS = [("resume",), ("rollback",), ("resume", "resume"), ("rollback", "rollback"), ("resume", "rollback"),
        ("resume", "resume", "resume"), ("rollback", "rollback", "rollback"), ("resume", "resume", "rollback")]


def draw():
    """[(first death, [(way, its death or None), ...])]: every kind of point and every way in turn, the numbers drawn."""
    rng, points = random.Random(SEED), []
    kinds = list(MOST)

    def death(kind, part=1.0):
        return f"{kind}:{rng.randint(1, max(1, int(MOST[kind] * part)))}"
    for i in range(POINTS):
        ways = WAYS[(i // len(kinds) + i) % len(WAYS)]
        later = [(way, death(rng.choice(kinds), 0.5)) for way in ways[:-1]] + [(ways[-1], None)]
        points.append((death(kinds[i % len(kinds)]), later))
    return points


def name(point):
    first, later = point
    return f"{first},{','.join(way + ('@' + fail if fail else '') for way, fail in later)}"


class Sweep:
    """One fleet for all points; a new one after a failure, so that one failure stays one."""

    def __init__(self):
        self.fleet, self.clean, self.deaths = None, False, 0

    def ready(self):
        if not self.clean and self.fleet:
            self.fleet.stop(keep=bool(os.environ.get("KEEP_FAILED")))
            self.fleet = None
        if not self.fleet:
            self.fleet = Fleet(varnish=None, n_nodes=2, balancers=2, pillar={"stages": "[100%]"}).start()
            self.mark = f"{self.fleet.dir}/once.log"
            self.fleet.write_pillar(build="[{cmd.run: {cmd: sh build.sh}}, "
                                          f"{{cmd.run: {{cmd: 'echo {{rev}} >> {self.mark}', once: first}}}}]")
        self.clean = False
        return self.fleet

    def once(self):
        if not os.path.exists(self.mark):
            return []
        with open(self.mark) as f:
            return f.read().split()


@pytest.fixture(scope="module")
def sweep():
    s = Sweep()
    yield s
    print(f"\n{s.deaths} deaths in {POINTS} points, seed {SEED}")
    if s.fleet:
        s.fleet.stop(keep=bool(os.environ.get("KEEP_FAILED")) and not s.clean)


def last_release_ended(fleet):
    """By the journal: its last release has an end that asks for nothing more."""
    db = oracle.open_journal(fleet.state)
    row = db.execute("select exit_status from release_ends where release = (select max(id) from releases) "
                     "order by id desc limit 1").fetchone()
    return row is not None and row[0] in (0, 1)


def continued(sweep, fleet, later):
    """Goes the drawn ways until one of them ends it; the way that did, or None when the end was in the journal already."""
    for way, fail in later:
        if last_release_ended(fleet):
            return None
        result = fleet.release(way, "--yes", "prod", env={"RELEASE_FAIL": fail} if fail else None)
        assert result.returncode in ((0, -signal.SIGKILL) if fail else (0,)), f"{way}: " + told(result)
        sweep.deaths += result.returncode != 0
        if result.returncode == 0:
            return way
    return None


@pytest.mark.parametrize("point", draw(), ids=name)
def test_dies_and_goes_on(sweep, point):
    fleet, (first, later) = sweep.ready(), point
    at = next(v for v, rev in fleet.revs.items() if rev == fleet.nodes[0].running_rev())
    to = "v2" if at == "v1" else "v1"
    before = len(sweep.once())
    with Load(fleet, rate=80) as load:
        began = time.monotonic()
        result = fleet.release("run", "--rev", fleet.revs[to], "--yes", "prod", env={"RELEASE_FAIL": first})
        assert result.returncode in (0, -signal.SIGKILL), told(result)
        sweep.deaths += result.returncode != 0
        way = continued(sweep, fleet, later) if result.returncode else "resume"
        load.run_on(max(0.3, 2 - (time.monotonic() - began)))
    ended = way is None
    wanted = {"resume": to, "rollback": at}.get(way) or (to if fleet.nodes[0].running_rev() == fleet.revs[to] else at)
    assert load.problems(slack_ms=800) == []
    problems = oracle.settle(fleet, fleet.revs[wanted], finished=False)
    # Dead after the last row: nothing is open, and the next run takes the lock of the dead.
    assert [p for p in problems if not (ended and p.startswith("lock of prod"))] == []
    ran = sweep.once()[before:]
    assert len(ran) == 1 if wanted == to else len(ran) <= 1, f"the run-once step ran {len(ran)} times"
    sweep.clean = True


def test_the_last_dead_lock_is_no_obstacle(sweep):
    if not sweep.clean:
        pytest.skip("the point before failed")
    fleet = sweep.fleet
    at = next(v for v, rev in fleet.revs.items() if rev == fleet.nodes[0].running_rev())
    to = "v7" if at != "v7" else "v2"
    result = fleet.release("run", "--rev", fleet.revs[to], "--yes", "prod")
    assert result.returncode == 0, told(result)
    expect_world(fleet, to, finished=False)
