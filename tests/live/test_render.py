# SPDX-License-Identifier: MIT
"""Pillars rendered by a real Salt - a master with minions, and without a master - and nodes from a real Ansible inventory."""
import getpass
import json
import os
import re
import subprocess

import pytest

import salt_env
from salt_world import MASTERLESS, SaltWorld
from scene import expect, expect_world, refused, run

BUILD = os.environ["BUILD_DIR"]
FLEET = {"varnish": None, "n_nodes": 3}
SECRET = "s3cr3t-täxt"
TOP = """base:
  '*': [common]
  'G@roles:web': [{match: compound}, site]
  front: [{match: nodegroup}, front]
side:
  '*': [side]
"""
COMMON = """own: {id: {{ grains['id'] }}, family: {{ grains['os_family'] }}, numbers: [1, 2.5, yes, 012, null], roles: {{ grains['roles'] | tojson }}}
address: {{ grains['address'] | tojson }}
1: one
"""
SERVERS = """{% for n, a in salt['saltutil.runner']('mine.get', tgt='roles:web', tgt_type='grain', fun='address') | dictsort %}
    {{ n }}: {host: {{ a.host }}, port: {{ a.port }}, dir: {{ a.dir }}, ssh: {port: {{ a.ssh }}}}
{% endfor %}"""
MATCHED = """    match: 'G@roles:web and not L@app3'
    host: address:host
    port: address:port
    vars: [address:dir]"""


def release_block(fleet, servers):
    """What the fleet's own pillar says, its nodes written otherwise."""
    fleet.write_pillar(servers=servers)
    with open(f"{fleet.root}/pillar/prod.sls") as f:
        text = f.read()
    os.unlink(f"{fleet.root}/pillar/prod.sls")
    return text


@pytest.fixture(scope="module")
def salt(fleet):
    try:
        env = salt_env.path("3006")
    except salt_env.Unavailable as why:
        pytest.skip(f"no Salt: {why}")
    minions = {n.id: {"roles": ["web"], "address": {"host": n.host, "port": n.port, "dir": n.srv, "ssh": n.ssh_port}} for n in fleet.nodes}
    world = SaltWorld(env, f"{fleet.dir}/salt", fleet.nodes[0].host, fleet.base + 60, minions, getpass.getuser())
    world.write("pillar/top.sls", TOP)
    world.write("pillar/common.sls", COMMON)
    world.write("pillar/site.sls", release_block(fleet, SERVERS).replace("{node}", "{{ '{node}' }}").replace("{{host}}", "{host}"))
    pgp = "".join(f"  {line}\n" for line in world.encrypted(SECRET).splitlines())
    world.write("pillar/front.sls", f"#!yaml|gpg\nsecret: |\n{pgp}")
    world.write("side/top.sls", TOP)
    world.write("side/side.sls", COMMON + release_block(fleet, MATCHED))
    world.write("side/common.sls", COMMON)
    world.write("pillar/side.sls", "{}\n")
    world.start()
    pillar = f"pillar: {{renderer: salt, python: {env}/bin/python3, config: {world.config}, timeout: 3m}}\n"
    write_root(fleet, pillar + "environments:\n  prod: {pillarenv: base, nodes: 'app*'}\n  side: {nodes: [app1, app2]}\n  nowhere: {}\n")
    try:
        world.wait_ready()
        yield world
    finally:
        world.stop()


def write_root(fleet, text):
    with open(f"{fleet.root}/release.yml", "w") as f:
        f.write(text)
    os.chmod(f"{fleet.root}/release.yml", 0o600)


def read(fleet, *args):
    return json.loads(expect(fleet.release(*args), 0).stdout)


