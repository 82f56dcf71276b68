# SPDX-License-Identifier: MIT
"""An environment is an application's: two trees with a `prod` each, on one control host with the default journal, never
meet in lock, history, resume or rollback. And a directory on a machine has one owner at a time, whatever the environment
that releases into it is called."""
import os
import re
import shutil
import signal
import subprocess

import scene
from daemons import wait_for
from rooms import Room
from scene import signal_when, told
from serving import Serving

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 0, "pillar": {"stages": "[100%]", "min_up": None}}


def tree(fleet, name, app, node, env="prod"):
    """A tree of its own with the fleet's pillar, of another application on one of the nodes."""
    root = f"{fleet.dir}/{name}"
    os.makedirs(f"{root}/pillar", mode=0o700, exist_ok=True)
    n = fleet.nodes[node]
    text = open(f"{fleet.root}/pillar/prod.sls").read().replace("app: site", f"app: {app}")
    lines = [line for line in text.split("\n") if not line.startswith("    app") or line.startswith(f"    {n.id}:")]
    with open(f"{root}/pillar/{env}.sls", "w") as f:
        f.write("\n".join(lines))
    return root


def environ(fleet):
    """The default journal of one user, whoever runs the tests."""
    return fleet.environ(XDG_STATE_HOME=f"{fleet.dir}/operator/state")


def cli(fleet, root, *args, status=0):
    """As typed in that tree: --root, and the journal that everybody of this user has."""
    argv = [os.environ.get("RELEASE_BIN", "release"), args[0], "--root", root, *args[1:]]
    result = subprocess.run(argv, env=environ(fleet), capture_output=True, text=True, timeout=120,
                            stdin=subprocess.DEVNULL, cwd=fleet.dir)
    assert status is None or result.returncode == status, told(result)
    return result


