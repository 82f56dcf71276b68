# SPDX-License-Identifier: MIT
"""SSH servers that lie (docs/promises.md#s7, S24, rows 16 and 26): mutated, cut and huge packets before and behind the login, bytes
changed on the wire, greetings that never end or never come. Always: no crash, the deadlines hold, the exit status is one
of ours, and every node that failed is named in plain text.

HOSTILE_NODES=2000 tries so many seeds of each kind at once, HOSTILE_SEED=N others."""
import concurrent.futures
import getpass
import os
import re
import subprocess
import time

import pytest

pytest.importorskip("paramiko", reason="python3-paramiko is not installed")
from hostile import HostileServer  # noqa: E402
from scene import expect, told  # noqa: E402

NODES = int(os.environ.get("HOSTILE_NODES", "40"))
DEEP = int(os.environ.get("HOSTILE_DEEP", "4"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
PILLAR = """release:
  app: site
  repo: /nonexistent.git
  dir: /srv/site
  app_servers:
{servers}
  supervisor: {{programs: [site]}}
  ssh: {{transport: {transport}, user: {user}, key: {dir}/key, known_hosts: {dir}/known_hosts, port: {port}}}
"""
# libssh2 1.10 itself forgets a key exchange that it gives up, some hundred bytes each; else nothing is excused.
LEAKS = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "detect_leaks=0"]))
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class World:
    """A pillar whose nodes are all one lying server."""

    def __init__(self, top):
        self.dir = str(top)
        self.server = None
        for name in ("key", "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.dir}/{name}"], check=True)
        for name in ("home", "root/pillar", "state"):
            os.makedirs(f"{self.dir}/{name}", mode=0o700)

    def start(self, way, n_nodes, transport="ssh", **more):
        """The server, and a pillar that leads to it; instead of an earlier one."""
        self.stop()
        server = self.server = HostileServer(way, f"{self.dir}/host_key", home=f"{self.dir}/home", **more)
        with open(f"{self.dir}/host_key.pub") as f:
            key = " ".join(f.read().split()[:2])
        hosts = {f"n{i}": f"127.77.{i // 200}.{i % 200 + 1}" for i in range(n_nodes)}
        with open(f"{self.dir}/known_hosts", "w") as f:
            f.writelines(f"[{host}]:{server.port} {key}\n" for host in hosts.values())
        path = f"{self.dir}/root/pillar/prod.sls"
        with open(path, "w") as f:
            f.write(PILLAR.format(dir=self.dir, user=getpass.getuser(), port=server.port, transport=transport, servers="\n".join(
                f"    {name}: {{host: {host}, port: 80, dir: /srv/{name}}}" for name, host in hosts.items())))
        os.chmod(path, 0o600)
        return server

    def stop(self):
        if self.server:
            self.server.stop()
            self.server = None

    def exec(self, *words, timeout=150, env=None):
        """(result, seconds) of a command on all nodes."""
        began = time.monotonic()
        result = subprocess.run(
            [os.environ.get("RELEASE_BIN", "release"), "exec", "--root", f"{self.dir}/root", "--state", f"{self.dir}/state/j.db",
             "--timeout", "20s", "prod", "--", *(words or ("echo", "said"))], capture_output=True, text=True, errors="replace",
            timeout=timeout, stdin=subprocess.DEVNULL, cwd=self.dir,
            env=dict(os.environ, HOME=f"{self.dir}/home", SSH_AUTH_SOCK="", ASAN_OPTIONS=LEAKS, **(env or {})))
        assert result.returncode in (0, 1, 4, 5, 6), told(result)
        expect(result, result.returncode)
        assert not OBEYED.search(result.stdout + result.stderr), told(result)
        return result, time.monotonic() - began


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    yield w
    w.stop()


NO_SSH = {"silent": "no SSH greeting came in 10 s", "drip": "no SSH greeting came in 10 s",
          "endless": "no SSH greeting came in 10 s", "garbage": "handshake broke off", "close": "handshake broke off",
          "length": "it sent a packet that cannot be"}
# Behind the login: honest until preflight is over, so that the lies meet the runner's session.
DEEPER = {f"deep{n}": 20 + 9 * n for n in range(DEEP)}


def one_run(top, name):
    """(result, seconds, server) of a command on nodes that lie in this way."""
    world, words = World(top), ()
    try:
        if name in DEEPER:
            server = world.start("mutate", 1, seed=f"{SEED}/{name}", packets=(DEEPER[name], DEEPER[name] + 30))
            words = ("for i in 1 2 3 4 5 6 7 8; do echo said $i; sleep 0.05; done",)
        else:
            server = world.start(name, 3 if name in NO_SSH else NODES, seed=f"{SEED}/{name}")
        return *world.exec(*words, timeout=120 + NODES), server
    finally:
        world.stop()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All of them at once: they mostly wait for what never comes."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        yield {name: pool.submit(one_run, tmp_path_factory.mktemp(name), name)
               for name in [*NO_SSH, "mutate", "wire", *DEEPER]}


@pytest.mark.parametrize("transport", ["ssh", "openssh"])
def test_only_keys_are_offered_and_nothing_is_forwarded(world, transport):
    """S24: the server would take a password, answers, agent and display; it is asked for a public key and for commands."""
    server = world.start("honest", 2, transport)
    result, _ = world.exec(env={"DISPLAY": ":7", "SSH_ASKPASS": "/bin/true", "SSH_ASKPASS_REQUIRE": "force"})
    assert result.returncode == 0 and result.stdout.count("said") >= 2, told(result)
    allowed = {"auth publickey", "auth none", "channel session", "exec"}
    assert set(server.asked) <= allowed and "exec" in server.asked, sorted(set(server.asked))
    server = world.start("honest", 2, transport, takes_keys=False)
    result, _ = world.exec(env={"DISPLAY": ":7", "SSH_ASKPASS": "/bin/true", "SSH_ASKPASS_REQUIRE": "force"})
    assert result.returncode == 6, told(result)
    assert set(server.asked) <= {"auth publickey", "auth none"} and "auth publickey" in server.asked, server.asked


@pytest.mark.parametrize("way", NO_SSH)
def test_what_never_becomes_ssh(runs, way):
    """Row 16: the deadline of a connection is one for all of it, however slowly or quickly something comes."""
    result, seconds, _ = runs[way].result()
    assert result.returncode == 6, told(result)
    assert seconds < 18, f"{seconds:.0f} s: " + told(result)
    for node in ("n0", "n1", "n2"):
        assert re.search(rf"{node}: .*{NO_SSH[way]}", result.stdout + result.stderr), told(result)


@pytest.mark.parametrize("way", ["mutate", "wire"])
def test_mutated_streams(runs, way):
    """S7: every node draws its own lies, new ones for each connection."""
    result, seconds, server = runs[way].result()
    print(f"{way}: {sum(server.connections.values())} connections, {seconds:.0f} s")
    assert seconds < 70 + NODES / 10, f"{seconds:.0f} s"
    assert len(server.connections) == NODES, "not every node was asked"
    assert result.returncode == 6, "so many lies, and nobody noticed: " + told(result)
    assert re.search(r"n\d+: ", result.stdout + result.stderr), told(result)


@pytest.mark.parametrize("name", DEEPER)
def test_lies_behind_the_login(runs, name):
    result, seconds, server = runs[name].result()
    print(f"{name}: exit status {result.returncode}, {sum(server.connections.values())} connections, {seconds:.0f} s")
    assert seconds < 100, f"{seconds:.0f} s"
    assert result.returncode != 0 or result.stdout.count("said 8") == 1, told(result)
