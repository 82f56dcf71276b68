# SPDX-License-Identifier: MIT
"""A node that does not answer, or hangs, is named before anything is touched."""
import os
import signal

from scene import expect_world, refused, release

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 3}
RUN = ["run", "--rev", "v2", "--yes", "prod"]


def test_refused_and_hanging_are_named_together(fleet):
    two, three = fleet.node("app2"), fleet.node("app3")
    two.sshd.terminate()
    two.sshd.wait()
    os.kill(three.sshd.pid, signal.SIGSTOP)
    refused(fleet, RUN, 6, "app2", "app3", str(two.ssh_port))
    os.kill(three.sshd.pid, signal.SIGCONT)
    two.start_sshd()
    fleet.wait_ready()


def test_login_refused(fleet):
    path = f"{fleet.dir}/keys/authorized_keys"
    os.rename(path, path + ".away")
    refused(fleet, RUN, 6, "app1", "key")
    os.rename(path + ".away", path)


def test_then_it_works(fleet):
    release(fleet, "v2")
    expect_world(fleet, "v2")
