# SPDX-License-Identifier: MIT
"""kill -9 of the engine at many moments: only the node in hand may be out, and one command ends it well."""
import signal

import pytest

import scene
from load import Load
from scene import end, expect_world, run, signal_when, start_release

FLEET = {"varnish": None, "n_nodes": 3}
MOMENTS = [("app1", scene.unpacked), ("app1", scene.drained), ("app2", scene.drained_everywhere), ("app2", scene.stopped),
           ("app2", scene.switched), ("app1", scene.started), ("app2", scene.enabled), ("app3", scene.drained)]


def kill_at(fleet, version, node_id, moment):
    process = start_release(fleet, version)
    signal_when(fleet, process, version, node_id, moment)
    assert end(process, fleet) == -signal.SIGKILL
    out = [n.id for n in fleet.nodes if any(lb.admin_state()[n.id] for lb in fleet.lbs)]
    assert len(out) <= 1, f"{out} are out at once (window 1)"


@pytest.mark.parametrize("node_id,moment", MOMENTS, ids=lambda v: getattr(v, "__name__", v))
def test_kill_then_resume(fleet, node_id, moment):
    old, new = ("v1", "v2") if fleet.nodes[0].running_rev() == fleet.revs["v1"] else ("v2", "v7")
    if fleet.nodes[0].running_rev() == fleet.revs["v7"]:
        old, new = "v7", "v1"
    expect_world(fleet, old)
    with Load(fleet, rate=100) as load:
        kill_at(fleet, new, node_id, moment)
        run(fleet, "run", "--rev", fleet.revs[new], "--yes", "prod", status=4)
        run(fleet, "resume", "--yes", "prod")
        load.run_on(0.3)
    assert load.problems() == []
    expect_world(fleet, new, finished=False)
