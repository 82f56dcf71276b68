"""Clients bound by cookie never leave a draining server by themselves: half-way maint moves them, none is failed."""
from load import Load
from scene import expect_world, release

FLEET = {"varnish": None, "n_nodes": 3, "sticky": True, "pillar": {"drain_timeout": "6s"}}


def test_sticky_clients_are_moved(fleet):
    with Load(fleet, rate=150, sticky=True) as load:
        load.run_on(1)
        release(fleet, "v2")
        load.run_on(0.5)
    assert load.problems() == []
    expect_world(fleet, "v2")
