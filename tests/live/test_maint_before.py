# SPDX-License-Identifier: MIT
"""A node that an operator had put in maintenance gets the new revision and is in maintenance afterwards."""
from load import Load
from scene import expect_world, release, run

FLEET = {"varnish": None}


def test_stays_in_maintenance(fleet):
    for lb in fleet.lbs:
        lb.set_state("app2", "maint")
    with Load(fleet, rate=150) as load:
        release(fleet, "v2")
    assert load.problems() == []
    expect_world(fleet, "v2", out=("app2",))
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v1", out=("app2",))