def test_every_node_has_what_show_pillar_says(fleet, salt):
    """Jinja, grains, mine, a nodegroup, an ext_pillar and a gpg value: as Salt's own program prints it, byte for byte in JSON."""
    request = {"version": 1, "env": "prod", "pillarenv": "base", "nodes": ["app*"]}
    done = subprocess.run([f"{salt.env}/bin/python3", f"{BUILD}/salt-pillar", "--config-dir", salt.config], input=json.dumps(request),
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    all_of_them = json.loads(done.stdout)
    assert list(all_of_them) == sorted(salt.minions)
    for node in ("app1", "app3"):
        theirs = salt.show_pillar(node, pillarenv="base")
        assert json.dumps(all_of_them[node]) == json.dumps(theirs), node
        assert theirs["outside"] == {"of": node} and theirs["own"]["id"] == node
        assert (theirs.get("secret") == SECRET) == (node == "app1")
    assert json.dumps(read(fleet, "pillar", "prod", "app1", "--json")) == json.dumps(all_of_them["app1"])


def test_a_release_from_a_rendered_pillar(fleet, salt):
    plan = expect(fleet.release("plan", "--rev", fleet.revs["v2"], "--json", "prod"), 0).stdout
    frozen = json.loads(plan)
    assert frozen["rendered"][0][0] == "pillar by salt" and len(frozen["rendered"][0][1]) == 64
    assert SECRET not in plan
    expect(fleet.release("check", "prod"), 0)
    run(fleet, "run", "--rev", fleet.revs["v2"], "--yes", "prod")
    expect_world(fleet, "v2")
    for name in os.listdir(os.path.dirname(fleet.state)):
        with open(f"{os.path.dirname(fleet.state)}/{name}", "rb") as f:
            assert SECRET.encode() not in f.read(), name
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v1")


def test_salt_says_who_matches(fleet, salt):
    """side is an environment of Salt's own, so it needs no pillarenv; addresses come from each node's pillar."""
    listed = expect(fleet.release("nodes", "side", "--json"), 0).stdout.splitlines()
    nodes = [json.loads(line) for line in listed]
    shown = expect(fleet.release("nodes", "side"), 0).stdout
    assert re.search(r"^pillar by salt \(sha256 [0-9a-f]{12}\)$", shown, re.M), shown
    assert [(n["node"], n["address"]) for n in nodes] == [(n.id, n.host) for n in fleet.nodes[:2]]
    assert [r["by"] for r in nodes[0]["rendered"]] == ["pillar by salt", "app_servers by salt"]


def test_what_salt_does_not_know_is_refused(fleet, salt):
    refused(fleet, ["check", "nowhere"], 2, "'nowhere' is no environment of Salt's pillar_roots (they are: base, side)")
    salt.write("pillar/common.sls", COMMON + "{{ nothing.there }}\n")
    try:
        refused(fleet, ["run", "--rev", fleet.revs["v2"], "--yes", "prod"], 2, "Salt could not render the pillar of 'app1'",
                "Rendering SLS 'common' failed", "'nothing' is undefined")
    finally:
        salt.write("pillar/common.sls", COMMON)


def test_without_a_master(fleet, salt):
    grains = {n: {"roles": ["web"], "os_family": "Slackware", "address": salt.minions[n]["address"]} for n in ("app1", "app2")}
    salt.write("local/minion", MASTERLESS.format(**salt.words()))
    salt.write("pillar-local/top.sls", "base:\n  '*': [common]\n  'app1 and G@os_family:Slackware': [{match: compound}, one]\n")
    salt.write("pillar-local/common.sls", COMMON.replace("grains['id']", "grains['id'] | upper"))
    salt.write("pillar-local/one.sls", "one: {{ opts['id'] }} {{ salt['grains.get']('roles:0') }}\n")
    with open(f"{fleet.root}/release.yml") as f:
        before = f.read()
    write_root(fleet, f"environments:\n  base: {{pillar: {{renderer: salt, python: {salt.env}/bin/python3, config: {salt.dir}/local, masterless: yes}}}}\n"
                      f"grains: {json.dumps(grains)}\n")
    try:
        for node in grains:
            ours = read(fleet, "pillar", "base", node, "--json")
            theirs = salt.local_pillar(node, grains[node])
            assert ours == theirs, node
    finally:
        write_root(fleet, before)


def test_nodes_of_a_real_inventory(fleet):
    try:
        ansible = f"{salt_env.path('ansible')}/bin"
    except salt_env.Unavailable as why:
        pytest.skip(f"no Ansible: {why}")
    hosts = [f"        {n.id}: {{ansible_host: {n.host}, ansible_port: {n.ssh_port}, http: {n.port}, srv: {n.srv}}}" for n in fleet.nodes]
    inventory = f"{fleet.dir}/hosts.yml"
    with open(inventory, "w") as f:
        f.write("all:\n  vars: {db_password: s3cr3t}\n  children:\n    web:\n      children:\n"
                "        blue: {hosts: {app3: }}\n      hosts:\n" + "\n".join(hosts[:2]) + "\n    db: {hosts: {db1: }}\n    blue:\n      hosts:\n" + hosts[2] + "\n")
    fleet.write_pillar(servers=f"    command: [{ansible}/ansible-inventory, -i, {inventory}, --list]\n    group: web\n    port: http\n    vars: [srv]\n")
    os.rename(f"{fleet.root}/pillar/prod.sls", f"{fleet.root}/pillar/ansible.sls")
    write_root(fleet, "environments: {ansible: {nodes: 'app*'}}\n")
    listed = [json.loads(line) for line in expect(fleet.release("nodes", "ansible", "--json"), 0).stdout.splitlines()]
    theirs = subprocess.run([f"{ansible}/ansible", "-i", inventory, "web", "--list-hosts"], capture_output=True, text=True, check=True).stdout
    assert [n["node"] for n in listed] == theirs.split()[2:]
    assert [(n["address"], n["vars"]["port"]) for n in listed] == [(n.host, str(n.port)) for n in fleet.nodes]
    assert "s3cr3t" not in json.dumps(listed)
