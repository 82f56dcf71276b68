# SPDX-License-Identifier: MIT
"""Clients bound by cookie never leave a draining server by themselves: half-way maint moves them, none is failed."""
import signal

import scene
from load import Load
from scene import end, expect_world, release, run, signal_when, start_release

FLEET = {"varnish": None, "n_nodes": 3, "sticky": True, "pillar": {"drain_timeout": "6s"}}


def test_sticky_clients_are_moved(fleet):
    with Load(fleet, rate=150, sticky=True) as load:
        load.run_on(1)
        release(fleet, "v2")
        load.run_on(0.5)
    assert load.problems() == []
    expect_world(fleet, "v2")


def test_maintenance_of_a_release_that_was_given_up_is_given_back(fleet):
    """app1 is left in the maintenance that its release set: the next one does not take it for somebody's hand."""
    with Load(fleet, rate=150, sticky=True) as load:
        load.run_on(1)
        process = signal_when(fleet, start_release(fleet, "v7"), "v7", "app1", scene.stopped, signal.SIGKILL)
        end(process, fleet)
    assert fleet.lbs[0].admin_state()["app1"] & 1, "forced maintenance is bit 0"
    run(fleet, "unlock", "prod", "--force", "--reason", "the controller burnt down")
    assert "maintenance by release" in run(fleet, "status", "prod").stdout
    release(fleet, "v2", "--only", "app1")
    expect_world(fleet, "v2", finished=False)
    assert not scene.drained(fleet, fleet.nodes[0], "")
    assert "owed" not in run(fleet, "status", "prod").stdout
