# SPDX-License-Identifier: MIT
"""The main promise: a release, and the way back, under load, without one failed request."""
from load import Load
from scene import expect_world, release, run

FLEET = {"varnish": None}


def test_release_under_load(fleet):
    with Load(fleet, rate=250) as load:
        load.run_on(0.5)
        release(fleet, "v2")
        load.run_on(1)
    print(load.summary())
    assert load.problems() == []
    assert set(load.report["revisions"]) == {fleet.revs["v1"], fleet.revs["v2"]}
    expect_world(fleet, "v2")


def test_rollback_under_load(fleet):
    with Load(fleet, rate=250) as load:
        run(fleet, "rollback", "--yes", "prod")
        load.run_on(0.5)
    print(load.summary())
    assert load.problems() == []
    expect_world(fleet, "v1")


def test_same_again_by_branch_needs_no_build(fleet):
    """v1 -> v2 once more: the directory is there and complete."""
    release(fleet, "v2")
    expect_world(fleet, "v2")
    release(fleet, "v2")
    expect_world(fleet, "v2")
