# SPDX-License-Identifier: MIT
"""What runs is asked of the processes: a fleet's programs are seen to come from the release, given back as they were, and
`check` and `status --probe` say what they are, not what is on disk."""
import os
import shutil

from daemons import can_connect, spawn, wait_for
from origin import add_commit
from scene import expect_world, refused, release, run, told

FLEET = {"varnish": None, "n_nodes": 2}


def conf(node, app_dir=None, more=""):
    node.write_supervisord(app_dir, more)


def up(node):
    wait_for(f"{node.id} answers", node.running_rev)
    wait_for(f"{node.id} starts nothing more", lambda: "STARTING" not in node.supervisorctl("status"))
    for lb in node.fleet.lbs:
        wait_for(f"{lb.name} sees all nodes up", lb.all_up)


def pillar(fleet, old, new):
    path = f"{fleet.root}/pillar/prod.sls"
    with open(path) as f:
        text = f.read()
    assert old in text, text
    with open(path, "w") as f:
        f.write(text.replace(old, new))


def probe(fleet):
    return run(fleet, "status", "--probe", "prod").stdout.split("asked now:")[1]


def line(text, node):
    return next(at for at in text.splitlines() if at.split()[:1] == [node.id])


def test_a_one_shot_and_a_stopped_program_are_given_back_so(fleet):
    """`programs: [all]`: what had ended, or was stopped by hand, is so afterwards."""
    for n in fleet.nodes:
        conf(n, more="[program:once]\ncommand=/bin/true\nstartsecs=0\nautorestart=false\n"
                     "[program:idle]\ncommand=sleep 1000\nautostart=false\n")
        n.supervisorctl("update")
        up(n)
    pillar(fleet, "programs: [site]", "programs: [all]")
    release(fleet, "v2")
    expect_world(fleet, "v2")
    for n in fleet.nodes:
        states = n.supervisorctl("status")
        assert "EXITED" in states and "STOPPED" in states, states
        n.supervisorctl("stop", "idle")
    pillar(fleet, "programs: [all]", "programs: [site]")


def test_the_revision_s_own_configuration_is_taken_in(fleet):
    """New environment with the revision: reread and updated, and back again with it. A file of the node is told of."""
    work = f"{fleet.dir}/origin.work"
    for n in fleet.nodes:
        conf(n, more=f"[include]\nfiles={n.current}/etc/*.conf\n")
        n.supervisorctl("update")
    for version, stage in (("v8", "one"), ("v9", "two")):
        os.makedirs(f"{work}/etc", exist_ok=True)
        with open(f"{work}/etc/worker.conf", "w") as f:
            f.write("[program:worker]\ncommand=sleep 1000\nstartsecs=0\ndirectory=%(here)s\n"
                    f'environment=STAGE="{stage}"\n')
        fleet.revs[version] = add_commit(fleet.dir, version)
    pillar(fleet, "programs: [site]", "programs: [site, worker]")

    def stages():
        found = []
        for n in fleet.nodes:
            with open(f"/proc/{n.supervisorctl('pid', 'worker').strip()}/environ") as f:
                found += [at[6:] for at in f.read().split("\0") if at.startswith("STAGE=")]
        return found
    release(fleet, "v8")
    assert stages() == ["one", "one"]
    release(fleet, "v9")
    assert stages() == ["two", "two"]
    run(fleet, "rollback", "--yes", "prod")
    assert stages() == ["one", "one"]
    expect_world(fleet, "v8")
    conf(fleet.nodes[0], more=f'[program:other]\ncommand=sleep 1\n[include]\nfiles={fleet.nodes[0].current}/etc/*.conf\n')
    pillar(fleet, "conf: \"", "reread: no, conf: \"")
    pillar(fleet, "programs: [site, worker]", "programs: [all]")
    said = run(fleet, "check", "prod")
    assert "warning: app1" in said.stderr and "other available" in said.stderr, told(said)
    pillar(fleet, "reread: no, ", "")
    pillar(fleet, "programs: [all]", "programs: [site]")
    for n in fleet.nodes:
        conf(n)
        n.supervisorctl("update")
        up(n)
    release(fleet, "v2")


