# SPDX-License-Identifier: MIT
"""The rolling restart as a careful person would do it by hand, and as a careless one would: they prove the rig."""
import subprocess

from daemons import wait_for


def restart(node):
    before = node.get("/rev")[1]["X-Pid"]
    out = node.supervisorctl("restart", "site")
    assert "started" in out, out
    wait_for(f"{node.id} answers again",
             lambda: node.running_rev() and node.get("/health")[0] == 200 and node.get("/rev")[1]["X-Pid"] != before)


def drained_restart(fleet, node):
    for lb in fleet.lbs:
        lb.set_state(node.id, "drain")
    wait_for(f"{node.id} idle", lambda: all(int(lb.server(node.id)["scur"]) == 0 for lb in fleet.lbs), seconds=30)
    restart(node)
    for lb in fleet.lbs:
        lb.set_state(node.id, "ready")
    wait_for(f"{node.id} up", lambda: all(lb.status()[node.id] == "UP" for lb in fleet.lbs))


def kill_restart(node):
    """No drain and no mercy: what happens to a fleet whose restart is a `kill -9`."""
    pid = node.get("/rev")[1]["X-Pid"]
    subprocess.run(["kill", "-9", pid], check=True)
    wait_for(f"{node.id} answers again", lambda: node.running_rev() and node.get("/rev")[1]["X-Pid"] != pid)
