# SPDX-License-Identifier: MIT
"""A real nginx as the balancer, behind the program that docs/examples ships: what the contract promises for HAProxy holds
for it."""
import os
import re
import shutil
import signal

import pytest

import scene
from daemons import can_connect, spawn, wait_for
from load import Load
from scene import end, expect_world, refused, release_that_dies, run, start_release, texts, told

FLEET = {"varnish": None, "n_nodes": 3, "balancers": 0, "pillar": {"balancer": ""}}
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "examples", "balancer-nginx")
CONFIG = """daemon off;
{user}
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_processes 2;
worker_shutdown_timeout 60s;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    include {dir}/upstreams.conf;
    server {{
        listen {host}:{port} reuseport;
        location / {{ proxy_pass http://site; proxy_next_upstream off; proxy_read_timeout 60s; }}
    }}
}}
"""


class Balancer:
    def __init__(self, fleet):
        self.fleet, self.dir = fleet, f"{fleet.dir}/nginx-lb"
        self.host, self.port = f"{fleet.net}.7", fleet.base + 80
        os.makedirs(self.dir, mode=0o700)
        self.file = f"{self.dir}/upstreams.conf"
        rows = "\n".join(f"    server {n.host}:{n.port} weight=2; # {n.id}" for n in fleet.nodes)
        self.write(self.file, f"upstream site {{\n{rows}\n}}\n")
        self.write(f"{self.dir}/nginx.conf", CONFIG.format(
            dir=self.dir, host=self.host, port=self.port, user="user root;" if os.getuid() == 0 else ""))
        self.process = spawn(fleet.dir, "nginx-lb", ["nginx", "-p", self.dir, "-e", f"{self.dir}/error.log", "-c",
                                                     f"{self.dir}/nginx.conf"])
        wait_for("nginx listens", lambda: can_connect(self.host, self.port))

    @staticmethod
    def write(path, text):
        with open(f"{path}.t", "w") as f:
            f.write(text)
        os.rename(f"{path}.t", path)

    def rows(self):
        """{server: "down" or "up weight"}, as the file says that nginx reads."""
        with open(self.file) as f:
            found = re.findall(r"server \S+ weight=(\d+)( down)?; # (\S+)", f.read())
        return {name: "down" if down else f"up {weight}" for weight, down, name in found}

    def block(self, more=""):
        return (f'    command: {{program: ["/usr/bin/python3", "{PROGRAM}", "{self.file}", "{self.dir}/nginx.pid"], '
                f'balancers: [edge], backend: site, drain_timeout: 20s, wait_up_timeout: 15s{more}}}')


@pytest.fixture(scope="module")
def edge(fleet):
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    balancer = Balancer(fleet)
    fleet.write_pillar(balancer=balancer.block())
    return balancer


def load_on(fleet, edge, **more):
    return Load(fleet, targets=[f"{edge.host}:{edge.port}"], rate=60, **more)


def test_a_release_behind_nginx_that_dies_three_times_loses_no_request(fleet, edge):
    with load_on(fleet, edge, path="/slow?ms=300") as load:
        result = release_that_dies(fleet, "v2", "command.drain:1", "command.enable:1", "commit-after:9")
    assert load.report["failed"] == 0, (load.report, told(result))
    expect_world(fleet, "v2")
    assert edge.rows() == {n.id: "up 2" for n in fleet.nodes}
    shown = run(fleet, "lb", "prod")
    assert sorted(line.split()[:3] for line in shown.stdout.splitlines()[1:]) == [
        ["edge", "site", n.id] for n in fleet.nodes], told(shown)


def test_a_forgotten_drain_is_put_right(fleet, edge):
    """Somebody's configuration management writes the file as it was, while app2 has a request to finish."""
    with open(edge.file) as f:
        full = f.read()
    node = fleet.node("app2")
    with load_on(fleet, edge, path="/slow?ms=2500", connections=200) as load:
        process = start_release(fleet, "v1")
        scene.wait_for("app2 drained", lambda: "app2: command.drain: ok" in fleet.log("release.out"), seconds=90, every=0.005)
        edge.write(edge.file, full)
        os.kill(edge.process.pid, signal.SIGHUP)
        assert node.running_rev() == fleet.revs["v2"], "too late to prove anything: app2 was already changed"
        scene.wait_for("nginx is told again", lambda: edge.rows()["app2"] == "down", seconds=10, every=0.005)
        assert end(process, fleet, 180) == 0, texts(fleet)
    assert load.report["failed"] == 0, load.report
    expect_world(fleet, "v1")
    assert edge.rows() == {n.id: "up 2" for n in fleet.nodes}


def test_what_it_cannot_is_told_before_anything_is_touched(fleet, edge):
    fleet.write_pillar(balancer=edge.block(", on_timeout: kill"))
    refused(fleet, ["run", "--rev", "v2", "--yes", "prod"], 6, "on_timeout: kill", "cannot end sessions")
    fleet.write_pillar(balancer=edge.block().replace("backend: site", "backend: nosuch"))
    refused(fleet, ["run", "--rev", "v2", "--yes", "prod"], 6, "edge", "nosuch")
    fleet.write_pillar(balancer=edge.block().replace('"/usr/bin/python3", ', '').replace(PROGRAM, "balancer"))
    refused(fleet, ["check", "prod"], 2, "whole path")
    fleet.write_pillar(balancer=edge.block())
