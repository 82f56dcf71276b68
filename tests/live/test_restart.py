# SPDX-License-Identifier: MIT
"""plans/restart.yml: new processes, the same revision, nobody notices."""
import oracle
from load import Load
from scene import expect_world, run

FLEET = {"varnish": None, "n_nodes": 3}


def test_restart_under_load(fleet):
    before = [oracle.pid_listening(n.host, n.port) for n in fleet.nodes]
    with Load(fleet, rate=200) as load:
        run(fleet, "run", "--plan", "restart", "--yes", "prod")
        load.run_on(0.5)
    assert load.problems() == []
    expect_world(fleet, "v1")
    after = [oracle.pid_listening(n.host, n.port) for n in fleet.nodes]
    assert not set(before) & set(after), "a process was not restarted"
