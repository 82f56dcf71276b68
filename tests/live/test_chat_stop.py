# SPDX-License-Identifier: MIT
"""The end of the server while Slack's host does not answer: soon, and no command is taken that nobody would do any more."""
import http.client
import socket
import time

import pytest
from daemons import wait_for
from rooms import Room
from serving import Place, Serving


@pytest.fixture
def place():
    p = Place()
    p.write("pillar/prod.sls", "release: {app: site}\n")
    yield p
    p.remove()


@pytest.fixture
def room(place):
    r = Room(place.dir)
    yield r
    r.stop()


@pytest.fixture
def hole():
    """A host that takes connections and never answers."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(100)
        yield f"http://127.0.0.1:{s.getsockname()[1]}"


def config(room, hole):
    c = room.config()["slack"]
    return {"slack": dict(c, hooks=[room.url, hole])}


def questions(server):
    return server.request("GET", "/metrics")[2].decode().split("\nrelease_questions_open ")[1].split("\n")[0]


def type_kept(room, connection, text):
    """Types on a connection that stays open; the status. What is taken is answered at once."""
    body = room.form(text)
    connection.request("POST", "/chat/slack/command", body, room.sign(body))
    answer = connection.getresponse()
    said = answer.read().decode()
    assert answer.status == 503 or "prod: free" in said, said
    return answer.status


def is_refused(server):
    try:
        server.connect().close()
    except ConnectionError:  # refused, or taken by the kernel and reset as the listener goes
        return True
    return False


def test_a_dead_host_does_not_hold_up_the_end(place, room, hole):
    room.write_config(place.root, **config(room, hole))
    server = Serving(place).start()
    kept = http.client.HTTPConnection(server.host, server.port, timeout=20)
    try:
        for i in range(6):  # each fails to look, and says so to nobody
            room.type(server, "plan main prod", user=f"u{i}", response_url=f"{hole}/{i}")
        wait_for("all have been looked at", lambda: "0" == questions(server), seconds=30)
        assert type_kept(room, kept, "status prod") == 200
        began = time.monotonic()
        server.process.terminate()
        wait_for("nobody is let in", lambda: is_refused(server), seconds=5)
        wait_for("nothing is taken", lambda: type_kept(room, kept, "status prod") == 503, seconds=5)
        assert server.process.wait(timeout=60) == 0, server.log()
        took = time.monotonic() - began
        assert took < 12, f"it took {took:.1f} s to end"
        print(f"end with a dead host: {took:.1f} s")
    finally:
        kept.close()
        server.kill()
