# SPDX-License-Identifier: MIT
"""Two real nginxes as the balancers of one fleet: one on this machine, one reached through SSH, each with its file of servers."""
import os
import re
import shutil
import signal

import pytest

from daemons import can_connect, spawn, wait_for
from load import Load
from scene import end, expect_world, refused, run, signal_when, start_release, told

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 0, "pillar": {"balancer": ""}}
CONFIG = """daemon off;
{user}
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    upstream site {{
        keepalive 8;
        include upstreams/site.conf;
    }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://site; proxy_next_upstream off; proxy_http_version 1.1; proxy_set_header Connection "";
        }}
        location = /status {{ stub_status; }}
    }}
}}
"""


class Edge:
    """An nginx on an address of the fleet's own."""

    def __init__(self, fleet, number, ssh_host):
        self.fleet, self.ssh_host = fleet, ssh_host
        self.dir = f"{fleet.dir}/edge{number}"
        self.host, self.port = f"{fleet.net}.{6 + number}", fleet.base + 80
        self.file, self.conf = f"{self.dir}/upstreams/site.conf", f"{self.dir}/nginx.conf"
        os.makedirs(f"{self.dir}/upstreams", mode=0o700)
        self.before = "".join(["# servers of the site\n", "server 127.0.0.1:9 down max_fails=0;  # spare\n"] +
                              [f"server {n.host}:{n.port} weight=2;  # {n.id}\n" for n in fleet.nodes])
        self.write(self.before)
        with open(self.conf, "w") as f:
            f.write(CONFIG.format(dir=self.dir, host=self.host, port=self.port, user="user root;" if os.getuid() == 0 else ""))
        self.argv = ["nginx", "-p", self.dir, "-e", f"{self.dir}/error.log", "-c", self.conf]
        self.process = spawn(fleet.dir, f"edge{number}", self.argv)
        wait_for("nginx listens", lambda: can_connect(self.host, self.port))

    def write(self, text, path=None):
        path = path or self.file
        with open(f"{path}.t", "w") as f:
            f.write(text)
        os.rename(f"{path}.t", path)

    def text(self):
        with open(self.file) as f:
            return f.read()

    def down(self):
        return re.findall(r"^server .* down\b.*# (\S+)$", self.text(), re.M)

    def block(self):
        return (f'    - nginx: {{hosts: ["{self.ssh_host}"], upstream: site, include: "{self.file}", pid: "{self.dir}/nginx.pid", '
                f'command: {self.argv}, status: "http://{self.host}:{self.port}/status", drain_timeout: 20s}}')


@pytest.fixture(scope="module")
def edges(fleet):
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    found = [Edge(fleet, 1, "localhost"), Edge(fleet, 2, fleet.nodes[0].host)]
    write_pillar(fleet, found)
    return found


def write_pillar(fleet, edges):
    fleet.write_pillar(balancer="\n".join(e.block() for e in edges), ssh_port=fleet.nodes[0].ssh_port, stages="[100%]",
                       check='{url: "http://{host}:{port}/health", status: 200, expect: "ok", within: 8s}')


def load_on(fleet, edges, **more):
    return Load(fleet, targets=[f"{e.host}:{e.port}" for e in edges], rate=80, repeat_kept=True, **more)


def kill_and_forget(fleet, edges):
    """The controller dies with app2 out of both; then somebody writes one of the files as it was, and nginx gets that."""
    process = start_release(fleet, "v2")
    signal_when(fleet, process, "v2", "app2", lambda *_: all(e.down() == ["spare", "app2"] for e in edges))
    end(process, fleet)
    edges[0].write(edges[0].before)
    os.kill(edges[0].process.pid, signal.SIGHUP)


def test_a_release_that_is_killed_loses_no_request_and_leaves_the_files_as_they_were(fleet, edges):
    """Kept connections and slow requests through both nginxes, from the first node to the end of the resume."""
    with load_on(fleet, edges, path="/slow?ms=300") as load:
        kill_and_forget(fleet, edges)
        result = run(fleet, "resume", "--yes", "prod")
    assert load.report["failed"] == 0, (load.report["first_failure"], told(result))
    assert load.report["ok"] > 200, load.report
    expect_world(fleet, "v2")
    assert [e.text() for e in edges] == [e.before for e in edges]
    shown = run(fleet, "lb", "prod")
    rows = [line.split()[:4] for line in shown.stdout.splitlines()[1:]]
    assert sorted(rows) == sorted([e.ssh_host, "site", name, state] for e in edges
                                  for name, state in (("app1", "up"), ("app2", "up"), ("spare", "down"))), told(shown)
    assert "connections:" in shown.stdout, told(shown)


def test_what_is_unfit_is_refused_before_anything_is_touched(fleet, edges):
    check = ["run", "--rev", "v1", "--yes", "prod"]
    with open(edges[1].conf) as f:
        whole = f.read()
    other = f"    upstream other {{ server {fleet.nodes[1].host}:{fleet.nodes[1].port}; }}\n    server {{"
    for text, words in ((whole.replace("include upstreams/site.conf;", "server 127.0.0.1:9;"),
                         (edges[1].file, "not included", "upstream site")),
                        (whole.replace("worker_processes 2;", "worker_processes many;"), ("worker_processes", edges[1].conf)),
                        (whole.replace("    server {", other, 1), ("app2", "other", "does not name"))):
        edges[1].write(text, edges[1].conf)
        refused(fleet, check, 6, *words)
    edges[1].write(whole, edges[1].conf)
    assert [e.text() for e in edges] == [e.before for e in edges]
