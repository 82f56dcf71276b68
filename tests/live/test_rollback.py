# SPDX-License-Identifier: MIT
"""Back to what each node ran before: the last release, an older one, a mixed fleet, and when there is nothing; to a
revision, and to what ran before a release, whatever became of that one."""
import os
import signal

from daemons import wait_for
from scene import end, expect_world, refused, release, run, start_release

FLEET = {"varnish": None, "n_nodes": 3}


def test_nothing_to_roll_back(fleet):
    refused(fleet, ["rollback", "--yes", "prod"], 2)


def test_last_release(fleet):
    release(fleet, "v2")
    release(fleet, "v7")
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v2")


def test_again_goes_further_back_and_by_number_forward(fleet):
    """Release 2 is taken back already: a second rollback must not bring v7 again."""
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v1")
    refused(fleet, ["rollback", "--yes", "prod"], 2, "no finished release to take back")
    run(fleet, "rollback", "--release", "4", "--yes", "prod")
    expect_world(fleet, "v2")


def test_older_release(fleet):
    """Release 2 went from v2 to v7, release 1 from v1 to v2: undoing 1 leads to v1."""
    run(fleet, "rollback", "--release", "1", "--yes", "prod")
    expect_world(fleet, "v1")


def test_each_node_to_its_own(fleet):
    """--only left the fleet mixed on purpose; the way back restores exactly that."""
    release(fleet, "v2", "--only", "app2")
    mixed = [n.running_rev() for n in fleet.nodes]
    assert mixed == [fleet.revs[v] for v in ("v1", "v2", "v1")]
    release(fleet, "v7")
    expect_world(fleet, "v7")
    run(fleet, "rollback", "--yes", "prod")
    assert [n.running_rev() for n in fleet.nodes] == mixed


def runs(fleet, *versions):
    assert [n.running_rev() for n in fleet.nodes] == [fleet.revs[v] for v in versions]


def test_a_release_of_one_node_says_what_it_is(fleet):
    """Only app2 goes back, and who meant more is told how."""
    before = fleet.nodes[0].supervisorctl("pid", "site")
    told = run(fleet, "rollback", "--yes", "prod").stderr
    assert "release 7 was of 1 node only (2 left out)" in told and "--to REV" in told, told
    runs(fleet, "v1", "v1", "v1")
    assert before == fleet.nodes[0].supervisorctl("pid", "site")


def test_before_a_release_is_for_all_nodes(fleet):
    """Release 8 found v1, v2, v1; what runs that already is left alone. It is a release like any other, of one node."""
    pids = [n.supervisorctl("pid", "site") for n in fleet.nodes]
    told = run(fleet, "rollback", "--before", "8", "--yes", "prod")
    runs(fleet, "v1", "v2", "v1")
    assert "app1: runs" in told.stderr and "app3: runs" in told.stderr and "app2: runs" not in told.stderr, told.stderr
    after = [n.supervisorctl("pid", "site") for n in fleet.nodes]
    assert [a == b for a, b in zip(pids, after)] == [True, False, True]


def test_what_changes_nothing_does_nothing(fleet):
    text = refused(fleet, ["rollback", "--before", "8", "--yes", "prod"], 0, "nothing to change", "nothing was touched")
    assert text.count("runs") >= 3, text
    release(fleet, "v2")
    release(fleet, "v2")
    refused(fleet, ["rollback", "--yes", "prod"], 0, "nothing to change")
    refused(fleet, ["rollback", "--to", "v2", "--yes", "prod"], 0, "nothing to change")


def test_to_a_revision(fleet):
    refused(fleet, ["rollback", "--to", "v99", "--yes", "prod"], 6, "revision 'v99'")
    refused(fleet, ["rollback", "--to", "-x y", "--yes", "prod"], 2, "is not a revision")
    refused(fleet, ["rollback", "--to", "v1", "--before", "3", "--yes", "prod"], 2, "give one")
    refused(fleet, ["rollback", "--before", "99", "--yes", "prod"], 2, "there is no release 99")
    run(fleet, "rollback", "--to", "v7", "--yes", "prod")
    expect_world(fleet, "v7")
    refused(fleet, ["rollback", "--yes", "prod"], 2, "a revision that was named", "--release", "--before")


def test_one_that_failed_by_itself_is_not_gone_too_far_behind(fleet):
    release(fleet, "v2")
    failed = release(fleet, "v6", status=1)
    number = failed.stderr.split("release log ")[1].split("'")[0]
    refused(fleet, ["rollback", "--before", number, "--yes", "prod"], 0, "nothing to change")
    told = run(fleet, "rollback", "--yes", "prod").stderr
    last = int(number)
    assert f"release {last} failed and switched nothing; this takes back release {last - 1}" in told, told
    expect_world(fleet, "v7")


def test_killed_before_its_plan_was_frozen(fleet):
    """The finished release before it is not what is meant."""
    release(fleet, "v2")
    listener = fleet.nodes[0].sshd
    os.kill(listener.pid, signal.SIGSTOP)
    try:
        process = start_release(fleet, "v7")
        wait_for("the lock is taken", lambda: "releasing" in run(fleet, "status", "prod").stdout, seconds=30)
        process.send_signal(signal.SIGKILL)
        end(process, fleet)
    finally:
        os.kill(listener.pid, signal.SIGCONT)
    told = refused(fleet, ["rollback", "--yes", "prod"], 2, "died before its plan was frozen", "nothing of it was touched")
    last = told.split("--release ")[1].split()[0]
    run(fleet, "rollback", "--release", last, "--yes", "prod")
    expect_world(fleet, "v7")
