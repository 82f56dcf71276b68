# SPDX-License-Identifier: MIT
"""Nodes that a release has to do without: what ran nothing before is stopped again where no balancer keeps requests away, and
a node that died, or left the pillar, keeps nobody from resume and rollback."""
import os
import shutil
import signal

import scene
from daemons import wait_for
from scene import end, refused, release, run, signal_when, start_release, told

FLEET = {"varnish": None, "balancers": 0, "n_nodes": 3, "pillar": {"min_up": None}}


def revisions(fleet):
    return [n.running_rev() for n in fleet.nodes]


def wanted(fleet, *versions):
    return [fleet.revs[v] for v in versions]


def server_lines(fleet, nodes):
    return "\n".join(f"    {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, ssh: {{port: {n.ssh_port}}}}}"
                     for n in nodes)


def dies(node):
    node.sshd.kill()
    node.sshd.wait()


def test_a_failed_first_release_leaves_nothing_running(fleet):
    """The application came up, its check did not: nothing ran before, so nothing runs after, and the next release goes."""
    for n in fleet.nodes:
        n.supervisorctl("stop", "site")
        for name in os.listdir(n.srv):
            path = f"{n.srv}/{name}"
            os.remove(path) if os.path.islink(path) else shutil.rmtree(path)
    failed = release(fleet, "v3", status=1)
    assert "app1: left out: it ran nothing before this release" in failed.stdout, told(failed)
    for n in fleet.nodes:
        assert n.running_rev() == "" and "STOPPED" in n.supervisorctl("status", "site"), n.id
    release(fleet, "v1")
    assert revisions(fleet) == wanted(fleet, "v1", "v1", "v1")


def test_rollback_goes_without_a_dead_node(fleet):
    release(fleet, "v2")
    dies(fleet.node("app3"))
    refused(fleet, ["rollback", "--yes", "prod"], 6, "app3")
    refused(fleet, ["rollback", "--exclude", "app9", "--yes", "prod"], 2, "--exclude: 'app9' is no node")
    run(fleet, "rollback", "--exclude", "app3", "--yes", "prod")
    assert revisions(fleet) == wanted(fleet, "v1", "v1", "v2")
    fleet.node("app3").start_sshd()
    wait_for("app3 answers", fleet.node("app3").ready)


def test_rollback_of_some_nodes_only(fleet):
    release(fleet, "v2")
    run(fleet, "rollback", "--only", "app2", "--yes", "prod")
    assert revisions(fleet) == wanted(fleet, "v2", "v1", "v2")
    release(fleet, "v2")


def interrupted(fleet, version):
    """Killed while app2 is stopped, app1 being done."""
    process = start_release(fleet, version)
    signal_when(fleet, process, version, "app2", scene.stopped)
    assert end(process, fleet) == -signal.SIGKILL


def test_resume_goes_without_a_dead_node(fleet):
    interrupted(fleet, "v7")
    dies(fleet.node("app3"))
    run(fleet, "resume", "--exclude", "app3", "--yes", "prod")
    assert revisions(fleet) == wanted(fleet, "v7", "v7", "v2")


def test_rollback_of_an_unfinished_release_drops_who_left_the_pillar(fleet):
    """app3 is still dead, and now no node of this environment any more."""
    fleet.node("app3").start_sshd()
    wait_for("app3 answers", fleet.node("app3").ready)
    interrupted(fleet, "v1")
    dies(fleet.node("app3"))
    fleet.write_pillar(servers=server_lines(fleet, fleet.nodes[:2]))
    back = run(fleet, "rollback", "--yes", "prod")
    assert "app3: left the pillar since; it is left as it is" in back.stdout + back.stderr, told(back)
    assert revisions(fleet) == wanted(fleet, "v7", "v7", "v2")
    release(fleet, "v2")
    run(fleet, "rollback", "--yes", "prod")
    assert revisions(fleet) == wanted(fleet, "v7", "v7", "v2")
