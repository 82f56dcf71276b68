# SPDX-License-Identifier: MIT
"""docs/api.md is what the server does: every example runs, every table names the keys that come. And streams lose nothing, metrics
are what Prometheus reads, hostile text stays text."""
import json
import os
import re
import sqlite3
import subprocess
import time

import pytest

import synthetic
from daemons import wait_for
from serving import Place, Serving

HERE = os.path.dirname(os.path.abspath(__file__))
DOC = os.path.join(HERE, "..", "..", "docs", "api.md")
HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m\"'&"


def plan(n, window=2):
    with open(os.path.join(HERE, "..", "lib", "frozen_plan.json")) as f:
        return synthetic.plan_of(json.load(f), n, window)


def with_roles(plan):
    """Its first node is a worker without a balancer."""
    role = {"max_failed": 0, "soak_ms": 0}
    plan["roles"] = [dict(role, name="worker", window=1, min_up=0),
                     dict(role, name="web", window=plan["window"], min_up=plan["min_up"], capacity_step=plan["capacity_step"])]
    for node in plan["nodes"][1:]:
        node["role"] = 1
    return plan


@pytest.fixture(scope="module")
def place():
    p = Place()
    p.write("pillar/prod.sls", "release: {app: site}\n")
    yield p
    p.remove()


@pytest.fixture(scope="module")
def server(place):
    s = Serving(place).start()
    s.who = s.token("ci", "operator")
    first = synthetic.Writer(place.state, with_roles(plan(8)), env="prod", at_ms=1700000000000)
    rows = synthetic.rolling(plan(8), failing=["web2"])
    first.write(rows)
    first.output(5000, "web1", 0, HOSTILE.encode() + b"\n")
    first.output(5001, "web1", 0, b"\xff\xfe\x1b\n")
    first.end(rows[-1][0], 4, HOSTILE)
    second = synthetic.Writer(place.state, plan(9), env="prod")
    second.write(synthetic.rolling(plan(9))[:40])
    second.hold()
    number = s.post("/api/v1/envs/prod/plan", s.who, rev="f5d9859")[1]["order"]
    wait_for("the order has ended", lambda: s.get(f"/api/v1/orders/{number}", s.who)[1]["ended"])
    yield s
    second.free()
    s.stop()


def sections():
    """[(method, path, keys, shell)] of docs/api.md"""
    with open(DOC) as f:
        text = f.read()
    found = []
    for part in re.split(r"^### ", text, flags=re.M)[1:]:
        heading, body = part.split("\n", 1)
        body = re.split(r"^## ", body, flags=re.M)[0]
        method, path = re.match(r"(GET|POST) (\S+?),?(?: .*)?$", heading).groups()
        table = re.search(r"^\| key \| \|\n\|---\|---\|\n((?:\|.*\n?)+)", body, flags=re.M)
        keys = re.findall(r"`([a-z_]+(?:(?:\[\])?\.[a-z_]+)*)`", "\n".join(
            line.split("|")[1] + " " + " ".join(re.findall(r"`[a-z_]+(?:\[\])?\.[a-z_]+`", line))
            for line in table[1].splitlines())) if table else None
        found.append((method, path, keys, re.findall(r"```sh\n(.*?)```", body, flags=re.S)))
    return found


def shell(server, script):
    env = dict(os.environ, URL=server.url, TOKEN=server.who)
    return subprocess.run(["sh", "-ec", script], env=env, capture_output=True, text=True, timeout=90)


def missing(answer, key):
    """Whether a documented key like nodes[].rev is not there."""
    head, _, rest = key.partition(".")
    one = answer[0] if isinstance(answer, list) and answer else answer
    if head.endswith("[]"):
        items = one.get(head[:-2])
        return items is None or (len(items) > 0 and missing(items[0], rest))
    if not isinstance(one, dict) or head not in one:
        return True
    return bool(rest) and one[head] is not None and missing(one[head], rest)


ASKED_OF_THE_WORLD = ("/lb", "/drift")  # no fleet here: tests/live/test_serve_release.py asks a real one


