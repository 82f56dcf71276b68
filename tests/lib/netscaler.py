# SPDX-License-Identifier: MIT
"""The stand-in of nitro.py with traffic: what its configuration says is what clients get. Two appliances of one pair
with TLS, a virtual server that sends requests to the members that are UP, monitors that ask each member's /health."""
import asyncio
import subprocess
import threading
import time

from nitro import DOWN, UP, Appliance, World

GROUP = "shop"


def certificate(directory, name):
    """A certificate for `name` alone, and its key, in one file; it is its own CA."""
    path = f"{directory}/{name}.pem"
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                           f"/CN={name}", "-addext", f"subjectAltName=IP:{name}", "-days", "2", "-keyout", f"{path}.key", "-out",
                           f"{path}.crt"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with open(path, "w") as out:
        for part in ("key", "crt"):
            with open(f"{path}.{part}") as f:
                out.write(f.read())
    return path, f"{path}.crt"


class Front(threading.Thread):
    """The virtual server: one request for each connection, to the next member that is UP."""

    def __init__(self, world, host, port):
        super().__init__(daemon=True)
        self.world, self.host, self.port, self.turn = world, host, port, 0
        self.ready, self.loop = threading.Event(), asyncio.new_event_loop()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self.client, self.host, self.port))
        for member in self.world.groups[GROUP]:
            self.loop.create_task(self.monitor(member))
        self.ready.set()
        self.loop.run_forever()
        over = asyncio.all_tasks(self.loop)
        for task in over:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*over, return_exceptions=True))

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.join(5)

    def take(self):
        with self.world.lock:
            up = [m for m in self.world.groups[GROUP] if m.state() == UP]
            if not up:
                return None
            self.turn += 1
            member = up[self.turn % len(up)]
            member.clients += 1
            member.requests += 1
            return member

    def give_back(self, member):
        with self.world.lock:
            member.clients = max(0, member.clients - 1)
            member.settle()

    async def client(self, reader, writer):
        member = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            member = self.take()
            if member is None:
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
                await self.forward(member, b"\r\n".join(lines + [b"Connection: close", b"", b""]), writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            if member is not None:
                self.give_back(member)
            writer.close()

    @staticmethod
    async def forward(member, request, writer):
        upstream, sender = await asyncio.open_connection(member.ip, member.port)
        sender.write(request)
        while data := await upstream.read(65536):
            writer.write(data)
        sender.close()

    async def monitor(self, member):
        failed = 0
        while True:
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection(member.ip, member.port), 2)
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                fine = b" 200 " in await asyncio.wait_for(reader.readline(), 2)
                writer.close()
            except (OSError, asyncio.TimeoutError):
                fine = False
            failed = 0 if fine else failed + 1
            with self.world.lock:
                member.health = UP if fine else DOWN if failed >= 2 else member.health
            await asyncio.sleep(0.3)


class Site:
    """All of it in front of a fleet."""

    def __init__(self, fleet):
        self.fleet, self.world = fleet, World()
        for n in fleet.nodes:
            self.world.server(n.id, n.host)
            self.world.member(GROUP, n.id, n.port)
        self.hosts = [f"{fleet.net}.7", f"{fleet.net}.8"]
        self.nodes = [Appliance(self.world, f"ns{i}") for i in (1, 2)]
        self.port, self.plain_port = fleet.base + 84, fleet.base + 85
        self.ca = f"{fleet.root}/ns-ca.pem"
        with open(self.ca, "w") as all_of_them:
            for host, node in zip(self.hosts, self.nodes):
                pem, crt = certificate(fleet.root, host)
                node.certificate = pem
                node.serve(host, self.port, pem).serve(host, self.plain_port)
                with open(crt) as f:
                    all_of_them.write(f.read())
        self.primary(0)
        self.front = Front(self.world, f"{fleet.net}.7", fleet.base + 86)
        self.front.start()
        self.front.ready.wait()

    @property
    def target(self):
        return f"{self.front.host}:{self.front.port}"

    @property
    def urls(self):
        return [f"https://{h}:{self.port}" for h in self.hosts]

    def primary(self, which):
        """The other one is the secondary from now on."""
        for i, node in enumerate(self.nodes):
            node.ha = "Primary" if i == which else "Secondary"

    def misname(self, which):
        """That node answers at one more address, which its certificate does not name."""
        self.misnamed = f"{self.fleet.net}.6"
        self.nodes[which].serve(self.misnamed, self.port, self.nodes[which].certificate)

    def states(self):
        with self.world.lock:
            return {m.server: m.state() for m in self.world.groups[GROUP]}

    def all_up(self):
        return set(self.states().values()) == {UP}

    def forget(self):
        with self.world.lock:
            for member in self.world.groups[GROUP]:
                member.enable()

    def seconds_out(self):
        """Watches from now on: {server: how long it was disabled}, by the time that stop() is called."""
        return Watch(self)

    def stop(self):
        self.front.stop()
        for node in self.nodes:
            node.stop()


class Watch(threading.Thread):
    def __init__(self, site):
        super().__init__(daemon=True)
        self.site, self.seconds, self.over = site, {}, threading.Event()
        self.start()

    def run(self):
        last = time.monotonic()
        while not self.over.wait(0.02):
            now = time.monotonic()
            for server, state in self.site.states().items():
                if "OUT OF SERVICE" in state:
                    self.seconds[server] = self.seconds.get(server, 0) + now - last
            last = now

    def stop(self):
        self.over.set()
        self.join()
        return {server: round(s, 1) for server, s in self.seconds.items()}
