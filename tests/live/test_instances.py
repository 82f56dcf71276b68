# SPDX-License-Identifier: MIT
"""Two hosts with two instances each behind a real HAProxy: one directory a host, each instance out by itself."""
import getpass
import json
import signal
import threading
import time

from daemons import wait_for
from load import Load
from scene import refused, release, run

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 1, "instances": 2}
PILLAR = """release:
  app: site
  repo: {origin}
  dir: {dir}/srv
  ssh: {{transport: {ssh}, user: {user}, key: {key}, known_hosts: {known_hosts}}}
  supervisor: {{conf: "{dir}/nodes/{{of_host}}/supervisord.conf"}}
  build: [{{cmd.run: {{cmd: "sh build.sh && echo built >>{dir}/built", timeout: 60s}}}}]
  check: {{url: "http://{{host}}:{{port}}/health", status: 200, expect: "ok", stable: 1, within: 5s}}
  balancer: {{haproxy: {{sockets: ["{socket}"], backend: site, drain_timeout: 20s}}}}
  soak: 0s
  window: 2
  stages: [100%]
  min_up: 2
  plan: {plan}
  app_servers:
    app1:
      host: {a.host}
      dir: {a.srv}
      ssh: {{port: {a.ssh_port}}}
      instances:
        zope1: {{port: {p1}, lb_server: app1-zope1, programs: [zope1]}}
        zope2: {{port: {p2}, lb_server: app1-zope2, programs: [zope2]}}
    app2:
      host: {b.host}
      dir: {b.srv}
      ssh: {{port: {b.ssh_port}}}
      port: "{p}{{n}}"
      lb_server: "app2-zope{{n}}"
      programs: ["zope{{n}}"]
      instances: 2
"""


def write_instances(fleet, plan="rolling"):
    a, b = fleet.nodes
    p1, p2 = a.programs.values()
    # Those of the second host by a template: they end in 1 and 2.
    text = PILLAR.format(origin=fleet.origin, dir=fleet.dir, ssh=fleet.ssh, user=getpass.getuser(), key=fleet.key,
                         known_hosts=fleet.known_hosts, socket=fleet.lbs[0].tcp_socket, a=a, b=b, p1=p1, p2=p2,
                         p=str(p1)[:-1], plan=plan)
    with open(f"{fleet.root}/pillar/prod.sls", "w") as f:
        f.write(text)


def revisions(fleet):
    return [n.running_rev(port) for n in fleet.nodes for port in n.programs.values()]


def world(fleet, version):
    assert revisions(fleet) == [fleet.revs[version]] * 4
    wait_for("all servers are up", fleet.lbs[0].all_up)
    assert not any(fleet.lbs[0].admin_state().values()), fleet.lbs[0].admin_state()
    assert "unfinished" not in run(fleet, "status", "prod").stdout


class Watch(threading.Thread):
    """The fewest servers of each host that nobody had put out, looked at all the time."""

    def __init__(self, fleet):
        super().__init__(daemon=True)
        self.lb, self.ended = fleet.lbs[0], threading.Event()
        self.fewest = {n.id: len(n.programs) for n in fleet.nodes}

    def run(self):
        while not self.ended.is_set():
            states = self.lb.admin_state()
            for host in self.fewest:
                up = sum(not state for server, state in states.items() if server.startswith(host + "-"))
                self.fewest[host] = min(self.fewest[host], up)
            time.sleep(0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def under_load(fleet, act):
    """No request fails, and of each host one instance serves whatever happens to the other."""
    with Load(fleet, rate=60) as load, Watch(fleet) as watch:
        act()
        load.run_on(0.3)
    assert load.problems() == []
    assert watch.fewest == {"app1": 1, "app2": 1}


def built(fleet):
    with open(f"{fleet.dir}/built") as f:
        return len(f.readlines())


def test_release_under_load(fleet):
    write_instances(fleet)
    shown = run(fleet, "plan", "--rev", fleet.revs["v2"], "prod").stdout
    for words in ('programs ["zope2"]', "app2.1", "supervisord.stop        programs={programs}", "once a host"):
        assert words in shown, shown
    under_load(fleet, lambda: release(fleet, "v2"))
    world(fleet, "v2")
    assert built(fleet) == 2
    done = [json.loads(line) for line in run(fleet, "log", "--json", "prod").stdout.splitlines()]
    done = [(row["node"], row["verb"]) for row in done if row["kind"] == "outcome"]
    nodes = [{node for node, did in done if did == verb} for verb in ("release.switch", "supervisord.start")]
    assert nodes[0] == {"app1.zope1", "app2.1"} and len(nodes[1]) == 4, done


def test_broken_revision_is_taken_back(fleet):
    """The first instance of each host fails its check: the others were never stopped."""
    def second():
        return [n.get(port=n.programs["zope2"])[1]["X-Pid"] for n in fleet.nodes]
    before = second()
    under_load(fleet, lambda: release(fleet, "v3", status=1))
    world(fleet, "v2")
    assert second() == before


def test_killed_half_way_and_resumed(fleet):
    """The controller is killed when each host has one instance on the new revision, and one on the old."""
    def act():
        process = fleet.release_start("run", "--rev", fleet.revs["v7"], "--yes", "prod")
        wait_for("the first instances are new", lambda: revisions(fleet)[::2] == [fleet.revs["v7"]] * 2, seconds=60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert revisions(fleet)[1::2] == [fleet.revs["v2"]] * 2
        run(fleet, "resume", "prod")
    under_load(fleet, act)
    world(fleet, "v7")


def test_rollback(fleet):
    under_load(fleet, lambda: run(fleet, "rollback", "--yes", "prod"))
    world(fleet, "v2")


def test_a_host_is_one(fleet):
    """Part of a host, and a plan that changes the directory under it, are refused before anything is touched."""
    refused_args = ["run", "--rev", "v7", "--yes", "prod"]
    refused(fleet, [*refused_args, "--only", "app1.zope2"], 2, "name the host, app1")
    write_instances(fleet, plan="in-place")
    refused(fleet, refused_args, 2, "would change the directory under those of app1")
