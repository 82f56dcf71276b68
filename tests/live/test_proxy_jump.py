# SPDX-License-Identifier: MIT
"""Nodes behind a gateway: ProxyJump from the pillar, for both transports."""
import oracle
import pytest
from scene import run

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 3}


@pytest.mark.parametrize("transport", ["ssh", "openssh"])
def test_through_the_gateway(fleet, transport):
    """app1 is no node of this plan, only the way to the others: its sshd must see logins, and no session."""
    gateway, nodes = fleet.nodes[0], fleet.nodes[1:]
    before = fleet.log("app1-sshd.log").count("Accepted publickey")
    fleet.write_pillar(transport=transport, servers="\n".join(
        f"    {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, ssh: {{port: {n.ssh_port}, "
        f"proxy_jump: '{gateway.host}:{gateway.ssh_port}'}}}}" for n in nodes))
    version = "v2" if transport == "ssh" else "v7"
    run(fleet, "run", "--rev", fleet.revs[version], "--yes", "prod")
    assert [p for n in nodes for p in oracle.node_problems(n, fleet.revs[version])] == []
    logins = fleet.log("app1-sshd.log").count("Accepted publickey") - before
    assert logins > 0, "nobody came through the gateway"
    assert transport == "ssh" or logins == 1, "nodes do not share the login to their gateway"
    assert "Starting session" not in fleet.log("app1-sshd.log")
    assert gateway.running_rev() == fleet.revs["v1"]
