# SPDX-License-Identifier: MIT
"""The web app that the test fleet releases: small, but a real server process with a real life.

It says which revision *runs*: read once at start, never again, so that a changed disk under an old process shows.
SIGTERM: stops to accept, answers what is in flight, then ends. BEHAVE (a file of the revision) makes bad revisions.
One thread, epoll and nothing that takes long to import: suites start it a thousand times, and hundreds of requests a second
on every node leave the machine to the rest.
"""
import heapq
import os
import select
import signal
import socket
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
    import subprocess  # it is slow to load, and only a checkout needs it
    out = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return out.stdout.strip() or "unknown"


REV, VERSION, BEHAVE = revision(), first_line("VERSION"), first_line("BEHAVE")
PADDING = "." * 2048


class Client:
    """One connection: what it sent, what it has not taken yet, and whether it waits for an answer."""

    def __init__(self, sock):
        self.sock, self.events, self.heard, self.unsent = sock, select.EPOLLIN, b"", memoryview(b"")
        self.busy = self.ended = self.closes = False


class App:
    def __init__(self):
        self.stopping, self.began, self.ticket, self.asked = False, time.monotonic(), 0, 0
        self.clients, self.later = {}, []  # fd -> client; heap of (when, ticket, what to do)
        self.epoll, self.listener = select.epoll(), None

    def at(self, seconds, act):
        self.ticket += 1
        heapq.heappush(self.later, (time.monotonic() + seconds, self.ticket, act))

    def health(self, path):
        """(seconds, status, body). The balancers ask without a query, the release with one (?deep): only it is treated badly
        by some revisions."""
        if BEHAVE == "unhealthy" or (BEHAVE == "sours" and time.monotonic() - self.began > 1):
            return 0, 500, "unwell\n"
        if path != "/health" and BEHAVE == "health-hangs":
            return 3600, 200, ""
        if path != "/health" and BEHAVE == "health-huge":
            return 0, 200, "x" * (64 << 20)
        if path != "/health" and BEHAVE == "health-redirects":
            return 0, 302, f"Location: {path}x\r\n"
        return 0, 200, f"ok {REV} {VERSION}\n"

    def answer(self, path):
        name, _, query = path.partition("?")
        if name == "/health":
            return self.health(path)
        if name == "/rev":
            return 0, 200, f"{REV}\n"
        if BEHAVE.startswith("errors-"):  # so many of a hundred requests, and the health check knows nothing of it
            self.asked += 1
            if self.asked * 37 % 100 < int(BEHAVE[7:]):
                return 0, 500, "out of order\n"
        ms = dict(p.partition("=")[::2] for p in query.split("&")).get("ms", "150") if name == "/slow" else 0
        return int(ms) / 1000, 200, f"{REV} {VERSION} {path}\n{PADDING}\n"

    def ask(self, client):
        """Begins to answer the next request that is there as a whole."""
        head, whole, rest = client.heard.partition(b"\r\n\r\n")
        if client.busy or not whole:
            return
        client.heard, client.busy = rest, True
        text = head.decode("latin-1")
        try:
            method, path, version = text.split("\r\n", 1)[0].split()
            seconds, status, body = self.answer(path)
        except ValueError:
            return self.drop(client)
        client.closes = version == "HTTP/1.0" or "connection: close" in text.lower()
        if seconds:
            self.at(seconds, lambda: self.tell(client, method, status, body))
        else:
            self.tell(client, method, status, body)

    def tell(self, client, method, status, body):
        client.closes |= self.stopping
        data = body.encode()
        client.unsent = memoryview((
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Internal Server Error'}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(data)}\r\nX-Revision: {REV}\r\nX-Pid: {os.getpid()}\r\nCache-Control: no-store\r\n"
            f"{body if status == 302 else ''}Connection: {'close' if client.closes else 'keep-alive'}\r\n\r\n"
        ).encode() + (b"" if method == "HEAD" else data))
        self.send(client)

    def send(self, client):
        try:
            client.unsent = client.unsent[client.sock.send(client.unsent):]
        except BlockingIOError:
            pass
        except OSError:
            return self.drop(client)
        if client.unsent:
            return self.watch(client, select.EPOLLOUT)
        client.busy = False
        if client.closes or self.stopping:
            return self.drop(client)
        self.go_on(client)

    def watch(self, client, events):
        if client.events != events:
            client.events = events
            self.epoll.modify(client.sock.fileno(), events)

    def hear(self, client):
        try:
            data = client.sock.recv(65536)
        except BlockingIOError:
            data = None
        except OSError:
            return self.drop(client)
        client.ended |= data == b""
        client.heard += data or b""
        self.go_on(client)

    def go_on(self, client):
        """The next request, if it is there; then what to wait for: of who has said all, nothing until it is answered."""
        self.ask(client)
        if client.sock.fileno() < 0:
            return
        if client.ended and not client.busy:
            return self.drop(client)
        self.watch(client, select.EPOLLOUT if client.unsent else 0 if client.ended else select.EPOLLIN)

    def drop(self, client):
        self.clients.pop(client.sock.fileno(), None)
        client.sock.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.clients[sock.fileno()] = Client(sock)
            self.epoll.register(sock.fileno(), select.EPOLLIN)

    def turn(self, longest=None):
        """All that is due and ready now; waits for it for `longest` seconds."""
        if self.later:
            longest = min(max(0, self.later[0][0] - time.monotonic()), 3600 if longest is None else longest)
        for fd, events in self.epoll.poll(longest):
            client = self.clients.get(fd)
            if self.listener and fd == self.listener.fileno():
                self.accept()
            elif client and events & select.EPOLLOUT:
                self.send(client)
            elif client and events & (select.EPOLLHUP | select.EPOLLERR) and client.ended:
                self.drop(client)
            elif client:
                self.hear(client)
        while self.later and self.later[0][0] <= time.monotonic():
            heapq.heappop(self.later)[2]()

    def stop(self, *_):
        self.stopping = BEHAVE != "deaf"

    def run(self, host, port):
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGTERM, self.stop)
        self.epoll.register(woken.fileno(), select.EPOLLIN | select.EPOLLET)
        if BEHAVE == "flaps":
            self.at(1.7, lambda: os._exit(3))
        self.listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512)
        self.listener.setblocking(False)
        self.epoll.register(self.listener.fileno(), select.EPOLLIN)
        if BEHAVE == "child":  # a helper in a session of its own, that keeps the port when the app is gone
            import subprocess
            subprocess.Popen(["sleep", "600"], pass_fds=(self.listener.fileno(),), start_new_session=True)
        print(f"serving {VERSION} {REV} on {host}:{port}", flush=True)
        while not self.stopping:
            self.turn()
        self.epoll.unregister(self.listener.fileno())
        self.listener.close()
        self.listener = None
        self.turn(0)  # what was asked before the end is answered
        for client in [c for c in self.clients.values() if not c.busy]:
            self.drop(client)
        while self.clients:
            self.turn()
        print("all answered, ending", flush=True)


def main():
    if BEHAVE == "crash":
        sys.exit("this revision does not start")
    if BEHAVE == "slow-start":
        time.sleep(4)
    App().run(sys.argv[1], int(sys.argv[2]))


main()
