# SPDX-License-Identifier: MIT
"""An SSH server that can be told to lie: real key exchange, login and commands (Paramiko), and per connection, drawn from
a seed, one or more packets that are mutated before they are encrypted, or bytes that are on the wire; or no SSH at all.

One listener serves all of 127.*.*.*: the address that a client came to is the node, and node and connection number are the seed.
"""
import logging
import os
import random
import socket
import struct
import subprocess
import threading
import time

import paramiko

logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
paramiko.util.get_logger("paramiko.transport").setLevel(logging.CRITICAL + 1)
HUGE = [0xffffffff, 0x80000000, 0x7fffffff, 0xfffffff0, 0x10000, 0x8000, 35001, 0]
METHODS = "none,publickey,password,keyboard-interactive,hostbased,gssapi-with-mic"


class Host(paramiko.ServerInterface):
    """Takes any key, or none; writes down all that it is asked for."""

    def __init__(self, server):
        self.server = server

    def note(self, what):
        with self.server.lock:
            self.server.asked.append(what)

    def get_allowed_auths(self, username):
        return METHODS

    def check_auth_none(self, username):
        self.note("auth none")
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username, password):
        self.note("auth password")
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_interactive(self, username, submethods):
        self.note("auth keyboard-interactive")
        return paramiko.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses):
        self.note("auth keyboard-interactive answered")
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_publickey(self, username, key):
        self.note("auth publickey")
        return paramiko.AUTH_SUCCESSFUL if self.server.takes_keys else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        self.note(f"channel {kind}")
        return paramiko.OPEN_SUCCEEDED

    def check_channel_forward_agent_request(self, channel):
        self.note("agent forwarding")
        return True

    def check_channel_x11_request(self, channel, *args):
        self.note("x11 forwarding")
        return True

    def check_channel_pty_request(self, channel, *args):
        self.note("pty")
        return True

    def check_channel_env_request(self, channel, name, value):
        self.note(f"env {name}")
        return True

    def check_port_forward_request(self, address, port):
        self.note("port forwarding")
        return False

    def check_channel_exec_request(self, channel, command):
        self.note("exec")
        threading.Thread(target=self.server.execute, args=(channel, command), daemon=True).start()
        return True


class Mutator:
    """Changes packets of one connection; which and how, the seed says."""

    def __init__(self, seed, first, last):
        self.rng = random.Random(seed)
        self.at = {self.rng.randint(first, last) for _ in range(self.rng.choice([1, 1, 2, 5]))}
        self.n, self.kept = 0, []

    def packets(self, data):
        """What goes out instead of data."""
        self.n += 1
        self.kept = (self.kept + [data])[-20:]
        if self.n not in self.at:
            return [data]
        way = self.rng.choice([self.flip, self.flip, self.cut, self.grow, self.number, self.number, self.number, self.kind,
                               self.twice, self.none, self.again, self.noise, self.channel, self.opened])
        return way(bytearray(data))

    def flip(self, d):
        for _ in range(self.rng.choice([1, 1, 3, 20])):
            d[self.rng.randrange(len(d))] = self.rng.randrange(256)
        return [bytes(d)]

    def cut(self, d):
        return [bytes(d[:self.rng.randint(1, len(d))])]

    def grow(self, d):
        return [bytes(d) + self.rng.randbytes(self.rng.choice([1, 4, 100, 30000]))]

    def number(self, d):
        if len(d) > 5:
            struct.pack_into(">I", d, self.rng.randrange(1, len(d) - 3), self.rng.choice(HUGE))
        return [bytes(d)]

    def kind(self, d):
        d[0] = self.rng.choice([1, 2, 3, 4, 6, 20, 21, 30, 31, 51, 52, 60, 80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99,
                                100, self.rng.randrange(256)])
        return [bytes(d)]

    def twice(self, d):
        return [bytes(d)] * self.rng.choice([2, 50])

    def none(self, d):
        return []

    def again(self, d):
        return [self.rng.choice(self.kept), bytes(d)]

    def noise(self, d):
        return [self.rng.randbytes(self.rng.choice([1, 10, 1000, 34000])), bytes(d)]

    def channel(self, d):
        """Messages of a channel that is there, or is not, with lengths that lie."""
        out, rng = [], self.rng
        for _ in range(rng.choice([1, 5])):
            number, huge = rng.choice([0, 0, 1, 7, 0xffffffff]), rng.choice(HUGE)
            body = {93: struct.pack(">I", huge), 94: struct.pack(">I", huge) + b"x" * 50,
                    95: struct.pack(">II", huge, huge) + b"y" * 50, 96: b"", 97: b"",
                    98: struct.pack(">I", huge) + b"exit-signal\0" + struct.pack(">I", huge) + b"K" * 40,
                    99: b"", 100: b"", 91: struct.pack(">III", huge, huge, huge)}
            which = rng.choice(list(body))
            out.append(bytes([which]) + struct.pack(">I", number) + body[which])
        return out + [bytes(d)]

    def opened(self, d):
        """A server that opens channels and makes requests of its own."""
        rng, name = self.rng, self.rng.choice([b"forwarded-tcpip", b"x11", b"auth-agent@openssh.com", b"session", b"\xff" * 9])
        body = struct.pack(">I", rng.choice([len(name), rng.choice(HUGE)])) + name
        more = struct.pack(">III", rng.choice(HUGE), rng.choice(HUGE), rng.choice(HUGE)) + b"".join(
            struct.pack(">I", rng.choice([9, rng.choice(HUGE)])) + b"127.0.0.1" for _ in range(2))
        ask = struct.pack(">I", 22) + b"keepalive@openssh.com!" + rng.choice([b"", b"\1", b"\1" + b"z" * 99])
        return [rng.choice([bytes([90]) + body + more, bytes([80]) + ask]), bytes(d)]


