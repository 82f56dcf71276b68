# SPDX-License-Identifier: MIT
"""The health check fails only on the third node: all three go back, and the fourth was never touched."""
import oracle
from load import Load
from scene import expect_world, release

FLEET = {"varnish": None, "pillar": {
    "build": "[{cmd.run: {cmd: 'sh build.sh; case {node} in app3) echo unhealthy > BEHAVE;; esac', timeout: 60s}}]"}}


def test_third_node_fails(fleet):
    fourth = oracle.pid_listening(fleet.nodes[3].host, fleet.nodes[3].port)
    with Load(fleet, rate=200) as load:
        result = release(fleet, "v2", status=1)
        load.run_on(0.5)
    assert load.problems() == []
    assert "app3" in result.stdout + result.stderr
    assert fleet.revs["v2"] in load.report["revisions"], "the first two never served the new revision"
    expect_world(fleet, "v1")
    assert fourth == oracle.pid_listening(fleet.nodes[3].host, fleet.nodes[3].port)


def test_stop_instead_of_rollback(fleet):
    """on_failure: stop leaves finished nodes on the new revision, the failing one on the old, all serving."""
    fleet.write_pillar(on_failure="stop")
    release(fleet, "v2", status=4)
    running = [n.running_rev() for n in fleet.nodes]
    new, old = fleet.revs["v2"], fleet.revs["v1"]
    assert running == [new, new, old, old]
    assert oracle.balancer_problems(fleet) == []
    assert oracle.lock_problems(fleet.state) == []
