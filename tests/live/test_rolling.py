# SPDX-License-Identifier: MIT
"""The main promise: a release, and the way back, under load, without one failed request."""
import os
import stat

from load import Load
from scene import expect_world, refused, release, run

FLEET = {"varnish": None}


def test_release_under_load(fleet):
    with Load(fleet, rate=250) as load:
        load.run_on(0.5)
        release(fleet, "v2")
        load.run_on(1)
    print(load.summary())
    assert load.problems() == []
    assert set(load.report["revisions"]) == {fleet.revs["v1"], fleet.revs["v2"]}
    expect_world(fleet, "v2")


def test_rollback_under_load(fleet):
    with Load(fleet, rate=250) as load:
        run(fleet, "rollback", "--yes", "prod")
        load.run_on(0.5)
    print(load.summary())
    assert load.problems() == []
    expect_world(fleet, "v1")


def test_same_again_by_branch_needs_no_build(fleet):
    """v1 -> v2 once more: the directory is there and complete."""
    release(fleet, "v2")
    expect_world(fleet, "v2")
    release(fleet, "v2")
    expect_world(fleet, "v2")


def test_shared_paths_begin_as_the_pillar_says(fleet):
    """First content comes from here and is kept like a secret; modes that differ are told before anything is touched."""
    key = f"{fleet.dir}/operator/shop.key"
    with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write("one\ntwo-7b1e-never-told\n")
    fleet.write_pillar(extra=f'  shared: [{{path: config/key, file: yes, mode: "0640", from: "file:{key}"}}]\n')
    done = release(fleet, "v1")
    for n in fleet.nodes:
        there = f"{n.srv}/shared/config/key"
        assert os.readlink(f"{n.srv}/current/config/key") == there
        assert stat.S_IMODE(os.stat(there).st_mode) == 0o640
        with open(there) as f:
            assert f.read() == "one\ntwo-7b1e-never-told\n"
    told = (done.stdout + done.stderr).encode()
    for name in os.listdir(os.path.dirname(fleet.state)):
        with open(f"{os.path.dirname(fleet.state)}/{name}", "rb") as f:
            told += f.read()
    assert fleet.revs["v1"].encode() in told and b"never-told" not in told

    os.chmod(f"{fleet.nodes[1].srv}/shared/config/key", 0o600)
    args = "run", "--rev", fleet.revs["v2"], "--yes", "prod"
    refused(fleet, args, 6, f"app2: {fleet.nodes[1].srv}/shared/config/key has mode 600, wanted 640")
    expect_world(fleet, "v1")
    os.remove(f"{fleet.nodes[1].srv}/shared/config/key")
    os.remove(key)
    refused(fleet, args, 2, key)
    expect_world(fleet, "v1")
