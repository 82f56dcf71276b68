# SPDX-License-Identifier: MIT
"""The classic order for trees that cannot be built beside themselves: drain, stop, check out, build, start."""
import subprocess

import origin
from load import Load
from scene import expect_world, refused, release, run

FLEET = {"varnish": None, "mode": "in-place"}


def read(path):
    with open(path) as f:
        return f.read()


def test_release_under_load(fleet):
    with Load(fleet, rate=200) as load:
        release(fleet, "v2")
        load.run_on(0.5)
    assert load.problems() == []
    expect_world(fleet, "v2")


def test_failing_health_goes_back_under_load(fleet):
    with Load(fleet, rate=200) as load:
        release(fleet, "v3", status=1)
        load.run_on(0.5)
    assert load.problems() == []
    expect_world(fleet, "v2")


def test_failing_build_goes_back(fleet):
    with Load(fleet, rate=200) as load:
        release(fleet, "v6", status=1)
        load.run_on(0.5)
    assert load.problems() == []
    expect_world(fleet, "v2")


def test_rollback(fleet):
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v1")


def test_dirty_tree_is_refused(fleet):
    """Somebody's hand-made change on a server is never overwritten."""
    changed = f"{fleet.node('app2').srv}/build.sh"
    with open(changed, "a") as f:
        f.write("echo a repair in the night\n")
    refused(fleet, ["run", "--rev", fleet.revs["v2"], "--yes", "prod"], 6, "app2", "build.sh")
    with open(changed) as f:
        assert "repair" in f.read()
    subprocess.run(["git", "checkout", "-q", "build.sh"], cwd=fleet.node("app2").srv, check=True)
    release(fleet, "v2")
    expect_world(fleet, "v2")


LOCKING = """#!/bin/sh
set -e
echo "resolved for $(cat VERSION)" >>package-lock.json
mkdir -p built
cp VERSION built/stamp
"""


def test_what_our_own_build_changed_is_not_by_hand(fleet):
    """A build that edits a file of the commit, as npm does its lock file: the next release and the rollback go on; a person's
    change to the same file is still refused."""
    work = f"{fleet.dir}/origin.work"
    origin.write(f"{work}/package-lock.json", "{}\n")
    origin.write(f"{work}/build.sh", LOCKING, 0o755)
    for version in ("v10", "v11"):
        fleet.revs[version] = origin.add_commit(fleet.dir, version)
    lock = f"{fleet.node('app2').srv}/package-lock.json"
    release(fleet, "v10")
    assert "resolved for v10" in read(lock)
    with open(lock, "a") as f:
        f.write("a repair in the night\n")
    refused(fleet, ["run", "--rev", fleet.revs["v11"], "--yes", "prod"], 6, "app2", "1 files changed by hand: package-lock.json")
    subprocess.run(["git", "checkout", "-q", "package-lock.json"], cwd=fleet.node("app2").srv, check=True)
    release(fleet, "v11")
    expect_world(fleet, "v11")
    assert read(lock) == "{}\nresolved for v11\n"
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v10")
    assert read(lock) == "{}\nresolved for v10\n"
