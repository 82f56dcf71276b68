# SPDX-License-Identifier: MIT
"""git: {via: controller}: the origin is read by the controller alone, a node gets what it lacks, and a connection that breaks in
the middle of a transfer costs a piece of it. The origin is git's own daemon, which writes down who asks."""
import os
import shutil
import socket
import subprocess
import tarfile

from daemons import can_connect, spawn, wait_for
from faults import Proxy
from origin import add_commit
from scene import expect, expect_world, refused, release, run, told

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 3}
CUT_AT = 6 << 20  # bytes of a transfer of 12 MB


class CutOnce(Proxy):
    """Breaks the first connection that has carried so many bytes to the server."""
    cuts = 0

    def pump(self, source, sink, upward):
        seen = 0
        try:
            while data := source.recv(65536):
                seen += len(data)
                if upward and seen > CUT_AT and not self.cuts:
                    self.cuts = 1
                    source.shutdown(socket.SHUT_RDWR)
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def serve_origin(fleet):
    """The fleet's repository behind git://; returns its address and a function that counts who fetched."""
    host, port = f"{fleet.net}.4", fleet.base + 40
    spawn(fleet.dir, "git-daemon", ["git", "daemon", "--verbose", "--export-all", f"--listen={host}", f"--port={port}",
                                    f"--base-path={fleet.dir}"])
    wait_for("git's daemon answers", lambda: can_connect(host, port))

    def fetches():
        with open(f"{fleet.dir}/log/git-daemon.log") as f:
            return f.read().count("Request upload-pack")
    return f"git://{host}:{port}/origin.git", fetches


def servers(fleet, first_port):
    return "\n".join(f"    {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, ssh: {{port: "
                     f"{first_port if n is fleet.nodes[0] else n.ssh_port}}}}}" for n in fleet.nodes)


def test_the_origin_is_read_once(fleet):
    origin = fleet.origin
    fleet.origin, fetches = serve_origin(fleet)
    fleet.write_pillar()
    release(fleet, "v2")
    expect_world(fleet, "v2")
    by_nodes = fetches()
    assert by_nodes > len(fleet.nodes), f"{by_nodes} fetches: the daemon's log does not count them"
    fleet.write_pillar(extra="  git: {via: controller}\n")
    release(fleet, "v7")
    expect_world(fleet, "v7")
    assert fetches() - by_nodes <= 1, f"{fetches() - by_nodes} fetches for one release"
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v2")
    assert os.path.isdir(origin)


def test_a_directory_of_the_repository(fleet):
    """git: {path: apps/site}, brought by the controller: what lies beside it does not reach a node, the same revision by another
    path is another directory, and a revision that lacks the path is refused by file and line before anything is touched."""
    work = f"{fleet.dir}/origin.work"
    for name in ("site", "shop"):
        os.makedirs(f"{work}/apps/{name}")
        for part in ("app.py", "build.sh", ".gitignore"):
            shutil.copy(f"{work}/{part}", f"{work}/apps/{name}/{part}")
        for part, text in (("VERSION", "v9"), ("BEHAVE", "good"), ("NAME", name)):
            with open(f"{work}/apps/{name}/{part}", "w") as f:
                f.write(text + "\n")
    fleet.revs["v9"] = add_commit(fleet.dir, "v9")
    released = set()
    for name in ("site", "shop"):
        fleet.write_pillar(extra=f"  git: {{via: controller, path: apps/{name}}}\n")
        if name == "site":
            release(fleet, "v9")
        else:
            expect(fleet.release("run", "--rev", fleet.revs["v9"], "--yes", "prod"), 0)
        for node in fleet.nodes:
            with open(f"{node.current}/NAME") as f:
                assert f.read() == name + "\n"
            assert not os.path.exists(f"{node.current}/apps")
            released.add(os.readlink(f"{node.current}"))
    assert len(released) == 2, released
    refused = expect(fleet.release("run", "--rev", fleet.revs["v7"], "--yes", "prod"), 6)
    said = refused.stdout + refused.stderr
    assert "prod.sls:" in said and "git: path: apps/shop in revision" in said and "it is not there" in said, said
    shown = run(fleet, "plan", "--rev", fleet.revs["v9"], "prod").stdout
    assert "path        apps/shop, of the repository" in shown and "commits that touch apps/shop" in shown, shown


