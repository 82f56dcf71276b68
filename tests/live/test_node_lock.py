# SPDX-License-Identifier: MIT
"""The lock on the nodes themselves, between controllers with journals of their own: exactly one changes anything, losers
are told by whom the nodes are held; a dead holder's lock stays, its own journal goes on, another one only after a person
broke it; a holder that was paused and taken over finds every late command refused. RELEASE_RACES=500 races as often."""
import glob
import os
import random
import signal
import subprocess

import oracle
import pytest
import scene
from daemons import wait_for
from scene import end, expect_world, release, run, signal_when, snapshot, start_release, told

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 1, "pillar": {"stages": "[100%]"}}
RACES = int(os.environ.get("RELEASE_RACES", "4"))


def other_host(fleet, *args, journal="other", status=None):
    """The product on another control host: a host name and a journal of its own."""
    argv = fleet.argv(*args)
    argv[argv.index("--state") + 1] = f"{fleet.dir}/state/{journal}.db"
    name = f"hostname {journal}-host && exec \"$@\"" if os.getuid() == 0 else "exec \"$@\""
    unshare = ["unshare", "--uts"] if os.getuid() == 0 else []
    result = subprocess.run(unshare + ["sh", "-c", name, "sh", *argv], env=fleet.environ(), capture_output=True,
                            text=True, timeout=120, stdin=subprocess.DEVNULL, cwd=fleet.dir)
    if status is not None:
        assert result.returncode == status, told(result)
    return result


def place(node):
    """The runner's directory on the node: one for the directory that is released there."""
    found = glob.glob(f"{node.home}/.release/at/*")
    assert len(found) == 1, found
    return found[0]


def fences(fleet):
    """[(number, owner, holder)] of the nodes, from their own files."""
    found = []
    for n in fleet.nodes:
        with open(place(n) + "/fence") as f:
            found.append(tuple(f.read().strip().split(" ", 2)))
    return found


def last_step_ended(node):
    with open(f"{place(node)}/current") as f:
        return os.path.getsize(f"{place(node)}/jobs/{f.read().strip()}.rc") > 0


def test_free_after_a_release(fleet):
    release(fleet, "v2")
    assert [owner for _, owner, _ in fences(fleet)] == ["-", "-"], fences(fleet)


def test_another_host_is_refused_while_one_releases(fleet):
    process = start_release(fleet, "v7")
    wait_for("app1 drained", lambda: scene.drained(fleet, fleet.nodes[0], ""), seconds=60, every=0.01)
    result = other_host(fleet, "run", "--rev", fleet.revs["v1"], "--yes", "prod")
    assert result.returncode == 3, told(result)
    assert end(process, fleet) == 0, scene.texts(fleet)
    expect_world(fleet, "v7")
    assert [owner for _, owner, _ in fences(fleet)] == ["-", "-"]


def test_dead_holder_keeps_the_nodes_until_its_journal_goes_on(fleet):
    """The other journal's numbers are as high, so that only the owner can refuse it."""
    process = signal_when(fleet, start_release(fleet, "v2"), "v2", "app1", scene.stopped, signal.SIGKILL)
    end(process, fleet)
    number = fences(fleet)[0][0]
    other_host(fleet, "unlock", "prod", "--force", "--fence", "1", "--reason", "a journal of its own", status=0)
    for _ in range(int(number)):
        other_host(fleet, "lock", "prod", "--reason", "count up", status=0)
        other_host(fleet, "unlock", "prod", status=0)
    before = snapshot(fleet)["nodes"], fleet.lbs[0].admin_state()
    result = other_host(fleet, "run", "--rev", fleet.revs["v7"], "--yes", "prod")
    assert result.returncode == 3, told(result)
    assert "app1" in result.stderr and "held by" in result.stderr and f"grant {number}" in result.stderr, told(result)
    assert (snapshot(fleet)["nodes"], fleet.lbs[0].admin_state()) == before, "a loser touched something"
    assert fences(fleet)[0][0] == number
    run(fleet, "resume", "--yes", "prod")
    expect_world(fleet, "v2", finished=False)
    assert [owner for _, owner, _ in fences(fleet)] == ["-", "-"]


def test_a_person_may_take_the_nodes_and_the_late_holder_is_refused(fleet):
    """The first holder is paused, its host given up, the nodes taken over by another one; then it wakes."""
    process = start_release(fleet, "v7")
    signal_when(fleet, process, "v7", "app1", scene.drained, signal.SIGSTOP)
    number = fences(fleet)[0][0]
    other_host(fleet, "unlock", "prod", "--force", "--fence", number, "--reason", "ctl1 does not answer", status=0)
    # What the paused one left half done is for the one who takes over: app1 is out by its hand, and may be stopped by a
    # step that was on its way.
    wait_for("the last step on app1 has ended", lambda: last_step_ended(fleet.nodes[0]))
    fleet.nodes[0].supervisorctl("start", "site")
    wait_for("app1 answers", lambda: fleet.nodes[0].running_rev())
    for lb in fleet.lbs:
        lb.set_state("app1", "ready")
    wait_for("app1 up", lambda: fleet.lbs[0].all_up())
    other_host(fleet, "run", "--rev", fleet.revs["v1"], "--yes", "prod", status=0)
    wait_for("all as wanted", lambda: not oracle.balancer_problems(fleet))
    taken, before = fences(fleet), {n.id: oracle.pid_listening(n.host, n.port) for n in fleet.nodes}
    process.send_signal(signal.SIGCONT)
    status = end(process, fleet)
    assert status == 5, scene.texts(fleet)
    assert "taken over" in scene.texts(fleet) or "another journal" in scene.texts(fleet), scene.texts(fleet)
    assert fences(fleet) == taken, "the late holder wrote on a node"
    assert before == {n.id: oracle.pid_listening(n.host, n.port) for n in fleet.nodes}, "the late holder changed a process"
    assert [n.running_rev() for n in fleet.nodes] == [fleet.revs["v1"]] * 2
    # Its own journal still has the release: a resume is refused by the nodes; given up, the journal goes on above.
    run(fleet, "resume", "--yes", "prod", status=5)
    assert fences(fleet) == taken
    run(fleet, "unlock", "prod", "--force", "--fence", taken[0][0], "--reason", "ctl2 has gone on")
    release(fleet, "v2")
    expect_world(fleet, "v2", finished=False)


