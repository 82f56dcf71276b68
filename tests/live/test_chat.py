# SPDX-License-Identifier: MIT
"""From a slash command to a finished release: question, answer, the message that is kept up to date, announcements."""
import json
import time

import pytest
from rooms import Room
from scene import drained, expect_world, release, run, wait_for
from serving import Serving

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}


@pytest.fixture(scope="module")
def room(fleet):
    r = Room(fleet.dir)
    yield r
    r.stop()


@pytest.fixture(scope="module")
def server(fleet, room):
    hooks = [{"url": f"{room.url}/webhook/all"}, {"url": f"{room.url}/webhook/lock", "events": ["lock", "queue"]},
             {"url": "http://127.0.0.1:9/dead"}]
    room.write_config(fleet.root, bot=True, webhooks=hooks, queue={"lapse": "2s"})
    with Serving(fleet) as s:
        yield s


def test_question_answer_release(fleet, room, server):
    began = time.monotonic()
    said = room.type(server, f"run {fleet.revs['v2']} prod")
    assert "the question follows" in said, said
    question = room.wait_said(["Release this?"])
    text = question["text"]
    assert fleet.revs["v2"][:12] in text and "2 nodes: app1, app2" in text and "capacity: 2 in rotation" in text, text
    assert "1 commit" in text and "v2" in text, text
    code = room.code_of(question)
    assert "only they can answer" in room.type(server, f"confirm {code}", user="bob")
    confirmed = time.monotonic()
    said = room.press(server, "confirm", code, user="ann")
    assert "is under way" in said, said
    wait_for("a node is drained", lambda: any(drained(fleet, n, "") for n in fleet.nodes), seconds=60, every=0.01)
    print(f"seconds: command to question {confirmed - began:.2f}, yes to first drain {time.monotonic() - confirmed:.2f}")
    assert "answered" in room.type(server, f"confirm {code}") or "under way" in room.type(server, f"confirm {code}")
    room.wait_said(["has started"])
    room.wait_said(["done and verified"])
    expect_world(fleet, "v2")
    history = json.loads(run(fleet, "history", "prod", "--json").stdout.splitlines()[0])
    assert history["who"] == "slack:ann", history


def test_one_message_is_kept_up_to_date(fleet, room, server):
    wait_for("the last update", lambda: any("done and verified" in t for t in room.messages.values()), seconds=30)
    posts = [c for c in room.calls if c[2] == "chat.postMessage"]
    updates = [c for c in room.calls if c[2] == "chat.update"]
    assert len(posts) == 1 and updates, room.calls
    text = list(room.messages.values())[0]
    assert "2 of 2 nodes done" in text, text
    gaps = [b[0] - a[0] for a, b in zip(room.calls, room.calls[1:])]
    assert min(gaps) > 1.0, gaps


def test_announcements(fleet, room, server):
    for words in (["has started: 2 nodes"], ["stage 1 is done"], ["done and verified after", "2 on the new revision"]):
        room.wait_said(words, room.hooks)
    assert len([h for h in room.hooks if "has started" in json.dumps(h)]) == 1, room.hooks


