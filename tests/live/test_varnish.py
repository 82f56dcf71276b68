# SPDX-License-Identifier: MIT
"""A Varnish whose director sends to the nodes is one more balancer: drained and given back like the others."""
from load import Load
from scene import expect_world, refused, release, run

FLEET = {"varnish": "nodes", "n_nodes": 3}


def test_release_through_all_three(fleet):
    with Load(fleet, rate=200) as load:
        release(fleet, "v2")
        load.run_on(0.5)
    assert load.problems() == []
    expect_world(fleet, "v2")


def test_vcl_switch_during_a_release_is_noticed(fleet):
    """A new VCL starts with all backends on auto: the drain must be told to it again."""
    import scene
    node = fleet.node("app2")
    fleet.varnish.write_vcl(f"{fleet.varnish.dir}/second.vcl")
    with Load(fleet, path="/slow?ms=2000", rate=40, connections=200) as load:
        process = scene.start_release(fleet, "v7")
        scene.wait_for("app2 sick by order", lambda: fleet.varnish.admin_health()["app2"] == "sick", seconds=90,
                       every=0.01)
        assert fleet.varnish.cli(f"vcl.load second {fleet.varnish.dir}/second.vcl")[0] == 200
        assert fleet.varnish.cli("vcl.use second")[0] == 200
        assert scene.end(process, fleet, 180) == 0, scene.texts(fleet)
    assert load.report["failed"] == 0, load.report
    assert node.running_rev() == fleet.revs["v7"]
    expect_world(fleet, "v7")


def test_floor_is_read_from_every_balancer(fleet):
    """The HAProxies see three, the Varnish two, and two must stay: none may leave."""
    assert fleet.varnish.cli("backend.set_health *.app3 sick")[0] == 200
    refused(fleet, ["run", "--rev", "v2", "--yes", "prod"], 6, "2 nodes are in rotation", "min_up")
    assert fleet.varnish.cli("backend.set_health *.app3 auto")[0] == 200
    fleet.varnish.wait_ready()


def test_forgotten_drain_is_told_again_while_the_node_is_down(fleet):
    """The guard looks at every balancer: a VCL that comes while the application starts (v5 takes 4 s)."""
    import scene
    process = scene.start_release(fleet, "v5", "--only", "app1")
    scene.wait_for("app1 stopped", lambda: scene.stopped(fleet, fleet.node("app1"), ""), seconds=60, every=0.01)
    fleet.varnish.write_vcl(f"{fleet.varnish.dir}/third.vcl")
    assert fleet.varnish.cli(f"vcl.load third {fleet.varnish.dir}/third.vcl")[0] == 200
    assert fleet.varnish.cli("vcl.use third")[0] == 200
    scene.wait_for("app1 sick again", lambda: fleet.varnish.admin_health()["app1"] == "sick", seconds=20, every=0.02)
    assert not fleet.node("app1").running_rev(), "too late: the application answers already"
    assert scene.end(process, fleet, 120) == 0, scene.texts(fleet)
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v7")


def test_rollback(fleet):
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v2")