@pytest.mark.parametrize("point", ["node-claimed:1", "node-claimed:2", "node-freed:1"])
def test_dead_halfway_through_the_node_locks(fleet, point):
    """Whoever died there is named on the nodes, and his journal goes on without ado. Needs a build with failpoints."""
    at = next(v for v, rev in fleet.revs.items() if rev == fleet.nodes[0].running_rev())
    to = "v2" if at != "v2" else "v7"
    run(fleet, "run", "--rev", fleet.revs[to], "--yes", "prod", env={"RELEASE_FAIL": point}, status=-signal.SIGKILL)
    for number, owner, holder in fences(fleet):
        assert owner == "-" or (owner.startswith("j:") and "@" in holder and "since" in holder), (number, owner, holder)
    if "claimed" in point:
        assert [n.running_rev() for n in fleet.nodes] == [fleet.revs[at]] * 2
    release(fleet, to)
    expect_world(fleet, to, finished=False)
    assert [owner for _, owner, _ in fences(fleet)] == ["-", "-"]


# ---- races

PLAN = """# Says on every node that it was here, and stays until the others have lost.
revision: no
prepare:
  - cmd.run: {cmd: 'echo here >> mark; i=0; until [ -e GO ] || [ $i = 600 ]; do sleep 0.05; i=$((i+1)); done', cwd: "{dir}"}
"""


@pytest.fixture(scope="module")
def race(fleet):
    os.makedirs(f"{fleet.root}/plans", mode=0o700, exist_ok=True)
    with open(f"{fleet.root}/plans/mark.yml", "w") as f:
        f.write(PLAN.replace("GO", f"{fleet.dir}/go"))
    os.chmod(f"{fleet.root}/plans/mark.yml", 0o600)
    return random.Random(int(os.environ.get("RELEASE_RACES_SEED", "1")))


def started(fleet, journal, gate):
    """A contender of control host `journal`, waiting at the gate: a pipe whose end lets all go in one instant."""
    argv = fleet.argv("task", "mark", "prod", "--yes")
    argv[argv.index("--state") + 1] = f"{fleet.dir}/state/{journal}.db"
    uts, unshare = (f"hostname {journal}; ", ["unshare", "--uts"]) if os.getuid() == 0 else ("", [])
    return subprocess.Popen(unshare + ["sh", "-c", f"{uts}read -r gate; exec \"$@\" </dev/null", "sh", *argv],
                            env=fleet.environ(), stdin=gate, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, cwd=fleet.dir)


def race_once(fleet, journals):
    """All at once; then, when all but one have ended, that one is let go. [(exit status, what it said)]."""
    # No fence: controllers that have released here before are known by their numbers, these are not.
    fence = [place(n) + "/fence" for n in fleet.nodes]
    for path in [f"{fleet.dir}/go"] + [f"{n.srv}/mark" for n in fleet.nodes] + fence:
        if os.path.exists(path):
            os.unlink(path)
    gate, end_of_gate = os.pipe()
    runners = [started(fleet, journal, gate) for journal in journals]
    os.close(gate)
    os.close(end_of_gate)
    try:
        wait_for("all but one have ended", lambda: sum(p.poll() is None for p in runners) <= 1, seconds=60)
    finally:
        open(f"{fleet.dir}/go", "w").close()
        said = [p.communicate(timeout=60) for p in runners]
    return [(p.returncode, "".join(text)) for p, text in zip(runners, said)]


def judge(fleet, results):
    winners = [text for status, text in results if status == 0]
    losers = [(status, text) for status, text in results if status != 0]
    assert len(winners) == 1, results
    assert all(status == 3 and "held by" in text and "since" in text for status, text in losers), losers
    for n in fleet.nodes:
        with open(f"{n.srv}/mark") as f:
            assert f.read() == "here\n", f"{n.id}: more than one was here"
    assert [owner for _, owner, _ in fences(fleet)] == ["-", "-"], fences(fleet)


def test_races_on_one_host(fleet, race):
    """One journal, as of a command line, a chat room and a web page on one control host."""
    for _ in range(RACES // 2):
        judge(fleet, race_once(fleet, ["one"] * race.randint(2, 8)))


def test_races_of_hosts(fleet, race):
    """Journals of their own that never met: only the nodes can tell them apart. Some hosts have two contenders."""
    for i in range(RACES - RACES // 2):
        hosts = [f"ctl{i}-{k}" for k in range(race.randint(2, 6))]
        extra = [race.choice(hosts) for _ in range(race.randint(0, 8 - len(hosts)))]
        judge(fleet, race_once(fleet, hosts + extra))
