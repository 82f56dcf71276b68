# SPDX-License-Identifier: MIT
"""Floods (docs/promises.md#i8, row 47): whatever a node prints, the controller stays small, the journal keeps head, tail,
count and hash, and the command on the node is not held up.

FLOOD_MB is the size of each flood: 200 here; `FLOOD_MB=1024 BUILD_DIR=... pytest -s test_flood.py` is the big one. The
times are told always, and judged only there, without sanitizers: a busy machine is no reason to fail."""
import hashlib
import os
import subprocess
import time

import pytest
from oracle import journal_problems, open_journal
from scene import texts

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}
MB = 1 << 20
SIZE = int(os.environ.get("FLOOD_MB", "200"))
BIG = "FLOOD_MB" in os.environ
HEAD, TAIL, STEP_MAX = 768 << 10, 224 << 10, 1 << 20

FLOODS = {
    "lines": f"yes 'a line of a talkative build' | head -c {SIZE * MB}",
    "one-line": f"head -c {SIZE * MB // 2} /dev/zero | tr '\\0' x",
    "both-streams": f"yes out | head -c {SIZE * MB // 2} & yes err | head -c {SIZE * MB // 2} >&2; wait",
    "bytes": f"head -c {SIZE * MB // 4} /dev/urandom",
}


def sanitized():
    with open(os.environ["RELEASE_BIN"], "rb") as f:
        data = f.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def limit_mib():
    """Sanitizers keep what was freed and shadow what is used: there only "it does not grow with the flood" is judged."""
    return 64 if not sanitized() else 128


def timed(fleet, command):
    """The same command, that also leaves its own seconds on the node: how long the build took there."""
    return f"t=$(date +%s%N); {{ {command}; }}; echo $(( ($(date +%s%N) - t) / 1000000 )) >{fleet.dir}/took"


def took(fleet):
    with open(f"{fleet.dir}/took") as f:
        return max(int(f.read()) / 1000, 0.05)


def plain_ssh(fleet, command):
    """Seconds that the same takes with nothing but ssh: (in all, on the node)."""
    node, began = fleet.nodes[0], time.monotonic()
    subprocess.run(["ssh", "-F", "none", "-i", fleet.key, "-p", str(node.ssh_port), "-o",
                    f"UserKnownHostsFile={fleet.known_hosts}", node.host, timed(fleet, command)], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began, took(fleet)


def memory_most(pid):
    """MiB at most so far, of this program alone: what wait4 tells has its parent's size in it."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next((int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def measured(fleet, command):
    """(exit status, seconds, MiB at most)."""
    began, most = time.monotonic(), 0
    env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"}
    process = fleet.release_start("exec", "--only", "app1", "--timeout", "5m", "prod", "--", command, env=env)
    while True:
        try:
            return process.wait(timeout=0.02), time.monotonic() - began, most
        except subprocess.TimeoutExpired:
            most = max(most, memory_most(process.pid))


def kept(fleet):
    """What the journal has of the last release: {stream: bytes}, and its row of totals."""
    db = open_journal(fleet.state)
    last = db.execute("select max(id) from releases").fetchone()[0]
    streams = {}
    for r in db.execute("select stream, data from outputs where release = ? order by id", (last,)):
        streams[r["stream"]] = streams.get(r["stream"], b"") + r["data"]
    return streams, db.execute("select * from output_ends where release = ?", (last,)).fetchall()


@pytest.mark.parametrize("name", FLOODS)
def test_flood(fleet, name):
    command = FLOODS[name]
    floor, floor_there = plain_ssh(fleet, command)
    status, seconds, mib = measured(fleet, timed(fleet, command))
    there = took(fleet)
    print(f"{name}: {mib:.0f} MiB at most; on the node {there:.1f} s, by plain ssh {floor_there:.1f} s "
          f"({there / floor_there:.2f}x); in all {seconds:.1f} s, {floor:.1f} s ({seconds / floor:.2f}x)")
    assert status == 0, texts(fleet)
    assert mib < limit_mib(), f"{mib:.0f} MiB (wanted under {limit_mib()})"
    streams, ends = kept(fleet)
    total = sum(e["total_bytes"] for e in ends)
    wanted = SIZE * MB // {"one-line": 2, "bytes": 4}.get(name, 1)
    assert total == wanted, f"counted {total} bytes (wanted {wanted})"
    assert sum(len(data) for data in streams.values()) <= STEP_MAX
    assert all(e["cut"] and len(e["sha256"]) == 64 for e in ends)
    assert streams.pop(0).startswith(b"output cut: ")
    shown = b"".join(streams.values())
    assert len(shown) >= HEAD, len(shown)
    if name == "lines":
        whole = (b"a line of a talkative build\n" * (wanted // 28 + 1))[:wanted]
        assert ends[0]["sha256"] == hashlib.sha256(whole).hexdigest()
        assert shown[:HEAD] == whole[:HEAD] and shown[-1000:] == whole[-1000:]
    if name == "one-line":
        assert ends[0]["sha256"] == hashlib.sha256(b"x" * wanted).hexdigest()
    if name == "both-streams":
        assert b"out\n" in shown and b"err\n" in shown
    assert journal_problems(fleet.state) == []
    assert "output cut: " in fleet.log("release.out"), "nobody is told that output was cut: " + texts(fleet)[-600:]
    if BIG and not sanitized():
        assert there <= 2 * floor_there + 0.5, f"the build was held up: {there:.1f} s instead of {floor_there:.1f} s"


def test_the_log_of_a_flood_is_small_and_quick(fleet):
    result = fleet.release("log", "1", timeout=60)
    assert result.returncode == 0 and len(result.stdout) < 4 * STEP_MAX, len(result.stdout)
