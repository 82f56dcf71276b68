# SPDX-License-Identifier: MIT
"""Runs scenarios of the fault matrix (tests/live/faults/*.yml): python3 tests/lib/matrix.py FILE...

A scenario is a fleet, and a list of steps: what is done, what is broken at which moment, what must come out. Moments are rows
of the journal or states of servers, never times. While it runs, three witnesses look on and share no code with the engine:
clients on the balancers, a watcher of the balancers' admin states (never more out than the window), and a proxy before
every balancer socket that demands an intent in the journal for each change it hears. The words are in the class below.
As root each scenario has network, mounts and host name of its own. Exit status: 0, 1 (says why), 77 (cannot run here)."""
import os
import signal
import socket
import subprocess
import sys
import time
import traceback

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402
import oracle  # noqa: E402
import scene  # noqa: E402
from daemons import can_connect, wait_for  # noqa: E402
from fleet import Fleet  # noqa: E402
from load import Load  # noqa: E402
from origin import add_commit  # noqa: E402
from witness import Watcher, ask_unix  # noqa: E402

API_PROXY = 98  # fleet.base + this, beside the balancer's own socket
SSH_PROXY = 23


ROLLING = {
    "prepare": ["git.fetch", "release.unpack", "build", "release.seal"], "drain": ["balancer.drain", "balancer.wait_idle"],
    "change": ["app.stop", "release.switch", "once", "app.start"], "check": ["app.running", "http.check"],
    "enable": ["balancer.enable", "balancer.wait_up"], "verify": ["release.running"]}


class Skip(Exception):
    """Cannot run here; why."""


