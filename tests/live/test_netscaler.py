# SPDX-License-Identifier: MIT
"""Releases behind a pair of NetScalers: a strict stand-in (tests/lib/nitro.py) that also sends requests where its
configuration says. Two public NITRO clients, unchanged, work against the same stand-in and send what a release sends."""
import json
import os
import subprocess
import zipfile

import pytest

from load import Load
from netscaler import GROUP, Site
from scene import expect_world, refused, release, release_that_dies, run, start_release, told, wait_for

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 0, "pillar": {"balancer": "", "min_up": "1"}}
CLIENTS = ["ansible-core==2.14.*", "check-netscaler==2.7.0"]
COLLECTION = "ansible==7.7.0"  # of which only one collection is unpacked
MODULE = "ansible_collections/community/network/plugins/modules/netscaler_nitro_request.py"


def block(site, urls=None, more="", group=GROUP):
    url = json.dumps(urls or "|".join(site.urls))
    return (f'    netscaler: {{url: {url}, user: release, password: "file:{site.fleet.root}/ns.secret", ca: "{site.ca}", '
            f'servicegroup: {group}, drain_timeout: 20s, wait_up_timeout: 15s{more}}}')


@pytest.fixture(scope="module")
def site(fleet):
    fleet.write_secret("ns", "s3cret-NS")
    s = Site(fleet)
    wait_for("all members are UP", s.all_up)
    fleet.write_pillar(balancer=block(s))
    yield s
    s.stop()


def load_on(fleet, site, **more):
    return Load(fleet, targets=[site.target], rate=60, **more)


def told_to(node):
    return [(a["method"], a["path"], a["body"]) for a in node.asked if a["method"] == "POST" and a["body"] is not None]


def test_a_release_loses_no_request(fleet, site):
    watch, node = site.seconds_out(), site.nodes[0]
    with load_on(fleet, site, path="/slow?ms=300") as load:
        result = release(fleet, "v2")
    out = watch.stop()
    assert load.report["failed"] == 0, (load.report, told(result))
    expect_world(fleet, "v2")
    assert site.all_up()
    assert site.nodes[1].asked == [], "the secondary was asked or told"
    site.of_a_release = [{k: a[k] for k in ("method", "path", "body")} for a in node.asked]
    print(f"\n{len(site.nodes[0].asked) / 2:.0f} calls for each node; seconds out: {out}; {load.report['sent']} requests, 0 lost")
    for n in fleet.nodes:
        ours = {"servicegroupname": GROUP, "servername": n.id, "port": n.port}
        assert [c for c in told_to(site.nodes[0]) if c[2].get("servicegroup", {}).get("servername") == n.id] == [
            ("POST", "/nitro/v1/config/servicegroup?action=disable", {"servicegroup": {**ours, "graceful": "YES"}}),
            ("POST", "/nitro/v1/config/servicegroup?action=enable", {"servicegroup": ours})]
    assert site.nodes[0].sessions == {}, "a session was not given back"
    for name in [fleet.state, f"{fleet.state}-wal"]:
        if os.path.exists(name):
            with open(name, "rb") as f:
                text = f.read()
            assert b"s3cret-NS" not in text and b"NITRO_AUTH_TOKEN" not in text
    shown = run(fleet, "lb", "--json", "prod")
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert {(r["server"], r["state"], r["admin"]) for r in rows} == {(n.id, "UP", "enabled") for n in fleet.nodes}
    assert sum(r["requests"] for r in rows) >= load.report["sent"] and not any("errors" in r for r in rows)


