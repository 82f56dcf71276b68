# SPDX-License-Identifier: MIT
"""Sessions that do not end: by policy the node is put back (4), or goes on, or they are cut."""
import socket

import scene
from scene import expect_world, release, run

FLEET = {"varnish": None, "n_nodes": 2, "pillar": {"drain_timeout": "3s"}}


def hold(fleet, node_id):
    """A request of 30 s through lb1 that lands on node_id."""
    lb = fleet.lbs[0]
    for _ in range(8):
        s = socket.create_connection((lb.host, lb.port))
        s.sendall(b"GET /slow?ms=30000 HTTP/1.1\r\nHost: x\r\n\r\n")
        busy = scene.wait_for("the request arrives", lambda: [
            n.id for n in fleet.nodes if int(lb.server(n.id)["scur"]) > 0])
        if busy == [node_id]:
            return s
        s.close()
        scene.wait_for("the request ends", lambda: all(int(lb.server(n.id)["scur"]) == 0 for n in fleet.nodes), seconds=40)
    raise AssertionError("no request landed on " + node_id)


def test_restore_is_the_default(fleet):
    held = hold(fleet, "app1")
    result = release(fleet, "v2", status=4)
    text = result.stdout + result.stderr
    assert "app1" in text and "session" in text and "resume" in text, text
    expect_world(fleet, "v1")
    held.close()


def test_kill_ends_them(fleet):
    run(fleet, "rollback", "--yes", "prod")
    fleet.write_pillar(on_timeout="kill")
    held = hold(fleet, "app1")
    release(fleet, "v2")
    expect_world(fleet, "v2")
    held.close()
