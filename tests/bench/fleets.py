#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a release costs: wall time, the controller's CPU and memory, and how long each node is out of rotation.

    BUILD_DIR=build/demo python3 tests/bench/fleets.py [4 | in-place | zero 6 | many 50 10 ...]

`zero N` does N releases and rollbacks in turn, one of a revision that fails its health check among them, under one load
of 300 requests a second with handlers of 150 ms.

Numbers, no verdict: compare medians of one machine in one run.
"""
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
BUILD = os.path.abspath(os.environ.get("BUILD_DIR", os.path.join(HERE, "..", "..", "build", "demo")))
os.environ.setdefault("RELEASE_BIN", f"{BUILD}/release")
os.environ.setdefault("RELEASE_LOAD", f"{BUILD}/tests/release-load")
from fleet import Fleet  # noqa: E402
from load import Load  # noqa: E402
from many import ManyFleet  # noqa: E402


def peak_of(pid):
    """Highest resident memory so far, kB. Not ru_maxrss: that remembers the Python that started it."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) for line in f if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def measured(fleet, *args):
    """Runs the product; (exit status, text of what it cost)."""
    with open(f"{fleet.dir}/log/measured.out", "w") as out:
        began = time.monotonic()
        process = subprocess.Popen(fleet.argv(*args), env=fleet.environ(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        peak_kb, pid = 0, 0
        while not pid:
            peak_kb = max(peak_kb, peak_of(process.pid))
            time.sleep(0.01)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    if process.returncode:
        print(fleet.log("measured.out")[-2000:])
    return (f"exit {process.returncode}, wall {wall:.2f} s, controller CPU {cpu * 1000:.0f} ms "
            f"({cpu * 1000 / max(1, len(fleet.nodes)):.1f} ms a node), memory {peak_kb / 1024:.1f} MB")


class OutTimes(threading.Thread):
    """How long each node is out of rotation, as the first balancer sees it."""

    def __init__(self, lb):
        super().__init__(daemon=True)
        self.lb, self.since, self.total, self.ended = lb, {}, {}, threading.Event()

    def run(self):
        while not self.ended.is_set():
            now, states, up = time.monotonic(), self.lb.admin_state(), self.lb.status()
            for name, bits in states.items():
                out = bits != 0 or up[name] != "UP"
                if out:
                    self.since.setdefault(name, now)
                elif name in self.since:
                    self.total[name] = self.total.get(name, 0) + now - self.since.pop(name)
            self.ended.wait(0.02)


def fleet_of_four(mode):
    with Fleet(mode=mode, varnish=None) as fleet:
        out = OutTimes(fleet.lbs[0])
        out.start()
        with Load(fleet) as load:
            print(f"{mode}, 4 nodes, one at a time: " + measured(fleet, "run", "--rev", "v2", "--yes", "prod"))
        out.ended.set()
        out.join()
        print("  out of rotation: " + ", ".join(f"{n} {s:.1f} s" for n, s in sorted(out.total.items())))
        print(f"  clients: {load.summary()}")


def fleet_of_zero(rounds):
    with Fleet(varnish=None) as fleet:
        with Load(fleet, rate=300) as load:
            for i in range(rounds):
                for args in (("run", "--rev", "v2", "--yes", "prod"), ("run", "--rev", "v3", "--yes", "prod"),
                             ("rollback", "--yes", "prod"))[:3 if i == 0 else 1]:
                    print(f"  {' '.join(args[:3])}: " + measured(fleet, *args))
                if i > 0:
                    print("  rollback: " + measured(fleet, "rollback", "--yes", "prod"))
        print(f"{rounds} rounds: {load.summary()}; problems: {load.problems() or 'none'}")


def fleet_of_many(n_nodes, window):
    with ManyFleet(n_nodes, window) as fleet:
        os.makedirs(f"{fleet.dir}/log", exist_ok=True)
        for rev in ("v2", "v7"):
            print(f"{n_nodes} nodes, {window} at a time, {rev}: " + measured(fleet, "run", "--rev", rev, "--yes", "prod"))


def main():
    words = sys.argv[1:] or ["4", "in-place", "many", "10", "1", "many", "50", "10"]
    while words:
        word = words.pop(0)
        if word == "many":
            fleet_of_many(int(words.pop(0)), int(words.pop(0)))
        elif word == "zero":
            fleet_of_zero(int(words.pop(0)))
        else:
            fleet_of_four("in-place" if word == "in-place" else "rolling")


main()
