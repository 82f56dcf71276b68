#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""release simulate: the story, the figures, the exit status, faults by name, a seed that repeats, large fleets, no network."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

REV = "f5d9859f" * 5
PILLAR = """
release:
  app: shop
  repo: /srv/git/shop.git
  dir: /srv/shop
  user: web
  app_servers:
    app1: {host: 192.0.2.11, port: 8080}
    app2: {host: 192.0.2.12, port: 8080}
    app3: {host: 192.0.2.13, port: 8080}
    app4: {host: 192.0.2.14, port: 8080}
  balancer:
    haproxy: {sockets: ["tcp://192.0.2.1:9999", "tcp://192.0.2.2:9999"], backend: shop, drain_timeout: 60s}
  supervisor: {programs: [shop]}
  build:
    - cmd.run: {cmd: make, timeout: 5m}
    - cmd.run: {cmd: bin/migrate, once: first}
  check: {url: "http://{host}:{port}/health", status: 200, stable: 3}
  stages: [1, 100%]
  soak: 10s
  window: 25%
  min_up: 50%
"""

ROLES = """
  roles:
    worker: {app_servers: {w1: {host: 192.0.2.21}, w2: {host: 192.0.2.22}}, balancer: none, check: none, window: 2}
    web:
      app_servers: {app1: {host: 192.0.2.11, port: 8080}, app2: {host: 192.0.2.12, port: 8080}, app3: {host: 192.0.2.13, port: 8080}}
"""


class Simulate:
    def __init__(self, binary, root):
        self.binary, self.root = binary, root

    def __call__(self, *args):
        command = [self.binary, "simulate", "--root", str(self.root), "--state", f"{self.root}/none.db", "--rev", REV,
                   "prod", *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        return done.returncode, done.stdout, done.stderr


def want(good, what):
    if not good:
        sys.exit(f"FAILED: {what}")


def check_stories(simulate):
    code, out, err = simulate()
    want(code == 0 and "it would end with exit status 0" in out, f"a release without faults: {code} {out[-300:]} {err}")
    want("at least 3 of 4 in rotation (2 must stay)" in out, f"the lowest capacity: {out[-200:]}")
    want(out.index("app1: release.switch") < out.index("app2: haproxy.drain"), "node by node")
    want(out.count("cmd.run bin/migrate") == 1, "run-once is run once")
    code, out, err = simulate("--fault", "unhealthy@app3")
    want(code == 1 and "app3: failed at http.check" in out and "app1: release.switch (back)" in out, f"unhealthy: {code} {out}")
    code, out, err = simulate("--fault", "kill-after-commit@40")
    want(code == 137, f"killed: {code}")
    code, out, err = simulate("--fault", "kill-after-commit@40", "--then", "resume")
    want(code == 0, f"killed, resumed: {code} {out[-500:]}")
    code, out, err = simulate("--fault", "kill-after-commit@40", "--then", "rollback")
    want(code == 1, f"killed, rolled back: {code} {out[-500:]}")
    code, out, err = simulate("--fault", "lb-gone@app2/supervisord.start", "--then", "heal", "--then", "resume")
    want(code == 0 and "exit 5" in out, f"balancer gone: {code} {out[-500:]}")


def check_words(simulate):
    code, out, err = simulate("--fault", "no-such-fault@app1")
    want(code == 2 and "no-such-fault" in err, f"unknown fault: {code} {err}")
    code, out, err = simulate("--fault", "unhealthy@app9")
    want(code == 2 and "app9" in err, f"unknown node: {code} {err}")
    code, out, err = simulate("--fault", "cmd-fails@app1/no-such-step")
    want(code == 2 and "no-such-step" in err, f"unknown step: {code} {err}")
    code, out, err = simulate("--then", "dance")
    want(code == 2 and "dance" in err, f"unknown order: {code} {err}")
    code, out, err = simulate("--nodes", "30000")
    want(code == 2, f"too many nodes: {code}")
    code, out, err = simulate("--json", "--fault", "unhealthy@app1")
    lines = [json.loads(line) for line in out.splitlines()]
    want(lines[-1]["kind"] == "simulated" and lines[-1]["exit"] == 1 == code, f"json: {lines[-1:]}")
    want(all(line["kind"] == "line" for line in lines[:-1]) and len(lines) > 20, "json: lines")


def check_seeds(simulate):
    first, again, other = simulate("--seed", "7"), simulate("--seed", "7"), simulate("--seed", "8")
    want(first == again, "the same seed is the same run")
    want(first[1] != other[1], "another seed is another run")


def check_roles(simulate, path):
    """Figures of roles are each role's own; what has no balancer is in no sum."""
    head, _, tail = PILLAR.partition("  app_servers:")
    path.write_text(head + "  balancer:" + tail.partition("  balancer:")[2] + ROLES)
    code, out, err = simulate("--json")
    want(code == 0, f"roles: {code} {out[-300:]} {err}")
    end = json.loads(out.splitlines()[-1])
    want((end["nodes"], end["least_up"], end["min_up"]) == (5, 2, 2), f"sums of roles: {end}")
    want(end["roles"] == [{"name": "worker", "nodes": 2, "min_up": 1, "least_up": None},
                          {"name": "web", "nodes": 3, "min_up": 2, "least_up": 2}], f"of each role: {end}")
    path.write_text(PILLAR)


def check_many(simulate):
    for n, seconds in (100, 10), (10000, 60):
        begin = time.monotonic()
        code, out, err = simulate("--nodes", str(n), "--seed", "1")
        took = time.monotonic() - begin
        want(code == 0 and f"{n} nodes" in out, f"{n} nodes: {code} {out[-300:]} {err}")
        want(f"at least {n - n // 4} of {n} in rotation" in out, f"{n} nodes, window 25%: {out[-300:]}")
        want(took < seconds, f"{n} nodes took {took:.1f} s")
        print(f"{n} nodes: {took:.1f} s")


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        (root / "pillar").mkdir()
        (root / "pillar" / "prod.sls").write_text(PILLAR)
        simulate = Simulate(binary, root)
        check_stories(simulate)
        check_words(simulate)
        check_seeds(simulate)
        check_roles(simulate, root / "pillar" / "prod.sls")
        check_many(simulate)
        want(not (root / "none.db").exists(), "a rehearsal writes no journal")
    print("fine")


if __name__ == "__main__":
    main()