def test_lock_in_the_room(fleet, room, server):
    assert "locked by slack:\u200bann" not in room.type(server, "status prod")
    said = room.type(server, "lock prod database move <!here> until 14:00")
    assert "prod is locked" in said and "<!here>" not in said, said
    assert "database move" in room.type(server, "run v1 prod", user="bob")
    refused = run(fleet, "run", "--rev", fleet.revs["v1"], "--yes", "prod", status=3)
    assert "held by slack:ann" in refused.stderr, refused.stderr
    assert "you are next" in room.type(server, "queue prod", user="bob")
    assert "held by" in room.type(server, "unlock prod", user="bob")
    assert "is free" in room.type(server, "unlock prod")
    room.wait_said(["slack:bob is next"], room.hooks)
    assert "turn of slack:bob" in room.type(server, "lock prod me first")
    assert "turn of slack:bob" in run(fleet, "lock", "prod", "--reason", "x", status=3).stderr
    room.wait_said(["slack:bob did not take the lock in time"], room.hooks)
    assert "is locked by" in room.type(server, "lock prod now it is free")
    assert "is held by slack:bob now" in room.type(server, "hand prod @bob")
    assert "has the lock of prod, over slack:bob" in room.type(server, "take prod bob went home", user="carl")
    room.wait_said(["the lock passes to slack:carl", "bob went home"], room.hooks)
    room.type(server, "unlock prod", user="carl")
    orders = server.get("/api/v1/orders?env=prod", server.token("look", "viewer"))[1]
    took = [o for o in orders if o["verb"] == "take"][0]
    assert took["who"] == "slack:carl" and took["from"] == "T1/C1/UCARL" and took["exit"] == 0, took


def test_who_may_not(fleet, room, server):
    assert "may not run" in room.type(server, "run v1 prod", channel_id="C2")
    assert "may not" in room.type(server, "lock prod x", team_id="T2")
    assert "did you mean 'rollback'" in room.type(server, "rolback prod")
    assert "there is no environment 'nowhere'" in room.type(server, "run v1 nowhere")


def test_forged_and_replayed(fleet, room, server):
    body, path = room.form("status prod"), "/chat/slack/command"
    now = int(time.time())
    assert room.signed(server, path, body, stamp=now)[0] == 200
    assert room.signed(server, path, body, stamp=now)[0] == 401  # the same once more
    for stamp in (now - 302, now + 302, "x"):
        assert room.signed(server, path, room.form("status prod"), stamp=stamp)[0] == 401
    assert room.signed(server, path, room.form("status prod"), secret="other")[0] == 401
    assert room.signed(server, path, room.form("status prod"), signature="v0=" + 64 * "0")[0] == 401
    assert room.mattermost(server, "status prod", token="other")[0] == 401


def test_answers_go_nowhere_else(fleet, room, server):
    room.forget()
    room.type(server, "plan v1 prod", response_url="http://127.0.0.1:1/x")
    wait_for("it is said", lambda: "a response_url is not used" in server.log())
    room.type(server, "plan v1 prod")
    room.wait_said(["revision", fleet.revs["v1"][:12]])
    assert len(room.said) == 1, room.said


def test_mattermost(fleet, room, server):
    status, answer, _ = room.mattermost(server, "status prod")
    assert status == 200 and "prod: free" in answer["text"], answer
    room.forget()
    release(fleet, "v6", status=1)
    room.wait_said(["failed, nothing was switched", "app", "cmd.run", "module 'theme' not found"], room.hooks)
    status, answer, _ = room.mattermost(server, "rollback prod")
    assert "failed and switched nothing; this takes back release" in answer["text"], answer
    assert f"go back to {fleet.revs['v1'][:12]} (app1" in answer["text"], answer  # where to, not only what is left
    back, cancel = answer["attachments"][0]["actions"]
    assert (back["name"], back["style"], cancel["style"]) == ("Roll back", "danger", "default"), answer
    action = back["integration"]
    body = {"user_id": "mann", "user_name": "ann", "team_id": "t1", "channel_id": "c1", "context": action["context"]}
    url, other = "/chat/mattermost/action", dict(action["context"], proof=64 * "0")
    assert server.post(url, **dict(body, context=other))[0] == 401
    assert "only they can answer" in server.post(url, **dict(body, user_id="mbob"))[1]["ephemeral_text"]
    status, answer = server.post(url, **body)
    assert status == 200 and "under way" in answer["update"]["message"], answer
    room.wait_said(["rollback", "done and verified"], seconds=90)
    expect_world(fleet, "v1", finished=False)


