# SPDX-License-Identifier: MIT
"""Clients on the fleet, and what both they and the balancers saw."""
import json
import os
import signal
import subprocess
import threading
import time


class Stalls(threading.Thread):
    """How long this machine lets a process that is due wait: its noise, so that it is not blamed on a release."""

    def __init__(self):
        super().__init__(daemon=True)
        self.longest_ms, self.ended = 0, threading.Event()

    def run(self):
        while not self.ended.is_set():
            began = time.monotonic()
            self.ended.wait(0.01)
            self.longest_ms = max(self.longest_ms, (time.monotonic() - began) * 1000 - 10)


class Load:
    """release-load on all balancers of a fleet: with Load(fleet) as load: ...; then load.report, load.judge()."""

    def __init__(self, fleet, path="/slow", rate=200, connections=120, sticky=False, targets=None, timeout_ms=15000,
                 repeat_kept=False):
        self.fleet, self.report, self.counters = fleet, None, {}
        self.argv = [os.environ.get("RELEASE_LOAD", "release-load"), "--targets", ",".join(targets or fleet.targets),
                     "--path", path, "--rate", str(rate), "--connections", str(connections), "--timeout-ms",
                     str(timeout_ms)] + ["--sticky"] * sticky + ["--repeat-kept"] * repeat_kept
        self.process, self.stalls = None, Stalls()

    def start(self):
        self.stalls.start()
        for lb in self.fleet.lbs:
            lb.clear_counters()
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                                        env=self.fleet.environ())
        return self

    def stop(self):
        if self.report is None:
            self.process.send_signal(signal.SIGTERM)
            out, _ = self.process.communicate(timeout=60)
            self.report = json.loads(out)
            self.stalls.ended.set()
            self.counters = {lb.name: lb.counters() for lb in self.fleet.lbs}
        return self.report

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def run_on(self, seconds):
        """Lets clients go on for a while: the load itself takes time, this is no waiting for something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            time.sleep(0.05)

    def problems(self, handler_ms=150, slack_ms=300):
        """What must not be: failed requests at the clients, and what HAProxy hid from them."""
        r, found = self.stop(), []
        slack_ms += 3 * self.stalls.longest_ms
        if r["failed"]:
            found.append(f"{r['failed']} of {r['sent']} requests failed; first: {r['first_failure']}")
        if r["ok"] < 100:
            found.append(f"only {r['ok']} requests: too few to judge")
        for name, c in self.counters.items():
            bad = {k: v for k, v in c.items() if v and k not in ("longest_ms", "requests")}
            if bad:
                found.append(f"{name} counted {bad}")
            if c["longest_ms"] > handler_ms + slack_ms:
                found.append(f"{name} waited {c['longest_ms']} ms for an answer that takes {handler_ms} ms "
                             f"(allowed: {slack_ms:.0f} ms more)")
        return found

    def summary(self):
        r = self.stop()
        longest = max([c["longest_ms"] for c in self.counters.values()] or [0])
        hidden = {k: sum(c[k] for c in self.counters.values()) for k in ("eresp", "wretr", "wredis", "hrsp_5xx")}
        return (f"{r['sent']} requests in {r['seconds']} s, {r['failed']} failed; median {r['p50_ms']} ms, longest "
                f"{r['longest_ms']:.0f} ms (at the balancers {longest} ms); HAProxy " + ", ".join(f"{k} {v}" for k, v in hidden.items()))