class Scenario:
    def __init__(self, path):
        self.path, self.said, self.process, self.status = path, "", None, None
        with open(path) as f:
            self.spec = yaml.safe_load(f)
        self.net, self.unproved, self.load, self.before, self.target = faults.Net(), [], None, None, "v2"
        self.proxies, self.held, self.since, self.began, self.endings = {}, [], 0, 0, []

    # ---- the fleet

    def start(self):
        for need in self.spec.get("needs", []):
            missing = os.getuid() != 0 if need == "root" else subprocess.run(["which", need], capture_output=True).returncode
            if missing:
                raise Skip(f"needs {need}")
        if self.spec.get("plain_only") and b"__asan_init" in open(os.environ["RELEASE_BIN"], "rb").read():
            raise Skip("not with a sanitizer's run-time, which wants to be loaded first")
        args = dict({"n_nodes": 3, "varnish": None}, **self.spec.get("fleet", {}))
        self.fleet = Fleet(**args)
        for lb in self.fleet.lbs:
            if self.fleet.varnish_mode != "front":
                self.proxies[lb.name] = faults.Proxy(lb.host, self.fleet.base + API_PROXY, (lb.host, lb.stats_port),
                                                     self.heard)
        for node_id, size in self.spec.get("disks", {}).items():
            self.small_disk(self.fleet.node(node_id), size)
        if self.proxies:
            sockets = [f"tcp://{lb.host}:{self.fleet.base + API_PROXY}" for lb in self.fleet.lbs]
            self.fleet.pillar_changes.setdefault("sockets", sockets)
        self.fleet.start()
        for version, behave in self.spec.get("behave", {}).items():
            self.fleet.revs[version] = add_commit(self.fleet.dir, version, behave)
        if "journal_disk" in self.spec:
            faults.mount_small(f"{self.fleet.dir}/state", self.spec["journal_disk"])
        if "pillar" in self.spec:
            self.do_pillar(self.spec["pillar"])
        for name in self.spec.get("ssh_proxy", []):
            n = self.fleet.node(name)
            self.proxies[name] = faults.Proxy(n.host, self.fleet.base + SSH_PROXY, (n.host, n.ssh_port))
        self.watcher = Watcher(self.fleet)
        if self.spec.get("watch", True):
            self.watcher.start()

    def small_disk(self, node, size):
        install = node.install

        def on_small_disk(rev):
            faults.mount_small(node.srv, size)
            install(rev)
        node.install = on_small_disk

    def heard(self, data):
        """I4: at the moment a change of a server goes to a balancer, its intent is in the journal."""
        for line in data.decode("utf-8", "replace").replace(";", "\n").splitlines():
            words = line.split()
            if words[:2] != ["set", "server"] or "/" not in words[2]:
                continue
            try:
                proved = oracle.open_journal(self.fleet.state).execute(
                    "select 1 from journal where node = ? and kind = 'intent' and verb like 'haproxy.%' and release = "
                    "(select max(id) from releases)", (words[2].split("/")[1],)).fetchone()
            except oracle.sqlite3.Error:
                proved = None
            if not proved:
                self.unproved.append(line)

    def format(self, text):
        return text.format(dir=self.fleet.dir, state=self.fleet.state, origin=self.fleet.origin, root=self.fleet.root,
                           fleet=self.fleet, engine=self.process.pid if self.process else 0, revs=self.fleet.revs,
                           **{n.id: n for n in self.fleet.nodes}, **{lb.name: lb for lb in self.fleet.lbs})

    def place(self, name):
        """app2, app2.ssh, app2.app, lb1.api, lb1.web -> (host, port)"""
        who, _, what = name.partition(".")
        lb = next((lb for lb in self.fleet.lbs if lb.name == who), None)
        if lb:
            return lb.host, {"api": self.fleet.base + API_PROXY, "web": lb.port, "": 0}[what]
        node = self.fleet.node(who)
        return node.host, {"ssh": node.ssh_port, "app": node.port, "": 0}[what]

    # ---- steps: what is done

    def do_pillar(self, changes):
        changes = {k: self.format(v) if isinstance(v, str) else v for k, v in changes.items()}
        proxied = self.spec.get("ssh_proxy", [])
        if proxied:
            changes["servers"] = "\n".join(
                f"    {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, "
                f"ssh: {{port: {self.fleet.base + SSH_PROXY if n.id in proxied else n.ssh_port}}}}}"
                for n in self.fleet.nodes)
        self.fleet.write_pillar(**changes)

    def do_deadlines(self, seconds):
        """The plan `rolling` with other deadlines: {app.start: 6s}."""
        text = "".join(f"{phase}: [" + ", ".join(
            f"{{{verb}: {{timeout: {seconds[verb]}}}}}" if verb in seconds else verb for verb in verbs) + "]\n"
            for phase, verbs in ROLLING.items())
        os.makedirs(f"{self.fleet.root}/plans", mode=0o700, exist_ok=True)
        with open(os.open(f"{self.fleet.root}/plans/rolling.yml", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)

    def do_clients(self, path):
        self.load = Load(self.fleet, path=path if isinstance(path, str) else "/slow", rate=60, connections=60).start()

    def do_release(self, version):
        self.do_start(version)
        self.do_ends(0)

    def do_start(self, what):
        """A release in the background: v2, or {rev: v2, args: [..], env: {..}, under: [strace, ..]}, or {args: [resume, ..]}."""
        what = what if isinstance(what, dict) else {"rev": what}
        args = [self.format(a) for a in what.get("args", [])]
        if "rev" in what:
            self.target = what["rev"]
            args = ["run", "--rev", self.fleet.revs[self.target], "--yes", *args, "prod"]
        under = [self.format(a) for a in what.get("under", [])]
        self.since = self.last_row()
        argv = self.fleet.argv
        self.fleet.argv = lambda *a: under + argv(*a)
        try:
            self.process = self.fleet.release_start(*args, env=what.get("env"))
        finally:
            self.fleet.argv = argv

    def do_ends(self, status):
        """The exit status of what was started; what it printed is then what `says` is about."""
        wanted = status if isinstance(status, list) else [status]
        self.status = scene.end(self.process, self.fleet, self.spec.get("deadline", 150))
        self.said = scene.texts(self.fleet)
        self.endings.append(self.status)
        assert self.status in wanted, f"ended with {self.status} (wanted {status}):\n{self.said}"

    def do_resume(self, status):
        self.do_start({"args": ["resume", "--yes", "prod"]})
        self.do_ends(status)

    def do_rollback(self, status):
        self.do_start({"args": ["rollback", "--yes", "prod"]})
        self.do_ends(status)

    def do_command(self, what):
        """{args: [..], exits: N}"""
        self.do_start({"args": what["args"], "env": what.get("env")})
        self.do_ends(what.get("exits", 0))

    def do_shell(self, text):
        out = subprocess.run(["sh", "-ec", self.format(text)], capture_output=True, text=True, timeout=60, cwd=self.fleet.dir,
                             env=self.fleet.environ())
        assert out.returncode == 0, f"shell: {out.stdout}{out.stderr}"

    # ---- steps: moments

    def do_until(self, text):
        """`app2 supervisord.stop intent`, `app2 drained` (a moment of scene.py), or `says: TEXT`. An outcome counts when
        the step is done with it."""
        words = text.split()
        node = None if words[0] == "-" else self.fleet.node(words[0])
        if len(words) == 2:
            moment, rev = getattr(scene, words[1]), self.fleet.revs[self.target]
            self.wait(text, lambda: moment(self.fleet, node, rev))
        else:
            self.wait(text, lambda: self.row_there(words[0], words[1], words[2]))

    def wait(self, what, test):
        def there():
            return test() or self.process.poll() is not None
        wait_for(what, there, seconds=90, every=0.004)
        assert test(), f"ended with {self.process.poll()} before '{what}':\n{scene.texts(self.fleet)}"

    def last_row(self):
        """Of the journal, before what is started now."""
        try:
            return oracle.open_journal(self.fleet.state).execute("select ifnull(max(seq), 0) from journal").fetchone()[0]
        except oracle.sqlite3.Error:
            return 0

    def row_there(self, node, verb, kind):
        try:
            return oracle.open_journal(self.fleet.state).execute(
                "select 1 from journal where seq > ? and node = ? and verb = ? and kind = ? "
                "and (kind <> 'outcome' or (a = 1 and role in ('run', 'observe')))",
                (self.since, "" if node == "-" else node, verb, kind)).fetchone() is not None
        except oracle.sqlite3.Error:
            return False

    def do_until_file(self, path):
        self.wait(path, lambda: os.path.exists(self.format(path)))

    def do_until_says(self, text):
        self.wait(f"says '{text}'", lambda: text in self.fleet.log("release.out") + self.fleet.log("release.err"))

    # ---- steps: what is broken

    def do_drop(self, name):
        self.net.drop(*self.place(name))

    def do_drop_to(self, name):
        self.net.drop(*self.place(name), back=False)

    def do_drop_back(self, name):
        self.net.drop(*self.place(name), to=False)

    def do_reject(self, name):
        self.net.reject(*self.place(name))

    def do_heal(self, _):
        self.net.heal()

    def do_proxy(self, modes):
        for name, mode in modes.items():
            self.proxies[name].mode = mode

    def do_freeze(self, node_id):
        faults.freeze(self.fleet.node(node_id))

    def do_thaw(self, node_id):
        faults.thaw(self.fleet.node(node_id))

    def do_signal(self, what):
        """`engine KILL`, `app2.supervisord KILL`, `app2.app TERM`"""
        who, _, name = what.partition(" ")
        node, _, daemon = who.partition(".")
        if who == "engine":
            pid = self.process.pid
        elif daemon == "app":
            pid = oracle.pid_listening(self.fleet.node(node).host, self.fleet.node(node).port)
        else:
            pid = getattr(self.fleet.node(node), daemon).pid
        os.kill(pid, getattr(signal, "SIG" + name))

    def do_start_supervisord(self, node_id):
        self.fleet.node(node_id).start_supervisord()
        node = self.fleet.node(node_id)
        wait_for(f"{node_id} answers", lambda: can_connect(node.host, node.port))

    def do_lb(self, what):
        """`lb1 app2 maint`: by an operator's hand; `lb1 reload`."""
        words = what.split()
        lb = next(lb for lb in self.fleet.lbs if lb.name == words[0])
        if words[1] == "reload":
            lb.reload()
        else:
            lb.set_state(words[1], words[2])

    def do_tell(self, what):
        """`lb1 TEXT`: somebody speaks to the balancer where the release does."""
        name, _, text = what.partition(" ")
        with socket.create_connection(self.place(f"{name}.api"), timeout=5) as s:
            s.sendall(text.encode() + b"\n")
            while s.recv(4096):
                pass

    def do_fill(self, path):
        self.held.append(faults.fill(self.format(path)))

    def do_make_room(self, _):
        while self.held:
            os.unlink(self.held.pop())

    # ---- steps: what must be so

    def do_says(self, words):
        for word in words if isinstance(words, list) else [words]:
            word = self.format(word)
            assert word.lower() in self.said.lower(), f"'{word}' is not said:\n{self.said}"

    def do_says_not(self, word):
        assert word.lower() not in self.said.lower(), f"'{word}' is said:\n{self.said}"

    def do_remember(self, _):
        self.before = scene.snapshot(self.fleet)

    def do_untouched(self, _):
        after = scene.snapshot(self.fleet)
        assert after == self.before, "something was touched:\n" + difference(self.before, after)

    def do_world(self, what):
        """Every node on it, balancers as before, nothing left running, the lock free."""
        what = what if isinstance(what, dict) else {"rev": what}
        problems = oracle.settle(self.fleet, self.fleet.revs[what["rev"]], out=tuple(what.get("out", ())), seconds=10,
                                 finished=what.get("finished", False))
        if self.net.ever:  # an sshd that was never told of the end of its connection keeps its idle shell for hours
            problems = [p for p in problems if not p.endswith(" still runs: sh")]
        assert problems == [], "\n".join(problems) + "\n" + self.said

    def do_running(self, wanted):
        for node_id, version in wanted.items():
            wanted_rev = self.fleet.revs[version] if version else ""
            wait_for(f"{node_id} runs {version}", lambda n=node_id, w=wanted_rev: self.fleet.node(n).running_rev() == w,
                     seconds=10)

    def do_out(self, nodes):
        """Exactly these are put out at some balancer."""
        found = set()
        wait_for(f"out: {nodes}", lambda: found.clear() or found.update(
            n for lb in self.fleet.lbs for n, bits in ask_unix(lb).items() if bits & ~4) or found == set(nodes), seconds=5)

    def do_file(self, what):
        """{path: text}: the file has it, None: it does not exist"""
        for path, text in what.items():
            path = self.format(path)
            if text is None:
                assert not os.path.exists(path), f"{path} exists"
                continue
            with open(path) as f:
                found = f.read()
            assert found == text, f"{path} has {found!r} (wanted {text!r})"

    def do_clients_lost(self, most):
        """How many requests may have failed; 0 unless the fault itself kills some."""
        self.load.run_on(1)  # some scenarios are over too soon for a judgement
        report = self.load.stop()
        assert report["failed"] <= most, f"{report['failed']} requests failed (allowed {most}): {report['first_failure']}"
        assert report["ok"] > 50, report
        for version in self.spec.get("never", []):
            assert self.fleet.revs[version] not in report["revisions"], f"clients were served by {version}"
        self.load = None

    def do_within(self, seconds):
        """The whole scenario up to here, from the last `start`."""
        took = time.monotonic() - self.began
        assert took < seconds, f"took {took:.1f} s (wanted under {seconds})"

    # ---- all of it

    def run(self):
        for step in self.spec["do"]:
            (name, value), = step.items() if isinstance(step, dict) else [(step, None)]
            if name in ("start", "release", "command"):
                self.began = time.monotonic()
            try:
                getattr(self, "do_" + name)(value)
            except Exception as e:
                raise AssertionError(f"{name}: {value}: {str(e)[-2500:]}") from None
        if self.load:
            self.do_clients_lost(0)
        if self.spec.get("watch", True):
            self.watcher.over.set()
            self.watcher.join()
        window = int(self.fleet.pillar_changes.get("window", "1"))
        assert self.most_out() <= window, f"{self.watcher.most} nodes were out at once (window {window})"
        assert self.unproved == [], f"changes without an intent: {self.unproved[:5]}"
        if not self.process:
            return
        bad = [name for name in ("Sanitizer", "runtime error:") if name in self.fleet.log("release.err")]
        assert not bad, self.fleet.log("release.err")[-4000:]

    def most_out(self):
        by_hand = sum("lb" in step for step in self.spec["do"] if isinstance(step, dict))
        return 0 if by_hand else self.watcher.most

    def end(self, keep):
        self.net.heal()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for proxy in self.proxies.values():
            proxy.close()
        self.fleet.stop(keep=keep)
        subprocess.run(f"grep -o ' {self.fleet.dir}[^ ]*' /proc/mounts | xargs -r umount -l", shell=True, check=False)


def difference(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        return "".join(difference(a.get(k), b.get(k), f"{path}/{k}") for k in sorted(set(a) | set(b), key=str))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and a != b:
        return f"{path}: {[x for x in a if x not in b]} -> {[x for x in b if x not in a]}\n"
    return "" if a == b else f"{path}: {a} -> {b}\n"


def inside(path):
    """In namespaces of our own by now, if root."""
    scenario = Scenario(path)
    try:
        scenario.start()
        scenario.run()
    except Skip as why:
        print(f"{os.path.basename(path)}: skipped: {why}")
        return 77
    except BaseException:  # noqa: B902 an interrupt ends the daemons, too
        traceback.print_exc(limit=-1, file=sys.stdout)
        if hasattr(scenario, "fleet"):
            scenario.end(bool(os.environ.get("KEEP_FAILED")))
        return 1
    scenario.end(False)
    print(f"exit statuses, in order: {scenario.endings}; out at once at most: {scenario.watcher.most}")
    return 0


def run_scenario(path):
    """(exit status, what it said) of one file, in a process of its own."""
    argv = [sys.executable, "-B", os.path.abspath(__file__), "--inside", path]
    if os.getuid() == 0:
        argv = ["unshare", "--net", "--mount", "--uts", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", *argv]
    out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
    return out.returncode, out.stdout


def main():
    if sys.argv[1:2] == ["--inside"]:
        sys.exit(inside(sys.argv[2]))
    worst = 0
    for path in sys.argv[1:]:
        began = time.monotonic()
        status, text = run_scenario(path)
        word = {0: "passed", 77: "skipped"}.get(status, "FAILED")
        print(f"{word} {time.monotonic() - began:5.1f} s  {os.path.basename(path)}\n{text}", end="", flush=True)
        worst = worst or (status not in (0, 77))
    sys.exit(worst)


if __name__ == "__main__":
    main()
