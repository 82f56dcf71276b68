"""The classic order for trees that cannot be built beside themselves: drain, stop, check out, build, start."""
import subprocess

from load import Load
from scene import expect_world, refused, release, run

FLEET = {"varnish": None, "mode": "in-place"}


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
