#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `release serve` costs: answers on a journal of 1,000 releases, memory with 50 streams on a 2,000-node release, requests
per second among 1,000 slow clients. Not a test: RELEASE_BIN=build/release tests/bench/serve.py (docs/api.md has its numbers)."""
import contextlib
import http.client
import json
import os
import resource
import socket
import statistics
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import synthetic  # noqa: E402
from serving import Place, Serving  # noqa: E402


def plan(n, window):
    with open(os.path.join(HERE, "..", "lib", "frozen_plan.json")) as f:
        return synthetic.plan_of(json.load(f), n, window)


def memory(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        lines = dict(line.split(":", 1) for line in f)
    return {k: f"{int(lines[k].split()[0]) / 1024:.1f} MB" for k in ("VmRSS", "VmHWM", "RssAnon")}


def latencies(server, token, paths, times=200):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    for path in paths:
        took = []
        for _ in range(times):
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            size = len(answer.read())
            took.append((time.perf_counter() - began) * 1000)
            assert answer.status == 200, path
        took.sort()
        print(f"  {path:45} {size:9} bytes  first {took[-1]:7.2f} max   median {statistics.median(took):6.2f}   "
              f"p99 {took[int(times * .99) - 1]:6.2f} ms")


def small_releases(place, server, token):
    rows = synthetic.rolling(plan(8, 2))
    print(f"1,000 releases of 8 nodes, {len(rows)} rows each")
    for _ in range(1000):
        w = synthetic.Writer(place.state, plan(8, 2), env="prod")
        w.write(rows)
        w.end(rows[-1][0])
        w.db.close()
    latencies(server, token, ["/healthz", "/api/v1/envs", "/api/v1/envs/prod", "/api/v1/releases?limit=20", "/api/v1/releases/1000",
                              "/api/v1/releases/1000/model", "/api/v1/releases/1000/timeline", "/api/v1/releases/500/rows?limit=500",
                              "/api/v1/releases/1/diff?with=1000", "/api/v1/orders", "/metrics", "/", "/history"])
    print("  memory", memory(server))


def reader(server, token, release, got, stop):
    s = server.connect(timeout=1)
    s.sendall(f"GET /events?release={release}&env=big&after=0 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
              f"Authorization: Bearer {token}\r\n\r\n".encode())
    mark = b"\nevent: row"
    tail = b""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            chunk = s.recv(1 << 18)
            if not chunk:
                break
            got.append((tail + chunk).count(mark))
            tail = (tail + chunk)[1 - len(mark):]  # too short to be counted twice
    s.close()


def large_release(place, server, token):
    rows = synthetic.rolling(plan(2000, 100))
    print(f"a release of 2,000 nodes, {len(rows)} rows, 50 streams from its first row")
    w = synthetic.Writer(place.state, plan(2000, 100), env="big")
    w.hold()
    before = memory(server)
    got, stop = [], threading.Event()
    threads = [threading.Thread(target=reader, args=(server, token, w.release, got, stop)) for _ in range(50)]
    for t in threads:
        t.start()
    began, most = time.monotonic(), 0
    for i in range(0, len(rows), 500):
        w.write(rows[i:i + 500])
        time.sleep(0.02)
    while time.monotonic() - began < 120 and sum(got) < 50 * len(rows) * 0.999:  # a mark that a chunk's head splits is not counted
        time.sleep(0.2)
    took = time.monotonic() - began
    print(f"  {sum(got)} of {50 * len(rows)} rows delivered in {took:.1f} s ({sum(got) / took:,.0f} rows/s)")
    print("  before", before, "\n  with 50 streams", memory(server))
    latencies(server, token, [f"/api/v1/releases/{w.release}/model", f"/api/v1/releases/{w.release}/model?summary=1",
                              f"/api/v1/releases/{w.release}/timeline?rows=40", f"/api/v1/releases/{w.release}", "/api/v1/envs"], 30)
    print("  after", memory(server))
    stop.set()
    for t in threads:
        t.join()
    w.end(rows[-1][0])


def honest(server, token, until, counts):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    n = failed = 0
    worst = 0.0
    while time.monotonic() < until:
        began = time.perf_counter()
        try:
            connection.request("GET", "/api/v1/envs/prod", headers={"Authorization": f"Bearer {token}"})
            connection.getresponse().read()
            n += 1
        except (OSError, http.client.HTTPException):
            connection.close()
            failed += 1
        worst = max(worst, time.perf_counter() - began)
    counts.append((n, failed, worst))


def slow_clients(server, token):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    for n in (0, 1000):
        slow, stop = [], threading.Event()

        def keep():
            """Each of them sends a byte a second, and comes again when it was put out."""
            while not stop.is_set():
                while len(slow) < n:
                    s = socket.create_connection((server.host, server.port))
                    s.setblocking(False)
                    s.send(b"GET / HTTP/1.1\r\nX-Slow: ")
                    slow.append(s)
                for s in list(slow):
                    try:
                        s.send(b"a")
                    except OSError:
                        slow.remove(s)
                        s.close()
                time.sleep(1)
        keeper = threading.Thread(target=keep)
        if n:
            keeper.start()
            time.sleep(2)
        counts, until = [], time.monotonic() + 5
        threads = [threading.Thread(target=honest, args=(server, token, until, counts)) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        print(f"  {n:5} slow clients: {sum(c[0] for c in counts) / 5:7.0f} requests/s on 4 connections, {sum(c[1] for c in counts)} broken, "
              f"slowest {max(c[2] for c in counts) * 1000:.0f} ms")
        stop.set()
        if n:
            keeper.join()
        for s in slow:
            s.close()


def main():
    place = Place()
    place.write("pillar/prod.sls", "release: {app: site}\n")
    try:
        with Serving(place) as server:
            token = server.token("bench", "viewer")
            small_releases(place, server, token)
            slow_clients(server, token)
            large_release(place, server, token)
    finally:
        place.remove()


if __name__ == "__main__":
    main()
