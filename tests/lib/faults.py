# SPDX-License-Identifier: MIT
"""Means of breaking things between and under real daemons: packets lost on the way, a proxy that lies or is mute, hosts that
freeze, disks that fill. What packets and mounts need is root in namespaces of its own (matrix.py makes them)."""
import os
import signal
import socket
import subprocess
import threading

from daemons import alive, environ_of, is_sshd_of, signal_pids

TABLE = "table inet fault {\n chain out {\n type filter hook output priority 0;\n }\n}\n"


def nft(text):
    out = subprocess.run(["nft", "-f", "-"], input=text + "\n", text=True, capture_output=True)
    if out.returncode:
        raise RuntimeError(f"nft: {out.stderr}")


class Net:
    """Packets on the loopback of this network namespace. A place is (address, port); port 0 means the whole host."""

    def __init__(self):
        self.made = self.ever = False

    def rule(self, text):
        if not self.made:
            nft(TABLE)
            self.made = self.ever = True
        nft(f"add rule inet fault out {text}")

    def drop(self, host, port, to=True, back=True):
        """Nothing arrives there, nothing comes back from there, or neither."""
        if to:
            self.rule(f"ip daddr {host} " + (f"tcp dport {port} " if port else "") + "drop")
        if back:
            self.rule(f"ip saddr {host} " + (f"tcp sport {port} " if port else "") + "drop")

    def reject(self, host, port):
        self.rule(f"ip daddr {host} tcp dport {port} reject with tcp reset")

    def heal(self):
        if self.made:
            nft("delete table inet fault")
            self.made = False


class Proxy:
    """Stands before a server and tells `heard(bytes)` what clients send, before it is passed on. mode: pass, refuse,
    mute (accepts and says nothing), garbage, drip (the server's bytes, one a second)."""

    def __init__(self, host, port, target, heard=None):
        self.target, self.heard, self.mode, self.open = target, heard, "pass", True
        self.listener = socket.create_server((host, port), backlog=200)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.client, args=(client,), daemon=True).start()

    def client(self, client):
        with client:
            if self.mode == "refuse":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if self.mode == "mute":
                while self.mode == "mute" and client.recv(65536):
                    pass
                return
            if self.mode == "garbage":
                client.recv(65536)
                client.sendall(b"\x00\xff# not,what;was\nasked \x1b[31mfor" * 50)
                return
            try:
                self.between(client)
            except OSError:
                pass

    def between(self, client):
        with socket.create_connection(self.target, timeout=5) as server:
            server.settimeout(None)
            threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
            self.pump(server, client, False)

    def pump(self, source, sink, upward):
        try:
            while data := source.recv(65536):
                if upward and self.heard:
                    self.heard(data)
                if self.mode == "drip" and not upward:
                    pause = threading.Event()
                    for i in range(len(data)):
                        sink.sendall(data[i:i + 1])
                        pause.wait(1)
                else:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.open = False
        self.listener.close()


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def pids_of_node(node):
    """All processes of one node: its sshd and supervisord, and what these ever started."""
    home, found = f"HOME={node.home}".encode() + b"\0", set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        pid = int(name)
        if home in environ_of(pid) + b"\0" or is_sshd_of(node.dir, pid):
            found.add(pid)
    more = {node.sshd.pid, node.supervisord.pid}
    while more:
        found |= more
        more = {int(p) for p in os.listdir("/proc") if p.isdigit() and parent_of(p) in found} - found
    return sorted(p for p in found if alive(p) and p != os.getpid())


def freeze(node):
    """A host that hangs: nothing of it runs, its connections stay. Twice, for what was forked meanwhile."""
    for _ in range(3):
        signal_pids(pids_of_node(node), signal.SIGSTOP)


def thaw(node):
    signal_pids(pids_of_node(node), signal.SIGCONT)


def mount_small(path, size):
    """A disk of its own for that directory, in this mount namespace."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", path], check=True)


def fill(path):
    """Not a byte more fits; returns the file to remove."""
    ballast = f"{path}/ballast"
    with open(ballast, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"\0" * 4096)
        except OSError:
            pass
    return ballast
