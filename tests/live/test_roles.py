# SPDX-License-Identifier: MIT
"""One release over two roles: a worker without a balancer, and web servers behind haproxy. One lock, one journal, one way back."""
import getpass
import json
import os
import re

from load import Load
from scene import refused, release, run

FLEET = {"varnish": None, "n_nodes": 3, "balancers": 1, "workers": 1}
PILLAR = """release:
  app: site
  repo: {origin}
  dir: {dir}/srv
  ssh: {{transport: {ssh}, user: {user}, key: {key}, known_hosts: {known_hosts}}}
  supervisor: {{programs: [site], conf: "{dir}/nodes/{{node}}/supervisord.conf"}}
  build:
    - cmd.run: {{cmd: sh build.sh, timeout: 60s}}
    - cmd.run: {{cmd: "echo {{node}} >>{dir}/migrated", once: first, undo: "echo back {{node}} >>{dir}/migrated"}}
  check: {{url: "http://{{host}}:{{port}}/health", status: 200, expect: "ok", stable: 2, within: 5s}}
  soak: 0s
  roles:
    worker:
      app_servers:
{worker}
    web:
      app_servers:
{web}
      balancer:
        haproxy: {{sockets: ["{socket}"], backend: site, drain_timeout: 20s}}
      min_up: 1
"""


def write_roles(fleet):
    nodes = [f"        {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, ssh: {{port: {n.ssh_port}}}}}" for n in fleet.nodes]
    with open(f"{fleet.root}/pillar/prod.sls", "w") as f:
        f.write(PILLAR.format(origin=fleet.origin, dir=fleet.dir, ssh=fleet.ssh, user=getpass.getuser(), key=fleet.key,
                              known_hosts=fleet.known_hosts, worker=nodes[0], web="\n".join(nodes[1:]),
                              socket=fleet.lbs[0].tcp_socket))


def world(fleet, version):
    assert [n.running_rev() for n in fleet.nodes] == [fleet.revs[version]] * 3
    assert fleet.lbs[0].all_up() and not any(fleet.lbs[0].admin_state().values())
    assert "unfinished" not in run(fleet, "status", "prod").stdout


def stopped(fleet):
    """The nodes in the order in which the newest release stopped what they ran."""
    nodes = re.findall(r"(app\d)\S* .*?supervisord\.stop", run(fleet, "log", "prod").stdout)
    return list(dict.fromkeys(nodes))


def once(fleet):
    path = f"{fleet.dir}/migrated"
    if not os.path.exists(path):
        return ""
    with open(path) as f:
        return f.read()


def test_release_under_load(fleet):
    """The worker first, then web; what runs once is run once, by the first role that has it."""
    write_roles(fleet)
    shown = run(fleet, "plan", "--rev", fleet.revs["v2"], "prod").stdout
    assert "role        worker, 1 node" in shown and re.search(r"app2 +web +stage 2", shown), shown
    brief, checked = (json.loads(run(fleet, *words, "--rev", fleet.revs["v2"], "prod").stdout)
                      for words in (("plan", "--brief"), ("check", "--json")))
    assert brief["roles"] == checked["roles"] == [
        {"name": "worker", "nodes": 1, "window": 1, "min_up": 0, "up": None},
        {"name": "web", "nodes": 2, "window": 1, "min_up": 1, "up": 2}], (brief, checked)
    assert (brief["up"], checked["up"]) == (2, 2)
    with Load(fleet, rate=100) as load:
        told = release(fleet, "v2")
        load.run_on(0.3)
    assert load.problems() == []
    world(fleet, "v2")
    assert stopped(fleet) == ["app1", "app2", "app3"], told.stdout
    assert once(fleet) == "app1\n"
    asked = run(fleet, "status", "--probe", "prod").stdout
    assert "app1 (worker)" in asked and "app3 (web)" in asked, asked
    assert [json.loads(n)["role"] for n in run(fleet, "nodes", "--json", "prod").stdout.splitlines()] == ["worker", "web", "web"]


def test_failure_in_the_second_role_takes_the_first_back(fleet):
    with Load(fleet, rate=100) as load:
        release(fleet, "v3", status=1)
        load.run_on(0.3)
    assert load.problems() == []
    world(fleet, "v2")
    assert once(fleet) == "app1\napp1\nback app1\n"


def test_only_role(fleet):
    shown = run(fleet, "plan", "--rev", "v7", "--only-role", "web", "prod").stdout
    assert "app2" in shown and "app1" not in shown, shown
    refused(fleet, ["run", "--rev", "v7", "--only-role", "wep", "--yes", "prod"], 2, "no role 'wep'", "did you mean 'web'")


def test_rollback_begins_with_the_last_role(fleet):
    told = run(fleet, "rollback", "--yes", "prod")
    world(fleet, "v1")
    assert stopped(fleet) == ["app2", "app3", "app1"], told.stdout


def test_rollback_without_the_role_that_ran_once(fleet):
    release(fleet, "v2")
    before = once(fleet)
    told = run(fleet, "rollback", "--only", "app2,app3", "--yes", "prod")
    assert "no node of its role goes back, so nobody undoes it; its effect stays" in told.stdout + told.stderr, told
    assert [n.running_rev() for n in fleet.nodes] == [fleet.revs["v2"], fleet.revs["v1"], fleet.revs["v1"]]
    assert once(fleet) == before
    assert "unfinished" not in run(fleet, "status", "prod").stdout


def last_release(fleet):
    return str(max(json.loads(line)["release"] for line in run(fleet, "history", "--json", "prod").stdout.splitlines()))


def test_rollback_of_what_is_back_in_part(fleet):
    """What one order took back leaves the plan of the next, with its role and what nobody is there to undo."""
    told = run(fleet, "rollback", "--release", str(int(last_release(fleet)) - 1), "--yes", "prod")
    assert (told.stdout + told.stderr).count("it is left as it is") == 2, told
    world(fleet, "v1")
    release(fleet, "v2")
    of = last_release(fleet)
    run(fleet, "rollback", "--only", "app1", "--yes", "prod")
    before = once(fleet)
    assert before.endswith("app1\nback app1\n"), before
    brief = json.loads(run(fleet, "rollback", "--release", of, "--brief", "prod").stdout)
    assert [r["name"] for r in brief["roles"]] == ["web"] and brief["nodes"] == 2, brief
    told = run(fleet, "rollback", "--release", of, "--yes", "prod")
    assert "no node of its role goes back, so nobody undoes it; its effect stays" in told.stdout + told.stderr, told
    world(fleet, "v1")
    assert once(fleet) == before
