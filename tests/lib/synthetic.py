# SPDX-License-Identifier: MIT
"""A release of thousands of nodes as its journal would have it, without the nodes: for what only reads the journal.

    rows = rolling(plan_of(real_plan, 2000, window=100))    # (ms since the start, row) in the order of a journal
    Writer(state, plan).write(rows, at_ms)                  # all at once, or in pieces as time goes on

The shape is that of a real journal (docs/journal.md); times are drawn from a seed, so that the same call gives the same.
"""
import copy
import hashlib
import heapq
import json
import os
import random
import sqlite3
import time

COLUMNS = ("at_ms", "release", "app", "env", "kind", "node", "step", "verb", "role", "code", "attempt", "back", "a", "b", "facts",
           "text", "rev", "identity", "debt")
GANG = {"prepare": 1, "verify": 8, "finish": 9}  # enum phase
LIFE = {"prepare": 2, "roll": 4, "verify": 6, "finish": 7, "end": 12}  # enum life


def plan_of(real, n_nodes, window, name="web"):
    """A real frozen plan, for other nodes."""
    plan = copy.deepcopy(real)
    one = plan["nodes"][0]
    width = len(str(n_nodes))
    plan["nodes"] = []
    for i in range(n_nodes):
        node = copy.deepcopy(one)
        node["id"] = f"{name}{i + 1:0{width}d}"
        plan["nodes"].append(node)
    plan["window"], plan["min_up"] = window, n_nodes // 2
    plan["stage_end"] = [1, n_nodes // 4, n_nodes]
    return plan


class Rolling:
    """Plays the walk of a release in its own time; rows come out in order."""

    def __init__(self, plan, seed, failing):
        self.plan, self.random, self.failing = plan, random.Random(seed), failing
        self.steps = list(enumerate(plan["steps"]))
        self.heap, self.rows, self.count = [], [], 0

    def at(self, ms, call, *args):
        self.count += 1
        heapq.heappush(self.heap, (ms, self.count, call, args))

    def run(self):
        while self.heap:
            ms, _, call, args = heapq.heappop(self.heap)
            call(ms, *args)

    def row(self, ms, kind, code, node="", step=-1, role="", a=0, b=0, text="", back=0, attempt=0, rev=None):
        verb = self.plan["steps"][step]["verb"] if step >= 0 else ""
        facts = json.dumps({"rev": rev}) if rev else None
        self.rows.append((int(ms), (kind, node, step, verb, role, code, attempt, back, a, b, facts, text, rev, None, None)))

    def note(self, ms, code, a=0, b=0, node="", text=""):
        self.row(ms, "note", code, node, a=a, b=b, text=text or (f"{node}: {code}" if node else f"{code} {a}"))

    def took(self, step):
        middle = {"prepare": 900, "drain": 250, "change": 600, "check": 900, "enable": 350}.get(step["phase"], 120)
        return middle * self.random.uniform(0.5, 1.8)

    def walk(self, ms, node, steps, done):
        """One node through steps, then done(ms, node)."""
        if not steps:
            return done(ms, node)
        (i, step), rest = steps[0], steps[1:]
        self.row(ms, "intent", "run", node, i, "run", attempt=1)
        end = ms + self.took(step)
        if step["phase"] == "check" and node in self.failing:
            return self.at(end, self.fail, node, i)
        return self.at(end, self.step_ok, node, i, rest, done)

    def step_ok(self, ms, node, i, rest, done):
        self.row(ms, "outcome", "ok", node, i, "run", a=1, attempt=1)
        self.walk(ms, node, rest, done)

    def fail(self, ms, node, i):
        text = f"{node}: {self.plan['steps'][i]['label']}: status 500, wanted 200"
        self.row(ms, "outcome", "failed", node, i, "run", text=text, attempt=1)
        self.row(ms, "note", "node-failed", node, i, text=f"{node}: failed at {self.plan['steps'][i]['label']}")
        self.note(ms, "node-turn", 4, 2, node, f"{node}: going back")
        self.at(ms + 3000, self.node_in, node, 1)

    def phase(self, *names):
        return [(i, s) for i, s in self.steps if s["phase"] in names]

    def gang(self, ms, phase, after):
        nodes = [n["id"] for n in self.plan["nodes"]]
        left = [len(nodes)]

        def done(at, node):
            self.note(at, "gang-ok", GANG[phase], 0, node, f"{node}: done")
            left[0] -= 1
            if not left[0]:
                after(at)
        self.note(ms, "life", LIFE[phase])
        for k, node in enumerate(nodes):  # the pool has 64 workers
            self.at(ms + k // 64 * 120, lambda at, node=node: self.walk(at, node, self.phase(phase), done))

    def roll(self, ms):
        self.note(ms, "life", LIFE["roll"])
        self.waiting = [n["id"] for n in self.plan["nodes"]]
        self.stage, self.out, self.back_in = -1, 0, 0
        self.next_stage(ms)

    def next_stage(self, ms):
        self.stage += 1
        self.note(ms, "stage", self.stage, self.plan["stage_end"][self.stage])
        self.admit(ms)

    def admit(self, ms):
        n = len(self.plan["nodes"])
        taken = n - len(self.waiting)
        while self.waiting and self.out < self.plan["window"] and taken < self.plan["stage_end"][self.stage]:
            node = self.waiting.pop(0)
            self.note(ms, "admit", n - self.out, self.plan["min_up"], node,
                      f"{node}: leaves rotation ({n - self.out} nodes up, {self.plan['min_up']} must stay)")
            self.out += 1
            taken += 1
            self.walk(ms, node, self.phase("drain", "change", "check", "enable"), lambda at, x: self.node_in(at, x, 0))

    def node_in(self, ms, node, old):
        self.row(ms, "note", "node-in", node, a=old, text=f"{node}: in rotation", back=old, rev=self.plan["rev"])
        self.out -= 1
        self.back_in += 1
        if self.back_in == len(self.plan["nodes"]):
            return self.gang(ms, "verify", lambda at: self.gang(at, "finish", self.end))
        if self.back_in == self.plan["stage_end"][self.stage]:
            return self.next_stage(ms)
        return self.admit(ms)

    def end(self, ms):
        self.note(ms, "life", LIFE["end"])
        self.note(ms, "end", 0, 0, text="release ended")


def rolling(plan, seed=1, failing=()):
    r = Rolling(plan, seed, set(failing))
    r.row(0, "order", "start")
    r.at(0, lambda ms: r.gang(ms, "prepare", r.roll))
    r.run()
    return r.rows


class Writer:
    """Writes such a release into a journal that the product has made; the writer holds the lock meanwhile."""

    def __init__(self, state, plan, env="big", at_ms=None, who="root", kind="release"):
        self.db, self.env = sqlite3.connect(state, isolation_level=None), env
        self.db.execute("PRAGMA busy_timeout = 5000")
        self.at_ms = at_ms or int(time.time() * 1000)
        plan = dict(plan, env=env)
        text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.release = self.db.execute(
            "INSERT INTO releases (env, app, kind, plan_name, rev, rev_typed, who, host, plan_digest, of_release, started_ms)"
            " VALUES (?, 'site', ?, ?, ?, ?, ?, 'here', ?, 0, ?)",
            (env, kind, plan["name"], plan["rev"], plan["rev_typed"], who, digest, self.at_ms)).lastrowid
        self.db.execute("INSERT INTO plans VALUES (?, ?)", (self.release, text))

    def hold(self):
        """The lock, held by this process: then the release counts as running."""
        with open("/proc/self/stat") as f:
            start = int(f.read().rsplit(")", 1)[1].split()[19])
        with open("/proc/sys/kernel/random/boot_id") as f:
            boot = f.read().strip()
        fence = self.db.execute("SELECT coalesce(max(fence), 0) + 1 FROM lock_history").fetchone()[0]
        self.db.execute("INSERT OR REPLACE INTO locks VALUES ('site', ?, ?, ?, ?, 'root', '', ?, ?, ?, ?, 0)",
                        (self.env, fence, self.release, self.at_ms, os.uname().nodename, boot, os.getpid(), start))

    def free(self):
        self.db.execute("DELETE FROM locks WHERE env = ?", (self.env,))

    def write(self, rows):
        self.db.execute("BEGIN IMMEDIATE")
        marks = ", ".join("?" * len(COLUMNS))
        self.db.executemany(f"INSERT INTO journal ({', '.join(COLUMNS)}) VALUES ({marks})",
                            [(self.at_ms + ms, self.release, "site", self.env, *row) for ms, row in rows])
        self.db.execute("COMMIT")

    def end(self, ms, status=0, summary="done"):
        self.db.execute("INSERT INTO release_ends (release, exit_status, summary, at_ms) VALUES (?, ?, ?, ?)",
                        (self.release, status, summary, self.at_ms + ms))
        self.free()

    def output(self, ms, node, step, data, stream=1):
        self.db.execute("INSERT INTO outputs (release, at_ms, node, step, attempt, stream, back, data) VALUES (?, ?, ?, ?, 1, ?, 0, ?)",
                        (self.release, self.at_ms + ms, node, step, stream, data))
