# SPDX-License-Identifier: MIT
"""A node is out already and the floor is tight: that one is released first, which makes the room for the others."""
import signal

import scene
from scene import end, expect_world, release, run, signal_when, start_release

FLEET = {"varnish": None, "n_nodes": 3, "pillar": {"min_up": 2}}


def test_who_is_out_goes_first(fleet):
    process = signal_when(fleet, start_release(fleet, "v7"), "v7", "app2", scene.stopped, signal.SIGKILL)
    end(process, fleet)
    run(fleet, "unlock", "prod", "--force", "--reason", "the controller burnt down")
    assert scene.drained(fleet, fleet.nodes[1], "")
    release(fleet, "v2", "--only", "app1", status=6)
    release(fleet, "v2")
    expect_world(fleet, "v2", finished=False)
