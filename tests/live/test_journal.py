# SPDX-License-Identifier: MIT
"""A journal that is damaged, from a newer version, or on a full disk: said, and nothing touched."""
import os
import resource
import shutil
import signal
import sqlite3
import subprocess

from oracle import open_journal
from scene import expect_world, refused, release, run, snapshot

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}
RUN = ["run", "--rev", "v7", "--yes", "prod"]


def test_newer_version(fleet):
    release(fleet, "v2")
    shutil.copy(fleet.state, fleet.state + ".good")
    db = sqlite3.connect(fleet.state)
    db.execute("pragma user_version = 9999")
    db.commit()
    db.close()
    refused(fleet, RUN, 7, "newer")
    os.replace(fleet.state + ".good", fleet.state)


def test_garbage(fleet):
    os.rename(fleet.state, fleet.state + ".good")
    for end in ("-wal", "-shm"):
        if os.path.exists(fleet.state + end):
            os.unlink(fleet.state + end)
    with open(fleet.state, "w") as f:
        f.write("this is no journal\n" * 100)
    refused(fleet, RUN, 7, os.path.basename(fleet.state))
    with open(fleet.state) as f:
        assert f.read().startswith("this is no journal"), "somebody's file was overwritten"
    os.replace(fleet.state + ".good", fleet.state)


def test_no_space(fleet):
    """A limit on the size of files stands in for the full disk: no change may start without its row."""
    before = snapshot(fleet)
    size = os.path.getsize(fleet.state) + 20000

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails with EFBIG, as it does with ENOSPC
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    result = subprocess.run(fleet.argv(*RUN), env=fleet.environ(), capture_output=True, text=True, timeout=120,
                            stdin=subprocess.DEVNULL, preexec_fn=limit, restore_signals=False)
    assert result.returncode == 7, result
    text = (result.stdout + result.stderr).lower()
    assert "journal" in text, text
    after = snapshot(fleet)
    changed = [n for n in before["nodes"] if before["nodes"][n][0] != after["nodes"][n][0]]
    stops = {r["node"] for r in open_journal(fleet.state).execute(
        "select node from journal where kind = 'intent' and verb = 'supervisord.stop' and release = (select max(id) from releases)")}
    assert len(changed) <= 1 and set(changed) <= stops, f"{changed} changed, and the journal knows of {stops}"
    done = fleet.release("resume", "--yes", "prod")
    assert done.returncode in (0, 2), done
    if done.returncode == 2:
        run(fleet, *RUN)
    expect_world(fleet, "v7", finished=False)
