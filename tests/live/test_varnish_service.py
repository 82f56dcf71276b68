# SPDX-License-Identifier: MIT
"""Every node has a Varnish of its own behind the HAProxies: its probe fails on purpose, and only when the balancers say
so is anything stopped: 0 lost requests."""
from load import Load
from scene import expect_world, release_that_dies, run

FLEET = {"varnish": None, "n_nodes": 3, "node_varnish": True}


def test_a_release_that_dies_three_times_under_load(fleet):
    with Load(fleet, rate=150) as load:
        release_that_dies(fleet, "v2", "varnish-service.drain:1", "varnish-service.enable:1", "commit-after:9")
        load.run_on(0.5)
    assert load.report["failed"] == 0, load.report
    assert all(c["eresp"] == c["wretr"] == c["wredis"] == 0 for c in load.counters.values()), load.counters
    expect_world(fleet, "v2")


def test_rollback(fleet):
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v1")