def test_every_example_runs_and_every_key_is_there(server):
    done = 0
    for method, path, keys, scripts in sections():
        for script in scripts:
            result = shell(server, script)
            if path.endswith(ASKED_OF_THE_WORLD):
                assert "502" in result.stderr, (path, result)
                continue
            assert result.returncode == 0, (path, result)
            if keys is not None:
                answer = json.loads(result.stdout)
                assert not [k for k in keys if missing(answer, k)], (path, answer)
                one = answer[0] if isinstance(answer, list) else answer
                assert set(one) <= {k.split(".")[0].removesuffix("[]") for k in keys}, (path, "keys that are not documented")
            done += 1
    assert done >= 20


def test_a_release_says_what_holds_for_each_of_its_roles(server):
    assert server.get("/api/v1/releases/1", server.who)[1]["roles"] == [
        {"name": "worker", "nodes": 1, "window": 1, "min_up": 0}, {"name": "web", "nodes": 7, "window": 2, "min_up": 4}]
    assert server.get("/api/v1/releases/2", server.who)[1]["roles"] == []


def test_every_route_is_documented(server):
    """Of the API's own; /chat and the page have pages of their own."""
    documented = {(m, re.sub(r"\b(ENV|N|ID)\b", "{}", p)) for m, p, _, _ in sections()}
    documented |= {("POST", "/api/v1/envs/{}/abort"), ("POST", "/login"), ("POST", "/logout")}
    source = ""
    folder = os.path.join(HERE, "..", "..", "engine", "serve")
    for name in ("api_env", "api_release", "api_plan", "api_order", "ask", "events", "metrics", "status", "auth"):
        with open(os.path.join(folder, name + ".c")) as f:
            source += f.read()
    routes = set(re.findall(r'\.method = "(\w+)",\s*\.pattern = "([^"]+)"', source)) - {("POST", "/api/v1/envs/{env}/")}
    verbs = re.search(r"#define ORDER_VERBS\(X\) (.*)", source)[1]
    routes |= {("POST", f"/api/v1/envs/{{env}}/{v}") for v in re.findall(r"X\((\w+)\)", verbs)}
    undocumented = {(m, re.sub(r"\{\w+\}", "{}", p)) for m, p in routes} - documented
    assert not undocumented


def test_metrics_are_what_prometheus_reads(server):
    text = server.request("GET", "/metrics")[2]
    result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30)
    assert result.returncode == 0 and not result.stderr, result
    for line in (b'release_releases_total{env="prod",kind="release",exit="4"} 1', b'release_lock_held{env="prod"} 1',
                 b'release_running{env="prod"} 1', b'release_duration_seconds_count{env="prod",kind="release"} 1'):
        assert line in text, text.decode()


def test_hostile_text_is_text(server):
    status, headers, body = server.request("GET", "/api/v1/releases/1/output", server.who)
    assert headers["content-type"] == "application/json"
    assert b"\\u001b" in body.lower() and b"\x1b" not in body and b"\\u202e" in body.lower()
    pieces = [o["data"] for o in json.loads(body)["output"]]
    assert pieces == [HOSTILE + "\n", "\\xff\\xfe\\x1b\n"]
    assert json.loads(server.request("GET", "/api/v1/releases/1", server.who)[2])["summary"] == HOSTILE
    _, headers, page = server.request("GET", "/release/1", headers={"Cookie": server.login(server.who)[0]})
    assert b"<script>alert" not in page and "text/html" in headers["content-type"]
    _, _, page = server.request("GET", "/release/1/report", headers={"Cookie": server.login(server.who)[0]})
    assert b"<script>alert" not in page and b"&lt;script&gt;alert" in page and b"nodes in rotation" in page
    _, _, page = server.request("GET", "/env/prod/stats", headers={"Cookie": server.login(server.who)[0]})
    assert b"time to restore" in page