def test_a_failover_that_lost_the_drain_and_a_crash_after_one(fleet, site):
    """The secondary becomes primary, and does not know of app1's drain, which has a request to finish. Then the release is
    killed when app2 is out, resumed, and taken back."""
    node = fleet.node("app1")
    with load_on(fleet, site, path="/slow?ms=1000", connections=200) as load:
        process = start_release(fleet, "v1")
        wait_for("app1 drained", lambda: "app1: netscaler.drain: ok" in fleet.log("release.out"), seconds=90, every=0.005)
        site.nodes[1].times, site.nodes[1].fault = 6, "429"  # and it is busy at first
        site.primary(1)
        site.forget()
        assert node.running_rev() == fleet.revs["v2"], "too late to prove anything: app1 was already changed"
        wait_for("the new primary is told", lambda: "OUT OF SERVICE" in site.states()["app1"], seconds=20, every=0.005)
        assert site.nodes[1].fault == "" and any("action=disable" in path for _, path, _ in told_to(site.nodes[1]))
        wait_for("app2 is out", lambda: "OUT OF SERVICE" in site.states()["app2"], seconds=90, every=0.005)
        process.kill()
        process.wait()
        run(fleet, "resume", "--yes", "prod")
        expect_world(fleet, "v1")
        assert site.all_up()
        release_that_dies(fleet, "v2", "netscaler.drain:1", "netscaler.enable:1", "commit-after:9")
    assert load.report["failed"] == 0, load.report
    expect_world(fleet, "v2")
    assert site.all_up()


def test_what_is_wrong_is_told_before_anything_is_touched(fleet, site):
    node, site_run = site.nodes[1], ["run", "--rev", "v2", "--yes", "prod"]
    told_before = len(told_to(node))
    site.misname(1)
    fleet.write_secret("ns", "wrong-pw-0")
    assert "wrong-pw-0" not in refused(fleet, site_run, 6, "login of \"release\" was refused", "Invalid username or password")
    fleet.write_secret("ns", "s3cret-NS")
    for pillar, words in (
            (block(site, group="nosuch"), ["has no service group \"nosuch\""]),
            (block(site, more=', server: "{node}x"'), ["has no server \"app1x\"", "app1, app2"]),
            (block(site, urls=[site.urls[0]]), [site.urls[0], "secondary of its pair", "give both"]),
            (block(site, urls=[site.urls[1].replace(site.hosts[1], site.misnamed)]), [site.misnamed, "certificate cannot be trusted"]),
            (block(site).replace(site.ca, "/etc/ssl/certs/ca-certificates.crt"), ["certificate cannot be trusted"])):
        fleet.write_pillar(balancer=pillar)
        refused(fleet, site_run, 6, *words)
    fleet.write_pillar(balancer=block(site))
    for fault, word in (("html", "a page"), ("flood", "more than 8 MiB"), ("503", "status 503")):
        node.fault = fault
        refused(fleet, site_run, 6, word)
    node.fault = ""
    fleet.write_pillar(balancer=block(site, more=", delay: 20s"))
    refused(fleet, ["check", "prod"], 2, "delay: 20s", "drain_timeout")
    fleet.write_pillar(balancer=block(site))
    assert len([c for c in told_to(node)[told_before:] if "action" in c[1]]) == 0


# ---- two public clients

@pytest.fixture(scope="module")
def clients():
    """A directory with both, kept in the build directory; skipped where they cannot be had."""
    directory = os.path.join(os.environ.get("BUILD_DIR", "/tmp"), "nitro-clients")
    python = f"{directory}/bin/python3"
    if not os.path.exists(f"{directory}/made"):
        steps = [["/usr/bin/python3", "-m", "venv", "--clear", directory], [python, "-m", "pip", "install", "-q", *CLIENTS],
                 [python, "-m", "pip", "download", "-q", "--no-deps", "-d", directory, COLLECTION]]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                pytest.skip(f"{' '.join(step[1:])}: {done.stderr[-300:]}")
        wheel = next(f"{directory}/{name}" for name in os.listdir(directory) if name.endswith(".whl"))
        with zipfile.ZipFile(wheel) as z:
            z.extract(MODULE, directory)
        os.unlink(wheel)
        open(f"{directory}/made", "w").close()
    return directory


