# SPDX-License-Identifier: MIT
"""HAProxy reloads while a node is drained, and without a state file forgets it: noticed, drained again, 0 failed."""
import scene
from load import Load
from oracle import open_journal
from scene import end, expect_world, start_release, texts

FLEET = {"varnish": None, "n_nodes": 3}


def test_forgotten_drain_is_put_right(fleet):
    """A slow request keeps app2 draining while lb1 reloads."""
    node = fleet.node("app2")
    with Load(fleet, path="/slow?ms=2500", rate=40, connections=200) as load:
        process = start_release(fleet, "v2")
        scene.wait_for("app2 drained", lambda: scene.drained_everywhere(fleet, node, ""), seconds=90, every=0.005)
        fleet.lbs[0].reload()
        assert node.running_rev() == fleet.revs["v1"], "too late to prove anything: app2 was already changed"
        scene.wait_for("lb1 is told again", lambda: fleet.lbs[0].admin_state()["app2"] & 9, seconds=10)
        assert end(process, fleet, 180) == 0, texts(fleet)
    assert load.report["failed"] == 0, load.report
    expect_world(fleet, "v2")
    told = open_journal(fleet.state).execute("select summary from release_ends order by id desc").fetchone()[0]
    assert "balancers forgot a drain 1 time: " in told, told
