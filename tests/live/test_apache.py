# SPDX-License-Identifier: MIT
"""Two real Apaches as the balancers of one fleet: the manager of one answers to this machine, with a password, that of the other
to its own host alone, through SSH."""
import json
import os
import re
import shutil
import signal
import urllib.request

import pytest

from daemons import can_connect, spawn, wait_for
from load import Load
from scene import end, expect_world, refused, run, signal_when, start_release, told

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 0, "pillar": {"balancer": ""}}
MODULES = "mpm_event authz_core authz_host proxy proxy_http slotmem_shm proxy_balancer lbmethod_byrequests".split()
LOGIN = "Basic cmVsZWFzZTpzM2NyZXQtQVA="  # release:s3cret-AP
CONFIG = """ServerRoot {dir}
DefaultRuntimeDir {dir}
ServerName edge
PidFile {dir}/pid
ErrorLog {dir}/error.log
{user}
{modules}
Listen {host}:{port}
Listen {manager}
StartServers 1
ServerLimit 4
ThreadsPerChild 50
MaxRequestWorkers 200
GracefulShutdownTimeout 1
<Proxy balancer://site>
{members}
</Proxy>
<VirtualHost {host}:{port}>
  ProxyPass / balancer://site/
</VirtualHost>
<VirtualHost {manager}>
  <Location /balancer-manager>
    SetHandler balancer-manager
    {require}
  </Location>
</VirtualHost>
"""


class Edge:
    """An Apache on an address of the fleet's own."""

    def __init__(self, fleet, number, ssh_host=None):
        self.fleet, self.ssh_host = fleet, ssh_host
        self.dir = f"{fleet.dir}/apache{number}"
        self.host, self.port = f"{fleet.net}.{6 + number}", fleet.base + 80
        self.manager = f"{self.host}:{fleet.base + 84}"
        os.makedirs(self.dir, mode=0o711)
        self.write("httpd.conf", CONFIG.format(
            dir=self.dir, host=self.host, port=self.port, manager=self.manager,
            require="Require local" if ssh_host else f"Require expr %{{HTTP:Authorization}} == '{LOGIN}'",
            user="User nobody\nGroup nogroup" if os.getuid() == 0 else "",
            modules="\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in MODULES),
            members="\n".join(f"  BalancerMember http://{n.host}:{n.port} route={n.id} retry=1" for n in fleet.nodes)))
        self.process = spawn(fleet.dir, f"apache{number}", ["apache2", "-f", f"{self.dir}/httpd.conf", "-DFOREGROUND"])
        wait_for("Apache listens", lambda: can_connect(self.host, self.port))

    @property
    def url(self):
        return f"http://{self.manager}/balancer-manager" + (f"@{self.ssh_host}" if self.ssh_host else "")

    def write(self, name, text):
        with open(f"{self.dir}/{name}", "w") as f:
            f.write(text)

    def flags(self):
        """{member: its flags}, in the words of the manager's XML."""
        request = urllib.request.Request(f"http://{self.manager}/balancer-manager?xml=1", headers={
            "Referer": f"http://{self.manager}/", "Authorization": LOGIN})
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read().decode()
        found = re.findall(r"<httpd:status>(.*?) </httpd:status>.*?<httpd:route>(.*?)</httpd:route>", text, re.S)
        return {route: flags for flags, route in found}

    def block(self, more=""):
        login = "" if self.ssh_host else f', user: release, password: "file:{self.fleet.root}/apache.secret"'
        return f'    - apache: {{manager: ["{self.url}"], balancer: site, drain_timeout: 20s{login}{more}}}'


@pytest.fixture(scope="module")
def edges(fleet):
    if not shutil.which("apache2"):
        pytest.skip("apache2-bin is not installed")
    fleet.write_secret("apache", "s3cret-AP")
    found = [Edge(fleet, 1), Edge(fleet, 2, fleet.nodes[0].host)]
    write_pillar(fleet, "\n".join(e.block() for e in found))
    return found


def write_pillar(fleet, blocks):
    fleet.write_pillar(balancer=blocks, ssh_port=fleet.nodes[0].ssh_port, stages="[100%]",
                       check='{url: "http://{host}:{port}/health", status: 200, expect: "ok", within: 8s}')


def load_on(fleet, edges, **more):
    return Load(fleet, targets=[f"{e.host}:{e.port}" for e in edges], rate=80, repeat_kept=True, **more)


def all_ok(edges):
    return all(e.flags() == {n.id: "Init Ok" for n in e.fleet.nodes} for e in edges)


def out_of_all(edges):
    return lambda _, node, __: all("Drn" in e.flags()[node.id] for e in edges)


def test_a_release_that_is_killed_loses_no_request(fleet, edges):
    """Kept connections and slow requests through both; the controller dies with app2 out of both."""
    with load_on(fleet, edges, path="/slow?ms=300") as load:
        process = start_release(fleet, "v2")
        signal_when(fleet, process, "v2", "app2", out_of_all(edges))
        end(process, fleet)
        result = run(fleet, "resume", "--yes", "prod")
    assert load.report["failed"] == 0, (load.report["first_failure"], told(result))
    assert load.report["ok"] > 200, load.report
    expect_world(fleet, "v2")
    assert all_ok(edges)
    rows = [json.loads(line) for line in run(fleet, "lb", "--json", "prod").stdout.splitlines()]
    assert {(r["balancer"], r["server"], r["admin"]) for r in rows} == {(e.url, n.id, "ready") for e in edges for n in fleet.nodes}
    assert sum(r["requests"] for r in rows) >= load.report["sent"]
    for name in (fleet.state, f"{fleet.state}-wal"):
        if os.path.exists(name):
            with open(name, "rb") as f:
                text = f.read()
            assert b"s3cret-AP" not in text and b"cmVsZWFzZTpzM2NyZXQtQVA" not in text


def test_a_reload_that_forgot_the_drain_is_put_right(fleet, edges):
    """The slow requests of before keep app1 from being idle. What runs in the Apache of before is not counted any more, so nothing is said of
    requests here."""
    node = fleet.node("app1")
    with load_on(fleet, edges, path="/slow?ms=1500"):
        process = start_release(fleet, "v1")
        signal_when(fleet, edges[0].process, "v1", "app1", out_of_all(edges), signal.SIGUSR1)
        assert node.running_rev() == fleet.revs["v2"], "too late to prove anything: app1 was already changed"
        assert end(process, fleet) == 0, fleet.log("release.out")[-3000:] + fleet.log("release.err")[-2000:]
    assert "balancers forgot a drain" in fleet.log("release.out")
    expect_world(fleet, "v1")
    assert all_ok(edges)


def test_what_is_wrong_is_told_before_anything_is_touched(fleet, edges):
    check = ["run", "--rev", "v2", "--yes", "prod"]
    fleet.write_secret("apache", "wrong-pw-0")
    assert "wrong-pw-0" not in refused(fleet, check, 6, "status 403", "`user:`, `password:`")
    fleet.write_secret("apache", "s3cret-AP")
    for blocks, words in (
            (edges[0].block().replace("balancer: site", "balancer: nosuch"), ["no balancer \"nosuch\"", "it has site"]),
            (edges[1].block(', server: "{node}x"'), ["no member \"app1x\"", "app1, app2"]),
            (edges[1].block().replace("-manager@", "@"), ["status 404"])):
        write_pillar(fleet, blocks)
        refused(fleet, check, 6, *words)
    assert all_ok(edges)
