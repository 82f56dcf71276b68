# SPDX-License-Identifier: MIT
"""Ctrl-C once and twice, SIGTERM, a closed pipe."""
import signal
import subprocess

import scene
from load import Load
from scene import end, expect_world, run, signal_when, start_release, texts

FLEET = {"varnish": None, "n_nodes": 3}


def running(fleet):
    return [next(v for v, r in fleet.revs.items() if r == n.running_rev()) for n in fleet.nodes]


def test_once_finishes_the_node_in_hand(fleet):
    with Load(fleet, rate=100) as load:
        process = signal_when(fleet, start_release(fleet, "v2"), "v2", "app1", scene.stopped, signal.SIGINT)
        assert end(process, fleet) == 130, texts(fleet)
    assert load.problems() == []
    assert running(fleet) == ["v2", "v1", "v1"]
    run(fleet, "resume", "--yes", "prod")
    expect_world(fleet, "v2")


def test_twice_stops_now_and_says_what_next(fleet):
    process = signal_when(fleet, start_release(fleet, "v7"), "v7", "app2", scene.stopped, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    # Two equal signals at once may become one: ask until it is heard.
    scene.wait_for("the engine ends", lambda: process.poll() is not None or process.send_signal(signal.SIGINT),
                   seconds=30, every=0.2)
    assert process.returncode == 130, texts(fleet)
    text = texts(fleet)
    assert "resume" in text and "rollback" in text, text
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v2", finished=False)


def test_term_is_like_once(fleet):
    process = signal_when(fleet, start_release(fleet, "v7"), "v7", "app1", scene.drained, signal.SIGTERM)
    assert end(process, fleet) == 143, texts(fleet)
    run(fleet, "resume", "--yes", "prod")
    expect_world(fleet, "v7")


def test_closed_pipe_does_not_stop_a_release(fleet):
    process = subprocess.Popen(fleet.argv("run", "--rev", fleet.revs["v2"], "--yes", "prod"), env=fleet.environ(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    expect_world(fleet, "v2", finished=False)