def test_status_says_as_released_only_where_it_is(fleet):
    one, two = fleet.nodes
    text = probe(fleet)
    assert "as released" in line(text, one) and "as released" in line(text, two) and "MIXED" not in text, text
    # Old code under a new link, and then a whole node on another revision.
    link = os.readlink(one.current)
    release_v8 = next(r for r in os.listdir(f"{one.srv}/releases") if r.startswith(fleet.revs["v8"][:12]))
    os.remove(one.current)
    os.symlink(f"releases/{release_v8}", one.current)
    text = probe(fleet)
    assert "OLD CODE" in line(text, one) and "as released" not in line(text, one), text
    one.supervisorctl("restart", "site")
    up(one)
    text = probe(fleet)
    assert "DRIFT" in line(text, one) and "MIXED" in text and fleet.revs["v8"][:12] in text, text
    assert '"mixed":true' in run(fleet, "status", "--probe", "--json", "prod").stdout
    os.remove(one.current)
    os.symlink(link, one.current)
    one.supervisorctl("restart", "site")
    up(one)
    two.supervisorctl("stop", "site")
    text = probe(fleet)
    assert "as released" in line(text, one) and "DOWN: site STOPPED" in line(text, two), text
    two.supervisorctl("shutdown")
    wait_for("supervisord is gone", lambda: two.supervisord.poll() is not None)
    text = probe(fleet)
    assert "supervisord does not answer" in line(text, two) and "as released" not in line(text, two), text
    two.start_supervisord()
    up(two)


def test_only_the_outdated(fleet):
    """The same revision again restarts nobody who runs it."""
    one, two = fleet.nodes
    before = one.supervisorctl("pid", "site"), two.supervisorctl("pid", "site")
    said = release(fleet, "v2", "--only-outdated")
    assert "nothing to do" in said.stdout + said.stderr, told(said)
    two.supervisorctl("stop", "site")
    release(fleet, "v2", "--only-outdated")
    assert two.supervisorctl("pid", "site") != before[1]
    up(two)
    assert one.supervisorctl("pid", "site") == before[0]
    release(fleet, "v7", "--only-outdated")
    expect_world(fleet, "v7")
    release(fleet, "v2")


def test_a_program_outside_the_release_is_found_by_check(fleet):
    """supervisord's directory= leads elsewhere: every release would be "done" and change nothing."""
    one = fleet.nodes[0]
    shutil.copytree(os.path.realpath(one.current), f"{one.dir}/elsewhere")
    conf(one, app_dir=f"{one.dir}/elsewhere")
    one.supervisorctl("update")
    up(one)
    said = run(fleet, "check", "prod", status=6).stderr
    assert "app1: what runs there is not seen to come from the release" in said, said
    assert f"works in {one.dir}/elsewhere" in said and "directory=" in said, said
    assert "cannot be told" in line(probe(fleet), one)
    conf(one)
    one.supervisorctl("update")
    up(one)


def test_a_proxy_on_the_port_is_found_by_check(fleet):
    """The node's port is a proxy's, the programs hold another one."""
    one = fleet.nodes[0]
    front = fleet.base + 95
    pillar(fleet, f"host: {one.host}, port: {one.port},", f"host: {one.host}, port: {front},")
    with open(f"{one.dir}/proxy.py", "w") as f:
        f.write(f"import socket, time\ns = socket.socket()\ns.bind(('{one.host}', {front}))\ns.listen()\ntime.sleep(600)\n")
    proxy = spawn(fleet.dir, "proxy", ["/usr/bin/python3", "-S", f"{one.dir}/proxy.py"])
    try:
        wait_for("the proxy listens", lambda: can_connect(one.host, front))
        refused(fleet, ["check", "prod"], 6, "app1", f"port {front} is held by pid {proxy.pid}",
                f"`supervisor: port: {one.port}`")
    finally:
        proxy.kill()


def test_a_node_that_left_the_pillar_is_told_as_gone(fleet):
    """Not for ever as if it served."""
    one, two = fleet.nodes
    fleet.write_pillar()
    fleet.write_pillar(min_up="0", servers=f"    {one.id}: {{host: {one.host}, port: {one.port}, dir: {one.srv}, "
                                           f"ssh: {{port: {one.ssh_port}}}}}")
    assert "gone" not in run(fleet, "status", "prod").stdout
    release(fleet, "v2")
    text = run(fleet, "status", "prod").stdout
    assert "gone       app2: no nodes of prod any more" in text and line(text.split("as last known:")[1], one), text
    assert '"gone":["app2"]' in run(fleet, "status", "--json", "prod").stdout