def test_words_of_another_order_are_refused_by_name(server):
    def orders():
        return [o["id"] for o in server.get("/api/v1/orders", server.who)[1]]
    before = orders()
    for verb, word in (("resume", {"to": "v1"}), ("resume", {"release": 1}), ("run", {"rev": "f5d9859", "release": 1}),
                       ("lock", {"reason": "x", "digest": "0" * 64})):
        status, answer = server.post(f"/api/v1/envs/prod/{verb}", server.who, **word, **{} if verb == "lock" else {"confirm": "prod"})
        name = list(word)[-1]
        assert status == 400 and f"{verb}: '{name}' is not taken" in answer["error"]["text"], (verb, word, answer)
    assert orders() == before


def test_who_is_not_logged_in_is_told_nothing_of_what_there_is(server):
    assert b'data-apps="0"' in server.request("GET", "/login")[2]
    assert b'data-apps="1"' in server.request("GET", "/", headers={"Cookie": server.login(server.who)[0]})[2]


def events(server, query, last=None, until=None, seconds=10):
    """[(id, event, data)] of a stream, until `until` says so of them."""
    lines = f"GET /events?{query} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.who}\r\n"
    if last is not None:
        lines += f"Last-Event-ID: {last}\r\n"
    text, found, end = b"", [], time.monotonic() + seconds
    with server.connect(timeout=1) as s:
        s.sendall((lines + "\r\n").encode())
        while time.monotonic() < end:
            try:
                chunk = s.recv(1 << 20)
            except TimeoutError:
                continue
            if not chunk:
                break
            text += chunk
            found = parse(unchunked(text))
            if until(found):
                return found
    raise AssertionError(f"{len(found)} events, the last {found[-1:]}")


def unchunked(text):
    body, out = text.split(b"\r\n\r\n", 1)[1] if b"\r\n\r\n" in text else b"", b""
    while b"\r\n" in body:
        size, rest = body.split(b"\r\n", 1)
        n = int(size, 16)
        if n == 0 or len(rest) < n + 2:
            break
        out, body = out + rest[:n], rest[n + 2:]
    return out.decode()


def parse(text):
    found = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((int(fields["id"]) if "id" in fields else None, fields["event"], json.loads(fields["data"])))
    return found


def rows_of(found):
    return [i for i, kind, _ in found if kind == "row"]


@pytest.fixture
def empty_place():
    p = Place()
    p.write("pillar/test.sls", "release: {app: site}\n")
    yield p
    p.remove()


def test_health_is_the_journals(empty_place):
    with Serving(empty_place, name="health") as s:
        assert s.get("/healthz")[0] == 200
        os.rename(f"{empty_place.dir}/state", f"{empty_place.dir}/gone")
        status, answer = s.get("/healthz")
        assert (status, answer["error"]["code"]) == (503, "journal")
        os.rename(f"{empty_place.dir}/gone", f"{empty_place.dir}/state")
        token = s.token("after", "operator")
        number = s.post("/api/v1/envs/test/lock", token, reason="it is back")[1]["order"]
        assert wait_for("the order ends", lambda: s.get(f"/api/v1/orders/{number}", token)[1]["ended"])
        assert s.get(f"/api/v1/orders/{number}", token)[1]["exit"] == 0


def test_a_look_that_finds_nothing_since_says_so_as_an_object(empty_place):
    """Before a task nothing was released since: what the page and the bots read is there all the same."""
    with Serving(empty_place, name="since") as s:
        token = s.token("looks", "operator")
        task = synthetic.Writer(empty_place.state, plan(8), env="test", kind="task")
        task.end(1000)
        number = s.post("/api/v1/envs/test/plan", token, before=task.release)[1]["order"]
        wait_for("the look has ended", lambda: s.get(f"/api/v1/orders/{number}", token)[1]["ended"])
        order = s.get(f"/api/v1/orders/{number}", token)[1]
        assert order["exit"] == 0 and "nothing was released to test since task" in order["output"], order
        brief = json.loads([line for line in order["output"].splitlines() if line.startswith("{")][0])
        assert (brief["kind"], brief["what"], brief["env"], brief["nodes"]) == ("brief", "rollback", "test", 0), brief
        assert brief["about"] == f"every node to what it ran before release {task.release}", brief


