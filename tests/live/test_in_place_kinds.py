# SPDX-License-Identifier: MIT
"""A release in place behind balancers of four kinds at once, each of which must be told: a real Apache and a real nginx, and the
stand-ins of NGINX Plus, which sends requests too, and of LVS. The controller dies in between, before its journal knows."""
import os
import shutil
import subprocess

import pytest

import test_apache
import test_nginx_balancer
import test_nginx_plus
from load import Load
from scene import expect_world, release_that_dies, run, told

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 0, "mode": "in-place", "pillar": {"balancer": "", "stages": "[100%]"}}
IPVSADM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "ipvsadm.py")
SERVICE = "10.77.0.100:8080"


class Director:
    """What a director of LVS was told; it sends nothing."""

    def __init__(self, fleet):
        self.dir = f"{fleet.dir}/director"
        self.program = f"{self.dir}/ipvsadm"
        os.makedirs(self.dir, mode=0o700)
        with open(self.program, "w") as f:
            f.write(f"#!/bin/sh\nIPVS_DIR={self.dir} exec {IPVSADM} \"$@\"\n")
        os.chmod(self.program, 0o755)
        self.ask("-A", "-t", SERVICE, "-s", "wrr")
        for n in fleet.nodes:
            self.ask("-a", "-t", SERVICE, "-r", f"{n.host}:{n.port}", "-m", "-w", "5", "-x", "90", "-y", "80")
        self.before = self.table()

    def ask(self, *words):
        return subprocess.run([self.program, *words], check=True, capture_output=True, text=True).stdout

    def table(self):
        return self.ask("-S", "-n") + self.ask("-L", "-n", "--thresholds")

    def block(self):
        return (f'    - lvs: {{service: "{SERVICE}", command: ["{self.program}"], server: "{{host}}:{{port}}", drain_timeout: 20s, '
                'weight_ramp: [50%], ramp_step: 100ms}')


@pytest.fixture(scope="module")
def edges(fleet):
    for program in ("apache2", "nginx"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    fleet.write_secret("apache", "s3cret-AP")
    fleet.write_secret("plus", "s3cret-AP")
    apache, plus = test_apache.Edge(fleet, 1), test_nginx_plus.Edge(fleet, 2)
    nginx, director = test_nginx_balancer.Edge(fleet, 3, "localhost"), Director(fleet)
    fleet.write_pillar(balancer="\n".join(e.block() for e in (apache, plus, nginx, director)),
                       check='{url: "http://{host}:{port}/health", status: 200, expect: "ok", within: 8s}')
    yield apache, plus, nginx, director
    plus.stop()


def test_no_request_is_lost_and_all_of_them_get_back_what_they_had(fleet, edges):
    apache, plus, nginx, director = edges
    doors = [f"{apache.host}:{apache.port}", f"{plus.front.host}:{plus.front.port}", f"{nginx.host}:{nginx.port}"]
    with Load(fleet, targets=doors, path="/slow?ms=200", rate=80, repeat_kept=True) as load:
        result = release_that_dies(fleet, "v2", "apache.drain:1", "lvs.drain:2", "nginx-plus.enable:1")
    assert load.report["failed"] == 0, (load.report, told(result))
    assert load.report["ok"] > 300, load.report
    expect_world(fleet, "v2")
    assert test_apache.all_ok([apache]) and set(plus.states().values()) == {"up"}
    assert nginx.text() == nginx.before and director.table() == director.before
    shown = run(fleet, "lb", "prod").stdout
    assert all(f"{n.host}:{n.port}" in shown for n in fleet.nodes) and SERVICE in shown, shown
