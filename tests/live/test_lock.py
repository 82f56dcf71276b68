# SPDX-License-Identifier: MIT
"""One release at a time: by another release, by hand, and what the second is told."""
import getpass

import scene
from scene import end, expect_world, refused, release, run, signal_when, start_release, texts
import signal

FLEET = {"varnish": None, "n_nodes": 2}


def test_held_by_hand(fleet):
    run(fleet, "lock", "prod", "--reason", "database move")
    refused(fleet, ["run", "--rev", fleet.revs["v2"], "--yes", "prod"], 3, "database move", getpass.getuser())
    assert "database move" in run(fleet, "status", "prod").stdout
    run(fleet, "unlock", "prod")
    release(fleet, "v2")
    expect_world(fleet, "v2")


def test_held_by_a_running_release(fleet):
    process = start_release(fleet, "v7")
    scene.wait_for("app1 drained", lambda: scene.drained(fleet, fleet.nodes[0], ""), seconds=60)
    run(fleet, "run", "--rev", fleet.revs["v2"], "--yes", "prod", status=3)
    run(fleet, "resume", "--yes", "prod", status=3)
    assert end(process, fleet) == 0, texts(fleet)
    expect_world(fleet, "v7")


def test_dead_holder_is_named(fleet):
    process = signal_when(fleet, start_release(fleet, "v2"), "v2", "app1", scene.drained, signal.SIGKILL)
    end(process, fleet)
    text = run(fleet, "status", "prod").stdout
    assert "resume" in text or "unfinished" in text, text
    run(fleet, "resume", "--yes", "prod")
    expect_world(fleet, "v2", finished=False)


def test_debt_of_a_release_that_was_given_up_is_paid(fleet):
    """app1 is left drained and its release given up: the next one gives it back, not the drain it finds."""
    process = signal_when(fleet, start_release(fleet, "v7"), "v7", "app1", scene.stopped, signal.SIGKILL)
    end(process, fleet)
    assert scene.drained(fleet, fleet.nodes[0], "")
    run(fleet, "unlock", "prod", "--force", "--reason", "the controller burnt down")
    assert "owed" in run(fleet, "status", "prod").stdout
    release(fleet, "v2", "--only", "app1")
    expect_world(fleet, "v2", finished=False)
    assert not scene.drained(fleet, fleet.nodes[0], "")
    assert "owed" not in run(fleet, "status", "prod").stdout
