# SPDX-License-Identifier: MIT
"""kill -9 of the engine, then the other way out: back to what each node ran before."""
import signal

import pytest

import scene
from load import Load
from scene import end, expect_world, run, signal_when, start_release

FLEET = {"varnish": None, "n_nodes": 3}
MOMENTS = [("app1", scene.drained), ("app2", scene.stopped), ("app2", scene.switched), ("app2", scene.started),
           ("app3", scene.drained_everywhere)]


@pytest.mark.parametrize("node_id,moment", MOMENTS, ids=lambda v: getattr(v, "__name__", v))
def test_kill_then_rollback(fleet, node_id, moment):
    with Load(fleet, rate=100) as load:
        process = start_release(fleet, "v2")
        signal_when(fleet, process, "v2", node_id, moment)
        assert end(process, fleet) == -signal.SIGKILL
        run(fleet, "rollback", "--yes", "prod")
        load.run_on(0.3)
    assert load.problems() == []
    expect_world(fleet, "v1", finished=False)


def test_kill_the_resume_too(fleet):
    """Killed at stop, and the resume killed at start: the second resume still ends it."""
    process = start_release(fleet, "v2")
    signal_when(fleet, process, "v2", "app2", scene.stopped)
    end(process, fleet)
    again = fleet.release_start("resume", "--yes", "prod")
    signal_when(fleet, again, "v2", "app2", scene.started)
    end(again, fleet)
    run(fleet, "resume", "--yes", "prod")
    expect_world(fleet, "v2", finished=False)
