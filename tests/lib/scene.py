# SPDX-License-Identifier: MIT
"""What scenarios say again and again."""
import os
import random
import re
import signal

import oracle
from daemons import can_connect, wait_for


def told(result):
    """All that a run printed: for the message of a failing assertion."""
    return f"exit status {result.returncode}\n--- stdout\n{result.stdout[-6000:]}\n--- stderr\n{result.stderr[-4000:]}"


def expect(result, status):
    assert result.returncode == status, f"wanted exit status {status}, got " + told(result)
    bad = re.search(r"ERROR: \w*Sanitizer|runtime error:|WARNING: ThreadSanitizer|must\(.*failed", result.stderr)
    assert not bad, told(result)
    return result


def expect_world(fleet, version, **more):
    problems = oracle.settle(fleet, fleet.revs[version], **more)
    assert problems == [], "\n".join(problems)


def run(fleet, *args, status=0, **more):
    return expect(fleet.release(*args, **more), status)


def release(fleet, version, *args, status=0, **more):
    return run(fleet, "run", "--rev", fleet.revs[version], "--yes", *args, "prod", status=status, **more)


def dies(fleet, version, point):
    """A release that is killed at a failpoint: "haproxy.drain:1" is when that is done, and no journal knows it."""
    return release(fleet, version, status=-signal.SIGKILL, env={"RELEASE_FAIL": point})


def release_that_dies(fleet, version, *points):
    """A release whose controller dies at the first point, each resume at the next one; the last resume lives. RELEASE_SWEEP=70 lets ten
    more die, a few commits after they began."""
    order, rng = ["run", "--rev", fleet.revs[version], "--yes", "prod"], random.Random(int(os.environ.get("RELEASE_SWEEP_SEED", "1")))
    drawn = [f"commit-after:{rng.randint(1, 12)}" for _ in range(int(os.environ.get("RELEASE_SWEEP", "0")) // 7)]
    for point in [*points, *drawn]:
        result = fleet.release(*order, env={"RELEASE_FAIL": point})
        if result.returncode == 0 and point in drawn:
            return result
        assert result.returncode == -signal.SIGKILL, f"{' '.join(order)} did not die at {point}: " + told(result)
        order = ["resume", "--yes", "prod"]
    return run(fleet, *order)


def snapshot(fleet):
    """What "nothing touched" is about: processes, trees, links, the runner's traces, balancers."""
    nodes = {}
    for n in fleet.nodes:
        tree = sorted(os.path.join(d, x) for top in (n.srv, n.home) for d, ds, fs in os.walk(top)
                      for x in ds + fs if ".git" not in d)
        link = os.readlink(f"{n.srv}/current") if os.path.islink(f"{n.srv}/current") else ""
        nodes[n.id] = (oracle.pid_listening(n.host, n.port), link, tree)
    # "UP 1/2" is how far the balancer's own checks are: not what anybody touched.
    lbs = {lb.name: (lb.admin_state(), {server: status.split()[0] for server, status in lb.status().items()})
           for lb in fleet.lbs}
    return {"nodes": nodes, "lbs": lbs}


def refused(fleet, args, status, *words):
    """The product must refuse args with that status, say all the words, and touch nothing."""
    before = snapshot(fleet)
    result = run(fleet, *args, status=status)
    text = result.stdout + result.stderr
    for word in words:
        assert word.lower() in text.lower(), f"'{word}' is not said: " + told(result)
    assert snapshot(fleet) == before, "something was touched: " + told(result)
    return text


# Moments of a release, seen from outside: {name: test(fleet, node, rev)}
def drained(fleet, node, rev):
    return any(lb.admin_state()[node.id] for lb in fleet.lbs)


def drained_everywhere(fleet, node, rev):
    return all(lb.admin_state()[node.id] for lb in fleet.lbs)


def stopped(fleet, node, rev):
    return not can_connect(node.host, node.port)


def switched(fleet, node, rev):
    link = f"{node.srv}/current"
    return os.path.islink(link) and rev[:12] in os.readlink(link)


def started(fleet, node, rev):
    return node.running_rev() == rev


def enabled(fleet, node, rev):
    return started(fleet, node, rev) and not drained(fleet, node, rev)


def unpacked(fleet, node, rev):
    releases = f"{node.srv}/releases"
    return os.path.isdir(releases) and any(name.startswith(rev[:12]) for name in os.listdir(releases))


def journal_there(fleet, node, rev):
    return os.path.exists(fleet.state)


def start_release(fleet, version, *args, **more):
    return fleet.release_start("run", "--rev", fleet.revs[version], "--yes", *args, "prod", **more)


def signal_when(fleet, process, version, node_id, moment, number=signal.SIGKILL):
    """Sends the signal the moment `moment` is true of the node; then waits for the end; returns the exit status."""
    node, rev = fleet.node(node_id), fleet.revs[version]
    wait_for(f"{node_id}: {moment.__name__}",
             lambda: moment(fleet, node, rev) or process.poll() is not None, seconds=90, every=0.003)
    assert process.poll() is None, (f"the release ended with {process.returncode} before '{moment.__name__}': "
                                    + fleet.log("release.out")[-3000:] + fleet.log("release.err")[-3000:])
    process.send_signal(number)
    return process


def end(process, fleet, seconds=120):
    """Waits; returns the exit status. The output is in log/release.out and .err."""
    try:
        return process.wait(timeout=seconds)
    except Exception:
        process.kill()
        process.wait()
        raise AssertionError(f"did not end within {seconds} s: " + fleet.log("release.out")[-4000:])


def texts(fleet, name="release"):
    return fleet.log(f"{name}.out")[-5000:] + fleet.log(f"{name}.err")[-3000:]
