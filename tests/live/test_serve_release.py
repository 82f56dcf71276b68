# SPDX-License-Identifier: MIT
"""A real release ordered over the API: who and from where, the lock, pause, resume, rollback; a server killed on the way
changes nothing, and the next one takes up what it left."""
import json

import scene
from daemons import wait_for
from load import Load
from scene import expect_world, run
from serving import Serving

FLEET = {"varnish": None, "n_nodes": 3}


def order(server, verb, token, **body):
    """Gives an order that must be taken; its number."""
    status, answer = server.post(f"/api/v1/envs/prod/{verb}", token, **body)
    assert status == 202, (status, answer, server.log())
    return answer["order"]


def ended(server, number, token, seconds=120):
    """The order once it has ended."""
    def look():
        o = server.get(f"/api/v1/orders/{number}", token)[1]
        return o if o["ended"] else None
    return wait_for(f"order {number} ends", look, seconds=seconds)


def release_of(server, number, token):
    return wait_for("the order has a release",
                    lambda: server.get(f"/api/v1/orders/{number}", token)[1]["release"], seconds=60)


def test_a_release_over_the_api_outlives_its_server(fleet):
    with Load(fleet, rate=50) as load:
        server = Serving(fleet).start()
        token = server.token("ci", "operator")
        number = order(server, "run", token, rev=fleet.revs["v2"], confirm="prod")
        release = release_of(server, number, token)
        lock = server.get("/api/v1/envs/prod", token)[1]["lock"]
        assert (lock["who"], lock["release"], lock["holder"]) == ("api:ci", release, "alive"), lock
        server.kill()
        with Serving(fleet) as again:
            assert again.get(f"/api/v1/orders/{number}", token)[1]["ended"] is None
            o = ended(again, number, token)
            assert (o["exit"], o["release"], o["who"], o["via"]) == (0, release, "api:ci", "api"), o
            assert o["from"].startswith("127.") and "done" in o["output"], o
            look_at(again, release, token, fleet.revs["v2"])
    assert load.problems() == []
    expect_world(fleet, "v2")


def look_at(server, release, token, rev):
    r = server.get(f"/api/v1/releases/{release}", token)[1]
    assert (r["who"], r["exit"], r["rev"]) == ("api:ci", 0, rev), r
    assert r["nodes"] == ["app1", "app2", "app3"] and r["steps"][0]["label"]
    m = server.get(f"/api/v1/releases/{release}/model", token)[1]
    assert m["ended"] and m["counts"]["done"] == 3, m
    t = server.get(f"/api/v1/releases/{release}/timeline", token)[1]
    assert {s["node"] for s in t["spans"]} == {"app1", "app2", "app3"}
    assert min(p["up"] for p in t["capacity"]) >= t["floor"]


def test_pause_and_the_way_back(fleet):
    with Serving(fleet) as server:
        token = server.token("boss", "operator")
        first = order(server, "run", token, rev=fleet.revs["v1"], confirm="prod")
        release = release_of(server, first, token)
        app1 = fleet.nodes[0]
        wait_for("the first node is stopped", lambda: scene.stopped(fleet, app1, ""), seconds=60, every=0.02)
        order(server, "pause", token)
        assert ended(server, first, token)["exit"] == 130
        status, answer = server.post("/api/v1/envs/prod/pause", token)
        assert (status, answer["error"]["code"]) == (409, "state"), answer
        env = server.get("/api/v1/envs/prod", token)[1]
        assert env["unfinished"]["release"] == release and env["lock"] is None, env
        o = ended(server, order(server, "rollback", token, confirm="prod"), token)
        assert (o["exit"], o["release"]) == (0, release), o
        given = [(x["verb"], x["who"]) for x in server.get("/api/v1/orders?env=prod&limit=3", token)[1]]
        assert given == [("rollback", "api:boss"), ("pause", "api:boss"), ("run", "api:boss")]
    expect_world(fleet, "v2", finished=False)


def brief_of(o):
    """The object of a look, behind what was said on the way."""
    assert o["exit"] == 0, o
    return json.loads(next(line for line in o["output"].split("\n") if line.startswith('{"kind":"brief"')))


def test_back_to_a_moment_and_to_a_revision(fleet):
    """What `release rollback --before` and `--to` do, with their words, looked at first and bound to what was seen."""
    v1, v2 = fleet.revs["v1"], fleet.revs["v2"]
    with Serving(fleet) as server:
        token = server.token("back", "operator")
        for body, option in (({"to": "v1", "before": 1}, ["--to", "v1", "--before", "1"]), ({"before": 99}, ["--before", "99"])):
            status, answer = server.post("/api/v1/envs/prod/rollback", token, confirm="prod", **body)
            typed = run(fleet, "rollback", *option, "--yes", "prod", status=2).stderr
            assert (status, f"release: {answer['error']['text']}\n") == (400, typed), (answer, typed)
        assert server.post("/api/v1/envs/prod/rollback", token, confirm="prod", before=0)[0] == 400
        run(fleet, "lock", "--reason", "a look takes none", "prod")
        brief = brief_of(ended(server, order(server, "plan", token, before=1), token))
        run(fleet, "unlock", "prod")
        assert (brief["nodes"], brief["about"]) == (3, "every node to what it ran before release 1"), brief
        assert [(c["from"], c["to"], c["direction"]) for c in brief["changes"]] == [(v2, v1, "backward")], brief
        o = ended(server, order(server, "rollback", token, before=1, digest="0" * 64, confirm="prod"), token)
        assert o["exit"] == 6 and "not the one that was confirmed" in o["output"], o
        o = ended(server, order(server, "rollback", token, before=1, digest=brief["digest"], confirm="prod"), token)
        assert o["exit"] == 0, o
        expect_world(fleet, "v1")
        assert brief_of(ended(server, order(server, "plan", token, to="v1"), token))["nodes"] == 0
        o = ended(server, order(server, "rollback", token, to="v2", exclude="app3", confirm="prod"), token)
        assert o["exit"] == 0 and [n.running_rev() for n in fleet.nodes] == [v2, v2, v1], o


def test_plan_lock_and_what_only_the_world_knows(fleet):
    with Serving(fleet) as server:
        token = server.token("looker", "operator")
        o = ended(server, order(server, "plan", token, rev=fleet.revs["v1"]), token)
        assert o["exit"] == 0 and "app1" in o["output"], o
        o = ended(server, order(server, "lock", token, reason="move <b>until</b> 14:00"), token)
        assert o["exit"] == 0, o
        lock = server.get("/api/v1/envs/prod", token)[1]["lock"]
        assert (lock["holder"], lock["who"], lock["why"]) == ("by-hand", "api:looker", "move <b>until</b> 14:00")
        o = ended(server, order(server, "run", token, rev=fleet.revs["v2"], confirm="prod"), token)
        assert o["exit"] == 3 and "api:looker" in o["output"], o
        assert ended(server, order(server, "unlock", token), token)["exit"] == 0
        servers = server.get("/api/v1/envs/prod/lb", token)[1]["servers"]
        assert {s["server"] for s in servers} == {"app1", "app2", "app3"} and all(s["serving"] for s in servers)
        nodes = server.get("/api/v1/envs/prod/drift", token)[1]["nodes"]
        assert [n["drift"] for n in nodes] == ["none"] * 3, nodes