def test_back_to_a_revision_and_to_a_moment(fleet, room, server):
    room.forget()
    assert "there is no release 99; 'release history prod' lists them" in room.type(server, "rollback prod before 99")
    assert "say two things; give one" in room.type(server, "rollback prod before 1 --to v7")
    for typed, about, rev in (("to v7", "every node to v7", "v7"), ("before 4", "takes back release 4 (", "v1")):
        assert "the question follows" in room.type(server, f"rollback prod {typed}")
        question = room.wait_said(["Roll back?", about])
        assert f"to {fleet.revs[rev][:12]}" in question["text"] and "2 nodes: app1, app2" in question["text"], question
        assert "is under way" in room.press(server, "confirm", room.code_of(question), user="ann")
        wait_for("it has ended", lambda: any(" after " in m["text"] or "not begun" in m["text"] for m in room.said), seconds=90)
        assert "done and verified" in room.said[-1]["text"], room.said
        expect_world(fleet, rev, finished=False)
        room.forget()


def test_a_second_person_approves(fleet, room, server):
    fleet.write_pillar(extra="  approval: other\n")
    room.forget()
    room.type(server, "run v2 prod")
    code = room.code_of(room.wait_said(["Release this?"]))
    assert "waits for a second person" in room.type(server, f"confirm {code}")
    room.wait_said(["slack:ann asks a second person", code], room.hooks)
    assert "a second person must approve" in room.type(server, f"approve {code}")
    assert "a second person must approve" in room.mattermost(server, f"approve {code}")[1]["text"]
    said = room.press(server, "approve", code)
    assert "approved by slack:bob" in said, said
    room.wait_said(["done and verified"], seconds=90)
    order = server.get("/api/v1/orders?env=prod", server.token("look2", "viewer"))[1][0]
    assert order["who"] == "slack:ann" and "--approved-by=slack:bob" in order["argv"], order
    token = server.token("ci", "operator")
    status, answer = server.post("/api/v1/envs/prod/run", token, rev="v1", stages="1,100%", confirm="prod")
    assert status == 202 and answer["pending"], answer

    def pending():
        return server.get("/api/v1/envs/prod", token)[1]["pending"]
    assert pending()[0]["code"] == answer["pending"]
    wait_for("a second person is asked", lambda: pending()[0]["state"] == "approve", seconds=60)
    assert (pending()[0]["rev"], pending()[0]["stages"]) == (fleet.revs["v1"], "1,100%")  # the commit, whatever v1 means later
    room.wait_said(["api:ci asks a second person", fleet.revs["v1"][:12], "stages 1,100%", answer["pending"]], room.hooks)
    assert server.post("/api/v1/approve", token, code=answer["pending"])[0] == 409  # not by oneself
    assert server.post("/api/v1/cancel", token, code=answer["pending"])[0] == 200
    status, answer = server.post("/api/v1/envs/prod/run", token, rev="v1", digest="0" * 64, confirm="prod")
    wait_for("another plan is not asked about", lambda: pending() == [], seconds=60)
    with server.connect(timeout=30) as stream:  # a page that looks on
        stream.sendall(f"GET /events?env=prod HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        told = stream.recv(1 << 16)
        status, answer = server.post("/api/v1/envs/prod/rollback", token, to="v2", confirm="prod")
        assert status == 202 and answer["pending"] and answer["look"], answer
        while b"event: queue" not in told:  # it ended, and whoever showed it as waiting asks anew
            told += stream.recv(1 << 16)
        assert pending() == []
    assert '"nodes":0' in server.get(f"/api/v1/orders/{answer['look']}", token)[1]["output"]
    status, answer = server.post("/api/v1/envs/prod/rollback", token, confirm="prod")
    last = server.get("/api/v1/envs/prod", token)[1]["last"]["release"]
    assert [(p["code"], p["release"]) for p in pending()] == [(answer["pending"], last)]
    assert server.post("/api/v1/cancel", token, code=answer["pending"])[0] == 200
    expect_world(fleet, "v2", finished=False)
