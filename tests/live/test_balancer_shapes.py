# SPDX-License-Identifier: MIT
"""Balancers as people have them: a node in two backends, several servers for one node, agent checks, slow starts.
The frontend has the backend's name in every fleet."""
import socket
import threading

from load import Load
from scene import expect_world, refused, release, release_that_dies, run, told

FLEET = {"varnish": None, "n_nodes": 3, "balancers": 1, "pillar": {"min_up": "1"}}


def reconfigure(fleet, servers=None, **more):
    lb = fleet.lbs[0]
    lb.servers = servers or [(n.id, n.host, n.port) for n in fleet.nodes]
    lb.more, lb.server_options = more.get("more", ""), more.get("options", "")
    lb.write_config()
    lb.reload()
    from daemons import wait_for
    wait_for("all servers are up", lb.all_up)


def block(fleet, more=""):
    return (f'haproxy: {{sockets: ["{fleet.lbs[0].tcp_socket}"], backend: site, drain_timeout: 20s, '
            f'wait_up_timeout: 15s{more}}}')


def test_a_backend_that_the_pillar_does_not_name(fleet):
    rows = "\n".join(f"    server {n.id}x {n.host}:{n.port}" for n in fleet.nodes[:2])
    reconfigure(fleet, more=f"backend api\n{rows}\n")
    refused(fleet, ["run", "--rev", "v2", "--yes", "prod"], 6, "app1", "backend api", "ignore_backends", "1 more")
    fleet.write_pillar(balancer=f"    {block(fleet, ', ignore_backends: [api]')}")
    run(fleet, "check", "prod")
    reconfigure(fleet)
    fleet.write_pillar()


def test_several_servers_for_one_node(fleet):
    """As several processes of one host: each block drains its own server of the node, and the floor counts both."""
    reconfigure(fleet, [(f"{n.id}-{x}", n.host, n.port) for n in fleet.nodes for x in "ab"])
    fleet.write_pillar(balancer="\n".join(f"    - {block(fleet, more)}" for more in (
        ', server: "{node}-a"', ', server: "{node}-b"')))
    with Load(fleet, rate=100) as load:
        release(fleet, "v2")
    assert load.problems() == []
    assert {n.running_rev() for n in fleet.nodes} == {fleet.revs["v2"]}
    assert set(fleet.lbs[0].admin_state().values()) == {0}
    shown = run(fleet, "lb", "prod")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0][:3] == ["BALANCER", "BACKEND", "SERVER"], told(shown)
    assert sorted(line[2] for line in lines[1:]) == sorted(s[0] for s in fleet.lbs[0].servers), told(shown)
    assert {line[1] for line in lines[1:]} == {"site"}, told(shown)


SHAPES = """frontend f_api
    bind {lb.host}:{api}
    default_backend api
frontend f_any
    bind {lb.host}:{any}
    default_backend any
backend api
    balance roundrobin
    stick-table type ip size 1k expire 30m
    stick on src
{tracks}
backend any
    balance leastconn
    option httpchk GET /health
    default-server check inter 300ms fall 2 rise 2
{templates}
"""


def test_all_shapes_at_once(fleet):
    """Nodes in three backends that the pillar does not name: by name; tracked, with clients that a stick-table binds; and of server
    templates, one of them a backup. They go by their address. The controller dies in between."""
    lb, api, some = fleet.lbs[0], fleet.base + 92, fleet.base + 93
    reconfigure(fleet, more=SHAPES.format(
        lb=lb, api=api, any=some, tracks="\n".join(f"    server a_{n.id} {n.host}:{n.port} track site/{n.id}" for n in fleet.nodes),
        templates="\n".join(f"    server-template t{n.id}_ 1 {n.host}:{n.port}{' backup' if n.id == 'app3' else ''}" for n in fleet.nodes)))
    fleet.write_pillar(balancer=f'''    haproxy: {{sockets: ["{lb.tcp_socket}"], backend: "*", server: "{{host}}:{{port}}", drain_timeout: 4s,
      wait_up_timeout: 15s}}''')
    doors = [f"{lb.host}:{port}" for port in (lb.port, api, some)]
    with Load(fleet, targets=doors, path="/slow?ms=100", rate=90) as load:
        result = release_that_dies(fleet, "v2", "haproxy.drain:1", "haproxy.enable:2")
    assert load.report["failed"] == 0, (load.report, told(result))
    assert load.report["ok"] > 300, load.report
    expect_world(fleet, "v2")
    states = lb.ask("show servers state").splitlines()
    admin = states[1].lstrip("# ").split().index("srv_admin_state")
    assert [line.split()[admin] for line in states[2:] if line] == ["0"] * 9, states
    reconfigure(fleet)
    run(fleet, "rollback", "--yes", "prod", status=0)
    fleet.write_pillar()


class Agents:
    """What HAProxy's agent checks talk to, one for each node: they always say "ready", which undoes a drain."""

    def __init__(self, fleet):
        self.sockets = []
        for n in fleet.nodes:
            s = socket.create_server((n.host, fleet.base + 91))
            self.sockets.append(s)
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    @staticmethod
    def serve(listener):
        while True:
            try:
                s, _ = listener.accept()
                with s:
                    s.sendall(b"ready\n")
            except OSError:
                return

    def stop(self):
        for s in self.sockets:
            s.close()


def agents_run(lb):
    lines = lb.ask("show servers state site").splitlines()
    at = lines[1].lstrip("# ").split().index("srv_agent_state")
    return [bool(int(line.split()[at]) & 4) for line in lines[2:] if line]


def test_agent_checks_and_slow_starts(fleet):
    """Longer than the wait for "up" either is: the agent's words come every 200 ms, a slow start lasts a minute."""
    agents = Agents(fleet)
    reconfigure(fleet, options=f"agent-check agent-port {fleet.base + 91} agent-inter 200ms slowstart 60s")
    fleet.write_pillar(balancer=f"    {block(fleet)}")
    with Load(fleet, rate=100) as load:
        result = release(fleet, "v1")
    assert "forgot the drain" not in result.stdout, told(result)
    assert load.problems() == []
    expect_world(fleet, "v1")
    assert agents_run(fleet.lbs[0]) == [True] * 3
    reconfigure(fleet)
    agents.stop()


def test_a_check_that_was_never_true(fleet):
    """A typing error: said before anything is touched; the new revision fails by it, the way back does not."""
    fleet.write_pillar(check='{url: "http://{host}:{port}/health", expect: "oky", within: 3s}')
    result = run(fleet, "check", "prod")
    assert "not true of what it runs now" in result.stderr and '"oky" is not in the body' in result.stderr, told(result)
    release(fleet, "v2", status=1)
    expect_world(fleet, "v1")
    fleet.write_pillar(check='{url: "http://{host}:port/health"}')
    refused(fleet, ["check", "prod"], 2, "port number", "pillar/prod.sls")