class MutatingTransport(paramiko.Transport):
    def __init__(self, sock, mutator):
        super().__init__(sock)
        send = self.packetizer.send_message

        def mutated(data):
            for packet in mutator.packets(data.asbytes()):
                send(paramiko.Message(packet))
        self.packetizer.send_message = mutated


class WireMutator:
    """A socket whose bytes are changed on their way out, from the greeting on: what comes before encryption, and MACs."""

    def __init__(self, sock, seed):
        self.sock, self.rng, self.sent = sock, random.Random(seed), 0
        self.at = self.rng.choice([self.rng.randrange(30), self.rng.randrange(1500), self.rng.randrange(4000)])
        self.way = self.rng.choice(["flip", "flip", "stop", "close", "huge", "noise"])

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def send(self, data):
        begin, self.sent = self.sent, self.sent + len(data)
        if not begin <= self.at < self.sent or not data:
            return len(data) if begin > self.at and self.way == "stop" else self.sock.send(data)
        d, at = bytearray(data), self.at - begin
        if self.way == "flip":
            d[at] ^= 1 << self.rng.randrange(8)
        elif self.way == "huge":
            d[at:at + 4] = struct.pack(">I", self.rng.choice(HUGE))
        elif self.way == "noise":
            d[at:at] = self.rng.randbytes(self.rng.choice([1, 500, 200000]))
        else:
            self.sock.sendall(d[:at])
            if self.way == "close":
                self.sock.close()
            return len(data)
        self.sock.sendall(d)
        return len(data)


class LengthLie:
    """The first packet behind the key exchange says a length that is no multiple of the cipher's block: one bit flipped."""

    def __init__(self, sock):
        self.sock, self.sends = sock, 0

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def send(self, data):
        self.sends += 1  # greeting, offers, reply, new keys: then it is encrypted
        if self.sends == 5:
            data = data[:3] + bytes([data[3] ^ 4]) + data[4:]
        self.sock.sendall(data)
        return len(data)


class HostileServer:
    """way: mutate, wire, length, honest; or what never becomes SSH: silent, drip, endless, garbage, close."""

    def __init__(self, way, key, seed=1, packets=(1, 40), takes_keys=True, home=None):
        self.way, self.seed, self.packets, self.takes_keys, self.home = way, seed, packets, takes_keys, home
        self.key = paramiko.Ed25519Key(filename=key)
        self.lock, self.asked, self.connections, self.open = threading.Lock(), [], {}, []
        self.over = threading.Event()
        self.listener = socket.create_server(("0.0.0.0", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.over.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            node = sock.getsockname()[0]
            with self.lock:
                self.open.append(sock)
                n = self.connections[node] = self.connections.get(node, 0) + 1
            threading.Thread(target=self.serve, args=(sock, f"{self.seed}/{node}/{n}"), daemon=True).start()

    def serve(self, sock, seed):
        try:
            if self.way in ("mutate", "wire", "length", "honest"):
                self.ssh(sock, seed)
            else:
                getattr(self, self.way)(sock)
        except Exception:  # the client hung up, or Paramiko fell over its own lies
            sock.close()

    def ssh(self, sock, seed):
        if self.way == "mutate":
            transport = MutatingTransport(sock, Mutator(seed, *self.packets))
        else:
            lies = {"wire": lambda: WireMutator(sock, seed), "length": lambda: LengthLie(sock)}
            transport = paramiko.Transport(lies[self.way]() if self.way in lies else sock)
        transport.add_server_key(self.key)
        transport.start_server(event=threading.Event(), server=Host(self))

    def execute(self, channel, command):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LD_", "ASAN_", "RELEASE_"))}
        p = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=dict(env, HOME=self.home or "/nonexistent"), cwd=self.home or "/")
        threads = [threading.Thread(target=self.pump, args=a, daemon=True)
                   for a in ((p.stdout, channel.sendall), (p.stderr, channel.sendall_stderr))]
        threading.Thread(target=self.feed, args=(channel, p.stdin), daemon=True).start()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        try:
            channel.send_exit_status(p.wait())
            channel.close()
        except Exception:  # the connection is gone
            pass

    @staticmethod
    def pump(pipe, send):
        try:
            while data := os.read(pipe.fileno(), 8192):
                send(data)
        except Exception:  # the connection is gone
            pass

    @staticmethod
    def feed(channel, pipe):
        try:
            while data := channel.recv(8192):
                os.write(pipe.fileno(), data)
            pipe.close()
        except Exception:  # the command is gone
            pass

    # ---- no SSH at all
    def silent(self, sock):
        self.over.wait()

    def drip(self, sock):
        for byte in b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3 drip drip drip\r\n" * 9:
            sock.send(bytes([byte]))
            if self.over.wait(1):
                return

    def endless(self, sock):
        while not self.over.is_set():
            sock.sendall(b"x" * 65536)

    def garbage(self, sock):
        sock.sendall(b"SSH-2.0-x\r\n" + random.Random(1).randbytes(100000))
        self.over.wait()

    def close(self, sock):
        sock.sendall(b"SSH-2.0-x\r\n")
        time.sleep(0.01)
        sock.close()

    def stop(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listener.close()
        with self.lock:
            for sock in self.open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                sock.close()