def killed(fleet, root, rev, env):
    """A run that is killed while app1 is stopped."""
    argv = [os.environ.get("RELEASE_BIN", "release"), "run", "--root", root, "--rev", fleet.revs[rev], "--yes", env]
    process = subprocess.Popen(argv, env=environ(fleet), cwd=fleet.dir, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    signal_when(fleet, process, rev, "app1", scene.stopped, signal.SIGKILL)
    process.wait(30)


def revs(fleet):
    return [n.running_rev() for n in fleet.nodes]


def test_rollback_takes_back_what_this_tree_released(fleet):
    a, b, first = tree(fleet, "a", "shop", 0), tree(fleet, "b", "blog", 1), fleet.revs["v1"]
    cli(fleet, a, "run", "--rev", fleet.revs["v2"], "--yes", "prod")
    cli(fleet, b, "run", "--rev", fleet.revs["v7"], "--yes", "prod")
    assert revs(fleet) == [fleet.revs["v2"], fleet.revs["v7"]]
    status = cli(fleet, a, "status", "prod").stdout
    assert "shop" in status and "app2" not in status, status
    history = cli(fleet, a, "history").stdout
    assert "shop" in history and "blog" in history, history
    assert "blog" not in cli(fleet, a, "history", "prod").stdout
    # the lock of one is not the other's
    cli(fleet, b, "lock", "--reason", "tests", "prod")
    cli(fleet, a, "rollback", "--yes", "prod")
    assert revs(fleet) == [first, fleet.revs["v7"]], "rollback in A changed B"
    cli(fleet, b, "unlock", "prod")
    # by number or by name it is refused from the other tree
    out = cli(fleet, a, "rollback", "--yes", "--release", "2", "prod", status=2)
    assert "blog:prod" in out.stderr, told(out)
    out = cli(fleet, a, "rollback", "--yes", "blog:prod", status=2)
    assert b in out.stderr and revs(fleet)[1] == fleet.revs["v7"], told(out)
    # where no tree says which is meant, both are named, and each can be
    out = cli(fleet, f"{fleet.dir}/nowhere", "status", "prod", status=2)
    assert "shop:prod" in out.stderr and "blog:prod" in out.stderr, told(out)
    assert "blog" in cli(fleet, f"{fleet.dir}/nowhere", "status", "blog:prod").stdout
    cli(fleet, b, "rollback", "--yes", "prod")
    assert revs(fleet) == [first, first]


class Tree:
    """What a server is started on: a tree, and the journal that everybody of this user has."""

    def __init__(self, fleet, root):
        self.fleet, self.dir, self.root = fleet, fleet.dir, root

    def argv(self, *args):
        return [os.environ.get("RELEASE_BIN", "release"), args[0], "--root", self.root, *args[1:]]

    def environ(self, **more):
        return dict(environ(self.fleet), **more)

    def release(self, *args):
        return cli(self.fleet, self.root, *args)


def test_one_server_tells_two_applications_apart(fleet):
    """Both are called prod: everywhere the application stands beside it, and orders go to this tree's own."""
    a, b = f"{fleet.dir}/a", f"{fleet.dir}/b"
    room = Room(fleet.dir)
    try:
        room.write_config(a)
        with Serving(Tree(fleet, a)) as server:
            token = server.token("look", "operator")
            envs = {e["env"]: e["app"] for e in server.get("/api/v1/envs", token)[1]}
            assert envs == {"prod": "shop", "blog:prod": "blog"}, envs
            other = server.get("/api/v1/envs/blog%3Aprod", token)[1]
            assert (other["app"], other["can"]) == ("blog", ["pause", "abort", "lock", "unlock"]), other
            assert {r["env"]: r["app"] for r in server.get("/api/v1/releases", token)[1]} == envs
            for path in ("/", "/env/prod", "/env/blog%3Aprod", "/history", "/history?env=prod", "/release/1", "/release/2"):
                text = server.request("GET", path, token)[2].decode()
                assert 'data-apps="2"' in text and re.search("prod of (shop|blog)", text), (path, text)
            assert "prod of shop: free" in room.type(server, "status prod"), "status"
            assert "prod of shop: free: `run REV prod`" in room.type(server, "where"), "where"
            assert server.post("/api/v1/envs/prod/rollback", token, confirm="prod", before=2)[0] == 400, "2 is blog's"
            assert server.post("/api/v1/envs/blog%3Aprod/lock", token, reason="theirs")[0] == 202
            wait_for("the lock is theirs", lambda: server.get("/api/v1/envs/blog%3Aprod", token)[1]["lock"], seconds=30)
            assert server.get("/api/v1/envs/prod", token)[1]["lock"] is None
            cli(fleet, b, "unlock", "prod")
    finally:
        room.stop()


def test_one_name_in_two_trees_is_refused(fleet):
    a, b = tree(fleet, "c", "mail", 0), tree(fleet, "d", "mail", 1)
    cli(fleet, a, "run", "--rev", fleet.revs["v2"], "--yes", "prod")
    out = cli(fleet, b, "run", "--rev", fleet.revs["v2"], "--yes", "prod", status=2)
    assert a in out.stderr and "app:" in out.stderr, told(out)
    out = cli(fleet, b, "rollback", "--yes", "prod", status=2)
    assert a in out.stderr and "--any-tree" in out.stderr, told(out)
    # a tree that was moved is still the same
    os.rename(a, f"{fleet.dir}/moved")
    cli(fleet, f"{fleet.dir}/moved", "rollback", "--yes", "prod")
    assert revs(fleet)[0] == fleet.revs["v1"]


def test_two_environments_in_one_directory(fleet):
    """staging and prod name one machine and one directory: one at a time, and check says so beforehand."""
    root = tree(fleet, "e", "wiki", 0)
    shutil.copy(f"{root}/pillar/prod.sls", f"{root}/pillar/staging.sls")
    killed(fleet, root, "v7", "staging")
    out = cli(fleet, root, "check", "prod", status=3)
    assert "staging" in out.stderr and "app1" in out.stderr, told(out)
    out = cli(fleet, root, "run", "--rev", fleet.revs["v2"], "--yes", "prod", status=3)
    assert "staging" in out.stderr, told(out)
    cli(fleet, root, "resume", "--yes", "staging")
    assert revs(fleet)[0] == fleet.revs["v7"]
    out = cli(fleet, root, "check", "prod")
    assert "staging" in out.stderr and "at the same time" in out.stderr, told(out)
    cli(fleet, root, "run", "--rev", fleet.revs["v2"], "--yes", "prod")
    assert revs(fleet)[0] == fleet.revs["v2"]


def test_two_nodes_in_one_directory(fleet):
    root, n = tree(fleet, "f", "docs", 0), fleet.nodes[0]
    with open(f"{root}/pillar/prod.sls") as f:
        text = f.read()
    line = next(x for x in text.split("\n") if x.startswith("    app1:"))
    os.symlink(n.srv, f"{n.dir}/also")
    twin = line.replace("app1:", "twin:").replace(f"port: {n.port},", f"port: {n.port + 1},").replace(n.srv, f"{n.dir}/also")
    with open(f"{root}/pillar/prod.sls", "w") as f:
        f.write(text.replace(line, line + "\n" + twin))
    out = cli(fleet, root, "check", "prod", status=6)
    assert "app1 and twin" in out.stderr and "one directory" in out.stderr, told(out)


def test_unlock_force_frees_the_nodes(fleet):
    """Killed, and given up by a person: the nodes are nobody's, and another journal's check finds no holder."""
    root = tree(fleet, "g", "chat", 0)
    killed(fleet, root, "v7", "prod")
    other = ["--state", f"{fleet.dir}/other.db"]
    out = cli(fleet, root, "check", *other, "prod", status=3)
    number = re.search(r"--fence (\d+)", out.stderr).group(1)
    cli(fleet, root, "unlock", *other, "prod", "--force", "--fence", number, "--reason", "that one is lost")
    assert "held by" not in cli(fleet, root, "check", *other, "prod", status=None).stderr, "after unlock --force --fence"
    os.remove(f"{fleet.dir}/other.db")
    cli(fleet, root, "unlock", "prod", "--force", "--reason", "given up")
    assert "held by" not in cli(fleet, root, "check", *other, "prod", status=None).stderr, "after unlock --force"
    fleet.nodes[0].supervisorctl("start", "site")
    wait_for("app1 answers", lambda: fleet.nodes[0].running_rev())


def test_one_journal_for_a_tree(fleet):
    """`state:` in release.yml: whoever works with the tree finds that journal, and no second one beside it."""
    root = tree(fleet, "h", "news", 0)
    with open(f"{root}/release.yml", "w") as f:
        f.write(f"state: {fleet.dir}/own/journal.db\n")
    out = cli(fleet, root, "status", "prod")
    assert f"{fleet.dir}/own/journal.db" in out.stdout, told(out)
    out = cli(fleet, root, "lock", "--reason", "x", "--state", f"{fleet.dir}/second.db", "prod", status=2)
    assert "two locks" in out.stderr and not os.path.exists(f"{fleet.dir}/second.db"), told(out)
    cli(fleet, root, "lock", "--reason", "x", "prod")
    assert "held by" in cli(fleet, root, "status", "prod").stdout and os.path.exists(f"{fleet.dir}/own/journal.db")


def test_a_moved_journal_is_the_same_owner(fleet):
    root = tree(fleet, "i", "stats", 0)
    killed(fleet, root, "v7", "prod")
    home = f"{fleet.dir}/operator/state"
    os.rename(f"{home}/release", f"{home}/elsewhere")
    cli(fleet, root, "resume", "--state", f"{home}/elsewhere/release.db", "--yes", "prod")
    assert revs(fleet)[0] == fleet.revs["v7"]