def promoted(fleet, source, commit, forget):
    """The last node becomes an environment of its own, and what it runs goes to the others, when no file is there any more."""
    of = [f"    {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, ssh: {{port: {n.ssh_port}}}}}" for n in fleet.nodes]
    fleet.write_pillar(source=source, servers=of[-1], min_up="0")
    os.rename(f"{fleet.root}/pillar/prod.sls", f"{fleet.root}/pillar/test.sls")
    fleet.write_pillar(source=source, servers="\n".join(of[:-1]))
    refused(fleet, ("promote", "--yes", "test", "prod"), 6, f"what {fleet.nodes[-1].id} of test runs is not known here")
    run(fleet, "run", "--rev", "v7", "--yes", "test")
    forget()
    refused(fleet, ("promote", "--yes", "test", "test"), 2, "from test to itself")
    run(fleet, "promote", "--yes", "test", "prod")
    expect_world(fleet, "v7")
    assert commit[:12] in run(fleet, "status", "prod").stdout


def test_an_artifact(fleet):
    """source: {artifact: ..}: archives that were built elsewhere, one of them broken; no repository is asked, and each node runs the
    very bytes."""
    builds, work = f"{fleet.dir}/builds", f"{fleet.dir}/origin.work"
    os.makedirs(builds)
    for version in ("v2", "v3", "v7"):
        subprocess.run(["git", "-C", work, "archive", "--prefix=site/", "-o", f"{builds}/site-{version}.tar.gz", version], check=True)
    subprocess.run("sha256sum site-* >SHA256SUMS", cwd=builds, shell=True, check=True)
    source = f'{{artifact: "{builds}/site-{{rev}}.tar.gz", sha256: {builds}/SHA256SUMS, strip: 1}}'
    fleet.write_pillar(source=source)
    commits = {}
    for version in ("v2", "v7"):
        run(fleet, "run", "--rev", version, "--yes", "prod")
        for node in fleet.nodes:
            with open(f"{node.current}/.release-complete") as f:
                commits[version] = fleet.revs[version] = next(x.split()[1] for x in f if x.startswith("rev "))
        expect_world(fleet, version)
        with tarfile.open(f"{builds}/site-{version}.tar.gz") as tar:
            for member in (m for m in tar if m.isfile()):
                with open(f"{fleet.nodes[0].current}/{member.name.split('/', 1)[1]}", "rb") as f:
                    assert f.read() == tar.extractfile(member).read(), member.name
    broken = run(fleet, "run", "--rev", "v3", "--yes", "prod", status=1)
    assert "v3" in broken.stdout, told(broken)
    expect_world(fleet, "v7")
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v2")
    shutil.copy(f"{builds}/site-v2.tar.gz", f"{builds}/site-v9.tar.gz")
    with open(f"{builds}/SHA256SUMS", "a") as f:
        f.write(f"{'0' * 64}  site-v9.tar.gz\n")
    refused(fleet, ("run", "--rev", "v9", "--yes", "prod"), 6, "site-v9.tar.gz has SHA-256", "nothing of it was used")
    assert "site-v8.tar.gz" in refused(fleet, ("run", "--rev", "v8", "--yes", "prod"), 6)
    promoted(fleet, source, commits["v7"], lambda: shutil.rmtree(builds))


def test_a_cut_transfer_goes_on(fleet):
    with open(f"{fleet.dir}/origin.work/photo", "wb") as f:
        f.write(os.urandom(12 << 20))
    fleet.revs["v8"] = add_commit(fleet.dir, "v8")
    node = fleet.nodes[0]
    port = fleet.base + 41
    proxy = CutOnce(node.host, port, (node.host, node.ssh_port))
    with open(fleet.known_hosts) as f:
        line = next(x for x in f if x.startswith(f"[{node.host}]:{node.ssh_port} "))
    with open(fleet.known_hosts, "a") as f:
        f.write(line.replace(f":{node.ssh_port} ", f":{port} ", 1))
    fleet.write_pillar(servers=servers(fleet, port), extra="  git: {via: controller}\n")
    done = expect(fleet.release("run", "--rev", fleet.revs["v8"], "--yes", "prod"), 0)
    assert proxy.cuts == 1, "nothing was cut"
    assert "connecting again" in done.stdout + done.stderr + run(fleet, "log", "prod").stdout
    expect_world(fleet, "v8")
    for n in fleet.nodes:
        left = [x for x in os.listdir(f"{n.srv}/repo.git") if x.startswith("release-pack")]
        assert left == [], left
        subprocess.run(["git", "--git-dir", f"{n.srv}/repo.git", "fsck", "--strict", "--connectivity-only"], check=True,
                       capture_output=True)
    proxy.close()