def ansible(clients, site, which, ok=True, **args):
    """The NITRO module as Ansible runs it: its arguments on stdin, its result on stdout."""
    args = {"nsip": f"{site.hosts[which]}:{site.plain_port}", "nitro_protocol": "http", "nitro_user": "release",
            "nitro_pass": "s3cret-NS", **args}
    done = subprocess.run([f"{clients}/bin/python3", f"{clients}/{MODULE}"], input=json.dumps({"ANSIBLE_MODULE_ARGS": args}),
                          capture_output=True, text=True, timeout=60)
    result = json.loads(done.stdout[done.stdout.index("{\""):])
    assert result.get("failed", False) != ok, result
    return result


def asked_by(node, call):
    node.asked.clear()
    call()
    return [{k: a[k] for k in ("method", "path", "body")} for a in node.asked]


def test_ansible_sends_what_a_release_sends(fleet, site, clients):
    """Every kind of question and order of a release, asked by the module: same method, path and JSON."""
    site.primary(0)
    node, ours = site.nodes[0], site.of_a_release
    member = {"servicegroupname": GROUP, "servername": "app1", "port": fleet.node("app1").port}
    act = {"operation": "action", "resource": "servicegroup"}
    binding = {"resource": "servicegroup_servicegroupmember_binding", "name": GROUP}
    theirs = asked_by(node, lambda: (
        ansible(clients, site, 0, action="disable", attributes={**member, "graceful": "YES"}, **act),
        ansible(clients, site, 0, operation="get", **binding),
        ansible(clients, site, 0, action="enable", attributes=member, **act)))
    assert len(theirs) == 3
    for request in theirs:
        assert request in ours, (request, ours)
    orders = [r for r in ours if "action=" in r["path"] and r["body"]["servicegroup"]["servername"] == "app1"]
    assert orders == [theirs[0], theirs[2]]
    wrong = ansible(clients, site, 0, ok=False, action="disable", attributes={**member, "grace": "YES"}, **act)
    assert wrong["http_response_data"]["status"] == 400
    missing = ansible(clients, site, 0, ok=False, operation="get", resource=binding["resource"], name="nosuch")
    assert missing["http_response_data"]["status"] == 404
    denied = ansible(clients, site, 0, ok=False, nitro_pass="no", operation="get_all", resource="server")
    assert denied["http_response_data"]["status"] == 401
    assert len(ansible(clients, site, 0, operation="get_all", resource="server")["nitro_object"]) == 2


def nagios(clients, site, *args, status=0, password="s3cret-NS"):
    done = subprocess.run([f"{clients}/bin/check_netscaler", "-H", site.hosts[0], "-P", str(site.plain_port), "--no-ssl", "-u",
                           "release", "-p", password, *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_a_monitoring_client_reads_what_a_release_reads(fleet, site, clients):
    """It logs in as a release does, asks for the pair and the members in the same words, and sees the same states."""
    node = site.nodes[0]
    wait_for("all members are UP", site.all_up)
    ours = asked_by(node, lambda: run(fleet, "lb", "prod"))
    theirs = asked_by(node, lambda: (nagios(clients, site, "-C", "hastatus"),
                                     nagios(clients, site, "-C", "servicegroup", "-n", GROUP)))
    shared = [r for r in theirs if r in ours]
    assert [(r["method"], r["path"].removeprefix("/nitro/v1/")) for r in shared] == [
        (m, p) for one in (("GET", "stat/hanode"), ("GET", f"config/servicegroup_servicegroupmember_binding/{GROUP}"))
        for m, p in (("POST", "config/login"), one, ("POST", "config/logout"))]
    assert "member quorum: 100.00% (UP/DOWN): 2/0" in nagios(clients, site, "-C", "servicegroup", "-n", GROUP)
    with site.world.lock:
        site.world.groups[GROUP][0].disable(None, True)
    assert "app1" in nagios(clients, site, "-C", "servicegroup", "-n", GROUP, status=2)
    shown = run(fleet, "lb", "--json", "prod")
    assert [r["server"] for r in map(json.loads, shown.stdout.splitlines()) if not r["serving"]] == ["app1"]
    site.forget()
    nagios(clients, site, "-C", "hastatus", password="no", status=3)
