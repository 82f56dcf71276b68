# SPDX-License-Identifier: MIT
"""The test rig itself: it must see a careless restart, and must not blame a careful one."""
import oracle
import reference
from load import Load

FLEET = {"varnish": None}


def test_fleet_starts_on_first_revision(fleet):
    assert oracle.problems(fleet, fleet.revs["v1"]) == []


def test_careful_restart_loses_nothing(fleet):
    with Load(fleet, rate=250) as load:
        for node in fleet.nodes:
            reference.drained_restart(fleet, node)
    assert load.problems() == []


def test_kill_is_seen(fleet):
    with Load(fleet, rate=250) as load:
        for node in fleet.nodes[:3]:
            reference.kill_restart(node)
    assert load.report["failed"] > 0, "the clients did not notice three kills"
    assert any(c["eresp"] + c["wretr"] + c["hrsp_5xx"] > 0 for c in load.counters.values())


def test_oracle_sees_a_lie_on_disk(fleet):
    """A changed link under an old process is not a release."""
    import os
    node, rev = fleet.nodes[0], fleet.revs["v2"]
    target = f"{node.srv}/releases/{rev[:12]}-000000"
    os.makedirs(target)
    os.unlink(f"{node.srv}/current")
    os.symlink(target, f"{node.srv}/current")
    found = oracle.node_problems(node, rev)
    assert any("serves" in p for p in found) and any("works in" in p for p in found)
    assert any("release-complete" in p for p in found)


def test_nothing_survives_the_end(make_fleet):
    from daemons import can_connect, marked
    other = make_fleet(n_nodes=2, balancers=1, varnish=None)
    assert marked(other.dir)
    listens = [(n.host, port) for n in other.nodes for port in (n.port, n.ssh_port)]
    assert all(can_connect(*address) for address in listens)
    other.stop()
    assert marked(other.dir) == []
    assert [address for address in listens if can_connect(*address)] == []
