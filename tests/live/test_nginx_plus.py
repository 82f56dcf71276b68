# SPDX-License-Identifier: MIT
"""Releases behind two NGINX Plus: strict stand-ins (tests/lib/nginx_plus.py) that also send requests where their upstreams say; the
API of one is asked from here, with a password, that of the other on its own host, through SSH. The vendor's Python client, unchanged,
works against the same stand-in, and sends what a release sends."""
import json
import os
import subprocess

import pytest

from load import Load
from netscaler import GROUP, Front
from nginx_plus import Plus
from scene import end, expect_world, refused, run, start_release, told, wait_for

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 0, "pillar": {"balancer": "", "min_up": "1"}}
CLIENTS = ["nginxPlusAPI==0.0.2", "urllib3==1.26.*"]
LOGIN = "Basic cmVsZWFzZTpzM2NyZXQtQVA="  # release:s3cret-AP


class Edge:
    """One nginx: its API, and what it sends to the nodes."""

    def __init__(self, fleet, number, ssh_host=None):
        self.fleet, self.ssh_host = fleet, ssh_host
        self.host, self.plus = f"{fleet.net}.{6 + number}", Plus(versions=range(1, 10 if ssh_host is None else 8))
        for n in fleet.nodes:
            self.plus.add(GROUP, n.host, n.port, route=n.id)
        self.plus.login = None if ssh_host else LOGIN
        self.plus.serve(self.host, fleet.base + 84)
        self.front = Front(self.plus, self.host, fleet.base + 86)
        self.front.start()
        self.front.ready.wait()

    @property
    def url(self):
        return f"http://{self.host}:{self.fleet.base + 84}/api" + (f"@{self.ssh_host}" if self.ssh_host else "")

    def block(self, more=""):
        login = "" if self.ssh_host else f', user: release, password: "file:{self.fleet.root}/plus.secret"'
        return f'    - nginx-plus: {{api: ["{self.url}"], upstream: {GROUP}, drain_timeout: 20s{login}{more}}}'

    def states(self):
        with self.plus.lock:
            return {s.conf["route"]: s.shown() for s in self.plus.groups[GROUP]}

    def told(self, node):
        """What was changed of that node's server."""
        number = [n.id for n in self.fleet.nodes].index(node)
        return [json.loads(a["body"]) for a in self.plus.asked if a["method"] == "PATCH" and a["path"].endswith(f"/servers/{number}")]

    def stop(self):
        self.front.stop()
        self.plus.stop()


@pytest.fixture(scope="module")
def edges(fleet):
    fleet.write_secret("plus", "s3cret-AP")
    found = [Edge(fleet, 1), Edge(fleet, 2, fleet.nodes[0].host)]
    write_pillar(fleet, "\n".join(e.block() for e in found))
    yield found
    for e in found:
        e.stop()


def write_pillar(fleet, blocks):
    fleet.write_pillar(balancer=blocks, ssh_port=fleet.nodes[0].ssh_port)


def load_on(fleet, edges, **more):
    return Load(fleet, targets=[f"{e.front.host}:{e.front.port}" for e in edges], rate=60, **more)


def all_up(edges):
    return all(set(e.states().values()) == {"up"} for e in edges)


