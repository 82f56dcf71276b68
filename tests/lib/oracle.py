# SPDX-License-Identifier: MIT
"""Judges the state in which a release left the world. Shares no code with the product: it asks processes, files, the
balancers' own sockets, and reads the journal with Python's sqlite3."""
import glob
import os
import sqlite3

from daemons import alive, cmdline, environ_of, marked, wait_for


def pid_listening(host, port):
    """The process that listens on host:port, by the kernel's tables; 0 when there is none."""
    address = "".join(f"{int(part):02X}" for part in reversed(host.split("."))) + f":{port:04X}"
    with open("/proc/net/tcp") as f:
        inodes = {line.split()[9] for line in f if line.split()[1] == address and line.split()[3] == "0A"}
    for fd in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            return int(fd.split("/")[2])
    return 0


def node_problems(node, rev):
    """The process must serve rev, from the directory that `current` names, which must be complete."""
    found, running = [], node.running_rev()
    if running != rev:
        found.append(f"{node.id}: serves {running[:12] or 'nothing'} (wanted {rev[:12]})")
    pid = pid_listening(node.host, node.port)
    cwd = os.readlink(f"/proc/{pid}/cwd") if pid else ""
    if cwd != os.path.realpath(node.current):
        found.append(f"{node.id}: process {pid} works in '{cwd}', current is '{os.path.realpath(node.current)}'")
    if node.fleet.mode == "rolling":
        found += release_dir_problems(node, rev)
    return found


def release_dir_problems(node, rev):
    link, found = f"{node.srv}/current", []
    if not os.path.islink(link):
        return [f"{node.id}: current is no link"]
    target = os.path.realpath(link)
    if os.path.dirname(target) != f"{node.srv}/releases":
        found.append(f"{node.id}: current leads to {target}, outside releases/")
    try:
        with open(f"{target}/.release-complete") as f:
            marker = f.read().split()
    except OSError:
        marker = []
    if rev not in marker:
        found.append(f"{node.id}: .release-complete of {target} says {marker} (wanted {rev})")
    return found


def balancer_problems(fleet, out=()):
    """Every server up and put out by nobody, but those in `out`, which must be as an operator left them: maint."""
    found = []
    for lb in fleet.lbs:
        status, admin = lb.status(), lb.admin_state()
        for node in fleet.nodes:
            if node.id in out:
                if not admin[node.id] & 1:
                    found.append(f"{lb.name}: {node.id} is {status[node.id]} (wanted MAINT, as before)")
            elif status[node.id] != "UP" or admin[node.id]:
                found.append(f"{lb.name}: {node.id} is {status[node.id]}, admin state {admin[node.id]} (wanted UP, 0)")
    if fleet.varnish and fleet.varnish_mode == "nodes":
        for name, admin in fleet.varnish.admin_health().items():
            if admin not in ("probe", "healthy"):
                found.append(f"varnish: {name} is left {admin}")
    return found


def leftovers(fleet):
    """Processes of the fleet that are neither daemons nor their children: steps that still run."""
    known = {n.supervisord.pid for n in fleet.nodes} | {n.sshd.pid for n in fleet.nodes}
    known |= {lb.process.pid for lb in fleet.lbs}
    found = []
    for pid in marked(fleet.dir):
        text = cmdline(pid)
        harmless = ("sshd", "haproxy", "apache2", "varnishd", "vcache", "supervisord", "app.py", "release-load", "ssh-agent",
                    "git daemon ", "git-daemon ", "aws_world.py", "caddy run")
        if pid in known or not alive(pid) or not text or any(word in text for word in harmless):
            continue
        if b"PYTEST_CURRENT_TEST=" in environ_of(pid) and "release" not in text:
            continue
        if "release serve " in text:  # it only watches
            continue
        found.append(f"process {pid} still runs: {text[:120]}")
    return found


def open_journal(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    db.row_factory = sqlite3.Row
    return db


# What changes the world: verbs that may not be without an intent. Reading ones have only an outcome.
CHANGING = {"drain", "maint", "kill", "enable", "stop", "start", "restart", "fetch", "checkout", "unpack", "seal", "switch",
            "clean", "run", "install", "webhook", "ban"}


def journal_problems(path, finished=True):
    """The file is sound; every outcome of a change has an earlier intent; when finished, every intent an outcome."""
    db, found = open_journal(path), []
    check = db.execute("pragma integrity_check").fetchone()[0]
    if check != "ok":
        found.append(f"journal: {check}")
    waiting = {}
    for r in db.execute("select * from journal order by seq"):
        key = (r["release"], r["node"], r["step"], r["role"], r["back"], r["attempt"])
        if r["kind"] == "intent":
            waiting[key] = waiting.get(key, 0) + 1
        elif r["kind"] == "outcome":
            changes = r["verb"].split(".")[-1] in CHANGING and r["role"] in ("run", "undo", "escalate", "kill")
            if waiting.get(key, 0) < 1 and not changes:
                continue
            if waiting.get(key, 0) < 1:
                found.append(f"journal: outcome {r['seq']} of {key} without an intent before it")
            waiting[key] = waiting.get(key, 0) - 1
    if finished:
        found += [f"journal: intent of {key} has no outcome" for key, n in waiting.items() if n > 0]
    return found


def lock_problems(path):
    """Nobody may hold the lock of any environment at the end."""
    db = open_journal(path)
    return [f"lock of {r['env']} is still held by {r['who']}: {r['why']}" for r in db.execute("select * from locks")]


def problems(fleet, rev, out=(), journal=True, finished=True):
    """All of it: every node on rev (or each on its own, {id: rev}), every balancer as before, nothing left behind."""
    found = [p for n in fleet.nodes for p in node_problems(n, rev[n.id] if isinstance(rev, dict) else rev)]
    found += balancer_problems(fleet, out)
    found += leftovers(fleet)
    if journal and os.path.exists(fleet.state):
        found += journal_problems(fleet.state, finished) + lock_problems(fleet.state)
    return found


def settle(fleet, rev, out=(), seconds=5, **more):
    """The same, granting what only takes a moment (a health check of a balancer): the problems that stay."""
    last = []

    def fine():
        last[:] = problems(fleet, rev, out, **more)
        return not last
    try:
        wait_for("the world as wanted", fine, seconds=seconds, every=0.2)
    except Exception as late:  # the list says more than the deadline
        return last or [str(late)]
    return []
