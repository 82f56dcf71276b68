# SPDX-License-Identifier: MIT
"""The server is killed in the middle; a webhook is dead for a while; Slack says slow down: nothing is lost or said twice."""
import json

import pytest
from rooms import Room
from scene import drained, expect_world, release, run, wait_for
from serving import Serving

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}


@pytest.fixture
def room(fleet):
    r = Room(fleet.dir)
    yield r
    r.stop()


def told(room, words):
    return [h for h in room.hooks if words in json.dumps(h)]


def test_killed_while_a_release_runs(fleet, room):
    """The order goes on; the next server says how it ended, and goes on with the same message."""
    fleet.write_pillar(extra="  confirm: no\n")
    room.write_config(fleet.root, bot=True, webhooks=[{"url": f"{room.url}/webhook"}])
    server = Serving(fleet).start()
    try:
        assert "is under way" in room.type(server, f"run {fleet.revs['v2']} prod")
        wait_for("a node is drained", lambda: any(drained(fleet, n, "") for n in fleet.nodes), seconds=60, every=0.01)
        wait_for("a message stands", lambda: room.messages)
    finally:
        server.kill()
    with Serving(fleet, name="serve2"):
        room.wait_said(["done and verified"], seconds=90)
        wait_for("the message is final", lambda: "done and verified" in list(room.messages.values())[0], seconds=30)
        room.wait_said(["done and verified"], room.hooks)
    assert len(room.messages) == 1, room.messages
    assert len(told(room, "has started")) == 1 and len(told(room, "done and verified")) == 1, room.hooks
    expect_world(fleet, "v2")


def test_dead_webhook_is_told_later(fleet, room):
    """What it missed comes in order once it answers again; the release did not wait."""
    room.write_config(fleet.root, webhooks=[{"url": f"{room.url}/webhook"}])
    room.status = 503
    with Serving(fleet) as server:
        run(fleet, "lock", "prod", "--reason", "first")
        run(fleet, "unlock", "prod")
        wait_for("it was tried", lambda: told(room, "first"))
        release(fleet, "v1")
        with room.lock:
            room.hooks.clear()
            room.status = 200
        room.wait_said(["done and verified"], room.hooks, seconds=60)
        assert "trying again" in server.log() and room.url not in server.log().replace(server.url, ""), server.log()
    texts = [h["text"] for h in room.hooks]
    assert [("first" in t) or ("freed" in t) for t in texts[:2]] == [True, True] and "has started" in texts[2], texts
    assert len(told(room, "first")) == len(told(room, "has started")) == len(told(room, "done and verified")) == 1, texts


def test_slow_down(fleet, room):
    room.write_config(fleet.root, bot=True)
    room.status, room.retry_after = 429, 3
    with Serving(fleet):
        run(fleet, "lock", "prod", "--reason", "quiet")
        wait_for("Slack was asked", lambda: room.calls)
        room.status, room.retry_after = 200, None
        wait_for("the lock is told", lambda: any("quiet" in t for t in room.messages.values()), seconds=30)
        run(fleet, "unlock", "prod")
    assert room.calls[1][0] - room.calls[0][0] >= 3, room.calls
