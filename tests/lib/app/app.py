"""The web app that the test fleet releases: small, but a real server process with a real life.

It says which revision *runs*: read once at start, never again, so that a changed disk under an old process shows.
SIGTERM: stops to accept, answers what is in flight, then ends. BEHAVE (a file of the revision) makes bad revisions.
One event loop and no framework, so that hundreds of requests a second on every node leave the machine to the rest.
"""
import asyncio
import os
import signal
import subprocess
import sys
import time

HERE = os.getcwd()


def first_line(name):
    try:
        with open(os.path.join(HERE, name)) as f:
            return f.readline().strip()
    except OSError:
        return ""


def revision():
    for name in (".release-complete", "REVISION"):
        words = first_line(name).split()
        if words and len(words[-1]) == 40:
            return words[-1]
    out = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return out.stdout.strip() or "unknown"


REV, VERSION, BEHAVE = revision(), first_line("VERSION"), first_line("BEHAVE")
PADDING = "." * 2048


class App:
    def __init__(self):
        self.stopping, self.began = False, time.monotonic()
        self.clients = {}  # writer -> busy

    async def answer(self, path):
        name, _, query = path.partition("?")
        if name == "/health":
            return await self.health(path)
        if name == "/rev":
            return 200, f"{REV}\n"
        if name == "/slow":
            ms = dict(p.partition("=")[::2] for p in query.split("&")).get("ms", "150")
            await asyncio.sleep(int(ms) / 1000)
        return 200, f"{REV} {VERSION} {path}\n{PADDING}\n"

    async def health(self, path):
        """The balancers ask without a query, the release with one (?deep): only it is treated badly by some revisions."""
        if BEHAVE == "unhealthy" or (BEHAVE == "sours" and time.monotonic() - self.began > 1):
            return 500, "unwell\n"
        if path != "/health" and BEHAVE == "health-hangs":
            await asyncio.sleep(3600)
        if path != "/health" and BEHAVE == "health-huge":
            return 200, "x" * (64 << 20)
        if path != "/health" and BEHAVE == "health-redirects":
            return 302, f"Location: {path}x\r\n"
        return 200, f"ok {REV} {VERSION}\n"

    async def one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.clients[writer] = True
        method, path, version = head.split("\r\n", 1)[0].split()
        status, body = await self.answer(path)
        close = self.stopping or version == "HTTP/1.0" or "connection: close" in head.lower()
        data = body.encode()
        writer.write((
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Internal Server Error'}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(data)}\r\nX-Revision: {REV}\r\nX-Pid: {os.getpid()}\r\n"
            f"Cache-Control: no-store\r\n{body if status == 302 else ''}{'Connection: close' if close else 'Connection: keep-alive'}\r\n\r\n"
        ).encode() + (b"" if method == "HEAD" else data))
        await writer.drain()
        self.clients[writer] = False
        return not close

    async def client(self, reader, writer):
        self.clients[writer] = False
        try:
            while not self.stopping and await self.one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            self.clients.pop(writer, None)
            writer.close()

    async def run(self, host, port):
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, (lambda: None) if BEHAVE == "deaf" else stop.set)
        if BEHAVE == "flaps":
            loop.call_later(1.7, os._exit, 3)
        server = await asyncio.start_server(self.client, host, port, backlog=512)
        if BEHAVE == "child":  # a helper in a session of its own, that keeps the port when the app is gone
            held = server.sockets[0].fileno()
            subprocess.Popen(["sleep", "600"], pass_fds=(held,), start_new_session=True)
        print(f"serving {VERSION} {REV} on {host}:{port}", flush=True)
        await stop.wait()
        self.stopping = True
        server.close()
        for writer, busy in list(self.clients.items()):
            if not busy:
                writer.close()
        while self.clients:
            await asyncio.sleep(0.01)
        print("all answered, ending", flush=True)


def main():
    if BEHAVE == "crash":
        sys.exit("this revision does not start")
    if BEHAVE == "slow-start":
        time.sleep(4)
    asyncio.run(App().run(sys.argv[1], int(sys.argv[2])))


main()