def test_an_order_that_was_not_begun_is_known_as_such(empty_place):
    """A server that died between the row and the process: nothing was done, and the next server says so."""
    place = empty_place
    with Serving(place, name="first") as s:
        token = s.token("ops", "viewer")
    db = sqlite3.connect(place.state)
    host = os.uname().nodename
    db.execute("INSERT INTO orders (id, at_ms, env, verb, who, via, place, argv, host) "
               "VALUES (7, 1700000000000, 'test', 'run', 'api:ci', 'api', '127.0.0.1', '[]', ?)", (host,))
    db.execute("INSERT INTO orders (id, at_ms, env, verb, who, via, place, argv, host) "
               "VALUES (8, 1700000000000, 'test', 'run', 'api:ci', 'api', '127.0.0.1', '[]', ?)", (host,))
    with open("/proc/sys/kernel/random/boot_id") as f:
        boot = f.read().strip()
    db.execute("INSERT INTO order_events VALUES (1, 8, 'start', 1700000000000, 0, 4194000, 12, ?, -1, '')", (boot,))
    db.commit()
    db.close()
    with open(f"{place.dir}/state/orders/8.rc", "w") as f:
        f.write("4\n")  # what its process left
    with Serving(place, name="second") as s:
        wait_for("both have ended", lambda: all(o["ended"] for o in s.get("/api/v1/orders", token)[1]))
        assert s.get("/api/v1/orders/8", token)[1]["exit"] == 4
        o = s.get("/api/v1/orders/7", token)[1]
        assert o["exit"] is None and "nothing was done" in o["text"]


def test_streams_lose_nothing_over_breaks_and_restarts(empty_place):
    place = empty_place
    with Serving(place, name="streams") as s:
        s.who = s.token("streamer", "viewer")
        w = synthetic.Writer(place.state, plan(8), env="test")
        rows = synthetic.rolling(plan(8))
        w.write(rows[:100])
        query = f"release={w.release}&env=test&after=0"
        first = events(s, query, until=lambda f: len(rows_of(f)) == 100)
        assert (None, "lock", {"env": "test", "lock": None}) in first
        cut = rows_of(first)[59]
        again = events(s, query, last=cut, until=lambda f: len(rows_of(f)) == 40)
        assert rows_of(again)[0] == rows_of(first)[60]
    with Serving(place, name="streams2") as s:
        s.who = s.token("streamer2", "viewer")
        w.write(rows[100:])
        rest = events(s, query, last=rows_of(first)[-1], until=lambda f: len(rows_of(f)) == len(rows) - 100)
        assert rows_of(first) + rows_of(rest) == sorted(set(rows_of(first) + rows_of(rest)))
        live = {}

        def meanwhile(found):
            if not live and found:  # the stream is open: what happens now must come
                live["lock"] = place.release("lock", "test", "--reason", "now", "--operator", "slack:ann")
                assert live["lock"].returncode == 0, live
            return [d for _, kind, d in found if kind == "lock" and d["lock"]]
        found = events(s, "env=test", until=meanwhile)
        assert found[-1][2]["lock"]["who"] == "slack:ann"
        place.release("unlock", "test")
        assert not [d for _, kind, d in found if d.get("env", "test") != "test"]


def test_sixty_four_streams_and_no_more(server):
    query = head = f"GET /events?release=2 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.who}\r\n\r\n"
    streams = []
    try:
        for _ in range(64):
            s = server.connect(timeout=10)
            s.sendall(head.encode())
            assert b"200 OK" in s.recv(4096)
            streams.append(s)
        assert b"503" in server.raw(query.encode(), timeout=3)[:20]
        assert server.request("GET", "/healthz")[0] == 200
    finally:
        for s in streams:
            s.close()

    def gone():  # although nothing is written to them
        return b"release_event_streams 0" in server.request("GET", "/metrics")[2]
    wait_for("closed streams are gone", gone, seconds=8)