def test_a_release_loses_no_request(fleet, edges):
    """One of them is reloaded in between and forgets app1's drain, which still has requests to finish; then the release is killed
    with app2 out, and resumed."""
    with load_on(fleet, edges, path="/slow?ms=700") as load:
        process = start_release(fleet, "v2")
        wait_for("app1 is out", lambda: all(e.states()["app1"] == "draining" for e in edges), seconds=60, every=0.005)
        edges[0].plus.order({"reload": 1})
        assert fleet.node("app1").running_rev() != fleet.revs["v2"], "too late to prove anything: app1 was already changed"
        wait_for("app1 is out again", lambda: edges[0].states()["app1"] == "draining", seconds=20, every=0.005)
        wait_for("app2 is out", lambda: all(e.states()["app2"] == "draining" for e in edges), seconds=60, every=0.005)
        process.kill()
        end(process, fleet)
        result = run(fleet, "resume", "--yes", "prod")
    assert load.report["failed"] == 0, (load.report, told(result))
    expect_world(fleet, "v2")
    assert all_up(edges)
    edges[1].of_a_release = {(a["method"], a["path"].replace("/api/7/", "/api/6/")) for a in edges[1].plus.asked}
    assert [list(e.told("app2")) for e in edges] == 2 * [[{"drain": True}, {"down": False}]]
    for name in (fleet.state, f"{fleet.state}-wal"):
        if os.path.exists(name):
            with open(name, "rb") as f:
                assert b"s3cret-AP" not in f.read()
    rows = [json.loads(line) for line in run(fleet, "lb", "--json", "prod").stdout.splitlines()]
    assert {(r["balancer"], r["server"], r["state"], r["errors"]) for r in rows} == {(e.url, n.id, "up", 0) for e in edges for n in fleet.nodes}
    assert sum(r["requests"] for r in rows) >= load.report["sent"]


def test_what_is_wrong_is_told_before_anything_is_touched(fleet, edges):
    check, before = ["run", "--rev", "v1", "--yes", "prod"], [len(e.told("app1") + e.told("app2")) for e in edges]
    fleet.write_secret("plus", "wrong-pw-0")
    assert "wrong-pw-0" not in refused(fleet, check, 6, "status 401", "`user:`, `password:`")
    fleet.write_secret("plus", "s3cret-AP")
    edges[1].plus.write = False
    refused(fleet, check, 6, edges[1].url, "api write=on")
    edges[1].plus.write = True
    write_pillar(fleet, edges[1].block(', server: "{node}x"'))
    refused(fleet, check, 6, "no server \"app1x\"", "app1, app2")
    write_pillar(fleet, "\n".join(e.block() for e in edges))
    assert [len(e.told("app1") + e.told("app2")) for e in edges] == before


@pytest.fixture(scope="module")
def client():
    """A Python with the vendor's client, kept in the build directory; skipped where it cannot be had."""
    directory = os.path.join(os.environ.get("BUILD_DIR", "/tmp"), "nginx-plus-client")
    if not os.path.exists(f"{directory}/made"):
        for step in (["/usr/bin/python3", "-m", "venv", "--clear", directory],
                     [f"{directory}/bin/python3", "-m", "pip", "install", "-q", *CLIENTS]):
            done = subprocess.run(step, capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                pytest.skip(f"{' '.join(step[1:])}: {done.stderr[-300:]}")
        open(f"{directory}/made", "w").close()
    return f"{directory}/bin/python3"


SCRIPT = """
import json, sys
from nginxPlusAPI import Client
api = Client(sys.argv[1]).HTTPUpstreams
out = [len(api.getUpstreamServers("shop")), len(api.getUpstream("shop").peers), api.setServerDrain("shop", 0).drain]
out.append(api.getUpstream("shop").peers[0].state)
out += [hasattr(api.setServerUp("shop", 0), "drain"), api.getUpstream("shop").peers[0].state, hasattr(api.getUpstream("nosuch"), "error")]
try:
    api.setServerDrain("shop", 9)
except BaseException as e:
    out.append("UpstreamServerNotFound" in str(e))
print(json.dumps(out))
"""


def test_the_vendors_client_sends_what_a_release_sends(fleet, edges, client):
    """Questions and changes of both have the same methods and paths, and the same states come of them."""
    plus, ours = edges[1].plus, edges[1].of_a_release
    plus.asked.clear()
    done = subprocess.run([client, "-c", SCRIPT, edges[1].url.split("/api")[0]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [2, 2, True, "draining", False, "up", True, True]
    theirs = {(a["method"], a["path"]) for a in plus.asked if "nosuch" not in a["path"] and not a["path"].endswith("/9")}
    assert len(theirs) == 3 and theirs <= ours, (theirs, ours)
    changes = [json.loads(a["body"]) for a in plus.asked if a["method"] == "PATCH"][:2]
    assert changes == [{"drain": "true"}, {"down": "false"}]  # as texts, which the API takes, too
