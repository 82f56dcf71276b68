# SPDX-License-Identifier: MIT
"""The balancers' programs of docs/examples: a release behind a real Caddy, and F5's own SDK beside ours on one BIG-IP, for which a
stand-in has to do."""
import json
import os
import shutil
import subprocess
import sys

import pytest

from daemons import can_connect, spawn, wait_for
from load import Load
from scene import expect_world, refused, release_that_dies, run, told

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 0, "pillar": {"balancer": ""}, "ports_apart": True}
HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "docs", "examples")


def asked(name, *argv, status=0, **question):
    done = subprocess.run(["/usr/bin/python3", f"{EXAMPLES}/{name}", *argv], input=json.dumps({"form": 1, **question}), text=True,
                          capture_output=True, timeout=20)
    assert done.returncode == status, done
    return json.loads(done.stdout) if status == 0 else done.stderr


class Caddy:
    def __init__(self, fleet):
        self.host, self.port, self.admin = f"{fleet.net}.7", fleet.base + 80, fleet.base + 79
        self.dir = f"{fleet.dir}/caddy"
        os.makedirs(self.dir)
        proxy = {"@id": "site", "handler": "reverse_proxy", "upstreams": [{"dial": f"{n.host}:{n.port}"} for n in fleet.nodes],
                 "transport": {"protocol": "http", "keep_alive": {"enabled": False}}}
        with open(f"{self.dir}/caddy.json", "w") as f:
            json.dump({"admin": {"listen": f"{self.host}:{self.admin}"}, "apps": {"http": {"servers": {"edge": {
                "listen": [f"{self.host}:{self.port}"], "automatic_https": {"disable": True}, "routes": [{"handle": [proxy]}]}}}}}, f)
        spawn(fleet.dir, "caddy", ["caddy", "run", "--config", f"{self.dir}/caddy.json"], env={"HOME": self.dir})
        wait_for("Caddy listens", lambda: can_connect(self.host, self.port))

    def api(self):
        return f"http://{self.host}:{self.admin}"

    def servers(self):
        found = asked("balancer-caddy", self.api(), do="list", balancer="edge", pools=["site"])
        return sorted(s["server"] for s in found["servers"])


def test_a_release_behind_caddy(fleet):
    """The controller dies twice; no request is lost, and every upstream is back."""
    if not shutil.which("caddy"):
        pytest.skip("caddy is not installed")
    caddy = Caddy(fleet)
    everyone = sorted(f"{n.host}:{n.port}" for n in fleet.nodes)
    block = (f'    command: {{program: ["/usr/bin/python3", "{EXAMPLES}/balancer-caddy", "{caddy.api()}"], balancers: [edge], '
             f'backend: site, idle: node, drain_timeout: 20s}}')
    servers = "\n".join(f"    {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, lb_server: \"{n.host}:{n.port}\", "
                        f"ssh: {{port: {n.ssh_port}}}}}" for n in fleet.nodes)
    fleet.write_pillar(balancer=block, servers=servers)
    with Load(fleet, targets=[f"{caddy.host}:{caddy.port}"], path="/slow?ms=300", rate=60) as load:
        result = release_that_dies(fleet, "v2", "command.drain:1", "command.enable:1")
    assert load.report["failed"] == 0, (load.report, told(result))
    expect_world(fleet, "v2")
    assert caddy.servers() == everyone
    fleet.write_pillar(balancer=block.replace("backend: site", "backend: shop"), servers=servers)
    refused(fleet, ("run", "--rev", "v1", "--yes", "prod"), 6, 'no reverse_proxy with "@id": "shop"')
    assert asked("balancer-caddy", caddy.api(), do="put", balancer="edge", pool="site", server=everyone[0], weight=3) == {
        "refused": "Caddy knows no weights"}


def sdk(folder):
    """A Python with F5's SDK, from PyPI; None where it cannot be had."""
    python = f"{folder}/bin/python"
    made = [[sys.executable, "-m", "venv", folder], [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "setuptools<81",
                                                    "f5-sdk==3.0.21"]]
    return python if all(subprocess.run(argv, capture_output=True, timeout=120).returncode == 0 for argv in made) else None


SDK = """
import sys
from f5.bigip import ManagementRoot
root = ManagementRoot("127.0.0.1", "release", "sesame", port=int(sys.argv[1]), verify=sys.argv[2])
pool = root.tm.ltm.pools.pool.load(name="shop", partition="Common")
for act in sys.argv[3:]:
    member = pool.members_s.members.load(name="app1:8080", partition="Common")
    if act == "show":
        print(member.session, member.state, member.ratio)
    else:
        member.modify(**dict([act.split("=")]))
"""


def test_f5_beside_its_own_sdk(fleet):
    """What ours does, F5's SDK reads; what the SDK does, ours reads."""
    base, port = f"{fleet.dir}/f5", fleet.base + 78
    os.makedirs(base)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", f"{base}/key.pem", "-out", f"{base}/cert.pem"], check=True, capture_output=True)
    spawn(fleet.dir, "f5", ["/usr/bin/python3", f"{HERE}/../lib/icontrol.py", str(port), f"{base}/cert.pem", f"{base}/key.pem", "app1:8080",
                            "app2:8080"])
    wait_for("the stand-in listens", lambda: can_connect("127.0.0.1", port))

    def ours(**question):
        return asked("balancer-f5", "release", f"{base}/cert.pem", balancer=f"127.0.0.1:{port}", secret="sesame", **question)

    def state():
        return [(s["state"], s["serving"], s["weight"], s["sessions"]) for s in ours(do="list", pools=["shop"], counts=True)["servers"]]
    assert state() == [("ready", True, 1, 0)] * 2
    python = sdk(f"{base}/venv")

    def theirs(*acts):
        done = subprocess.run([python, "-W", "ignore", "-c", SDK, str(port), f"{base}/cert.pem", *acts], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()
    put = {"do": "put", "pool": "shop", "server": "app1:8080"}
    for word, seen in (("drain", ["user-disabled", "up", "1"]), ("maint", ["user-disabled", "user-down", "1"]),
                       ("ready", ["monitor-enabled", "up", "1"])):
        assert ours(**put, state=word) == {"ok": True}
        assert python is None or theirs("show") == seen
        assert state()[0][0] == word
    assert ours(**put, weight=5) == {"ok": True}
    assert ours(**dict(put, server="app9:8080"), state="drain") == {"refused": "pool shop has no member app9:8080"}
    assert "401" in asked("balancer-f5", "release", f"{base}/cert.pem", balancer=f"127.0.0.1:{port}", secret="x", do="list",
                          pools=["shop"])["error"]
    if python is None:
        pytest.skip("F5's SDK could not be had from PyPI; the rest was tried")
    assert theirs("session=user-disabled", "show") == ["user-disabled", "up", "5"]
    assert state()[0] == ("drain", False, 5, 0)
    theirs("session=user-enabled")
    assert state()[0] == ("ready", True, 5, 0)
