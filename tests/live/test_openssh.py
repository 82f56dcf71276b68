# SPDX-License-Identifier: MIT
"""transport: openssh, the system's own ssh program, also with an RSA key that libssh2 cannot use."""
import os
import shutil

from load import Load
from scene import expect_world, refused, release

FLEET = {"varnish": None, "n_nodes": 3, "ssh": "openssh"}


def test_release_under_load(fleet):
    with Load(fleet, rate=150) as load:
        release(fleet, "v2")
    assert load.problems() == []
    expect_world(fleet, "v2")


def test_rsa_key(fleet):
    key = f"{fleet.dir}/keys/rsa"
    fleet.keygen(key, "rsa", "-b", "2048")
    shutil.copy(key + ".pub", f"{fleet.dir}/keys/authorized_keys")
    fleet.key = key
    fleet.write_pillar()
    release(fleet, "v7")
    expect_world(fleet, "v7")


def test_rsa_key_over_ssh_says_to_use_openssh(fleet):
    fleet.write_pillar(transport="ssh")
    refused(fleet, ["run", "--rev", "v2", "--yes", "prod"], 6, "rsa", "openssh")


def test_master_connections_are_closed(fleet):
    left = [p for p in os.popen("ps -eo pid,args").read().splitlines() if fleet.net in p and "ControlMaster" in p]
    assert left == []
