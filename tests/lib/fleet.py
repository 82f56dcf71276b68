# SPDX-License-Identifier: MIT
"""A fleet of real servers on loopback addresses: the world in which the product is judged.

Under one directory and on one 127.a.b.0/24 of its own: per node an sshd and a supervisord that runs a real web app
from a git repository; HAProxies; a Varnish; a pillar that describes it all. Nothing outside the directory and those
addresses is touched, and several fleets live side by side. End: stop(), also after a crash (see daemons.py).

    with Fleet("/tmp/x") as fleet: ...            python3 fleet.py up|down|status DIRECTORY
"""
import atexit
import getpass
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from balancers import HAProxy, Varnish  # noqa: E402
from daemons import MARK, TIED, can_bind, can_connect, end_all, marked, reap, spawn, wait_for  # noqa: E402
from origin import git, make_origin  # noqa: E402
from pillar import write_pillar  # noqa: E402

SSHD = "/usr/sbin/sshd"
BIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")  # supervisor, quicker to start
PATH = BIN + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SSHD_CONFIG = """{listen}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {authorized}
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM {pam}
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 100
LogLevel VERBOSE
SetEnv HOME={home} {mark} PATH={path}
"""
SUPERVISORD = """[unix_http_server]
file={dir}/supervisor.sock
[supervisord]
logfile={dir}/supervisord.log
pidfile={dir}/supervisord.pid
nodaemon=true
childlogdir={dir}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{dir}/supervisor.sock
{programs}"""
PROGRAM = """[program:{program}]
command=/usr/bin/python3 -S app.py {host} {port}
directory={app_dir}
startsecs=1
startretries=1
stopwaitsecs=20
stopsignal=TERM
redirect_stderr=true
stdout_logfile={dir}/{program}.log
"""


def account_locked():
    """Without PAM, sshd refuses users whose password field says so, as root's may: keys or not."""
    try:
        with open("/etc/shadow") as f:
            return any(line.startswith(f"{getpass.getuser()}:!") for line in f)
    except OSError:
        return False  # not ours to read, and then not sshd's either


def reserve_net():
    """A 127.a.b with no one on it, and a base port free on it. The listening socket holds it while we live."""
    for _ in range(1000):
        net = f"127.{random.randint(64, 126)}.{random.randint(1, 254)}"
        base = 100 * random.randint(180, 280)
        held = socket.socket()
        try:
            held.bind((f"{net}.1", base))
            held.listen(1)
        except OSError:
            continue
        if all(can_bind(f"{net}.{host}", base + port) for host in (2, 3, 9, 11, 12) for port in (22, 80, 82, 99)):
            return net, base, held
    raise RuntimeError("no free port between 18000 and 28000 on any loopback address")


class Node:
    """One app server: its directory, addresses and what it answers."""

    def __init__(self, fleet, number):
        self.fleet, self.id = fleet, f"app{number}"
        self.host, self.port, self.ssh_port = f"{fleet.net}.{10 + number}", fleet.base + 80, fleet.base + 22
        if fleet.ports_apart:
            self.port = fleet.base + 30 + number
        self.dir = f"{fleet.dir}/nodes/{self.id}"
        self.srv, self.home = f"{self.dir}/srv", f"{self.dir}/home"
        self.conf = f"{self.dir}/supervisord.conf"
        self.programs = {f"zope{i + 1}": fleet.base + 61 + i for i in range(fleet.instances)} or {"site": self.port}
        self.sshd = self.supervisord = None
        self.varnish = Varnish(fleet.dir, f"{self.id}-varnish", self.host, fleet.base + 81, fleet.base + 82,
                               [("app", self.host, self.port)]) if fleet.node_varnish else None

    @property
    def front_port(self):
        """Where balancers send requests."""
        return self.varnish.port if self.varnish else self.port

    @property
    def current(self):
        return f"{self.srv}/current" if self.fleet.mode == "rolling" else self.srv

    def get(self, path="/rev", timeout=5, port=None):
        """(status, headers, body) from the app itself, past the balancers."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{self.host}:{port or self.port}{path}", timeout=timeout) as r:
                return r.status, dict(r.headers), r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, dict(e.headers), e.read().decode()

    def running_rev(self, port=None):
        """What the process says it runs; "" when nobody answers."""
        try:
            return self.get("/rev", timeout=3, port=port)[1].get("X-Revision", "")
        except OSError:
            return ""

    def supervisorctl(self, *args):
        out = subprocess.run([f"{BIN}/supervisorctl", "-c", self.conf, *args], capture_output=True, text=True, timeout=60)
        return out.stdout + out.stderr

    def install(self, rev):
        """What was there before the product came: rev, put in place by hand."""
        os.makedirs(self.home, exist_ok=True)
        if self.fleet.mode == "in-place":
            git("clone", "-q", "-b", "main", self.fleet.origin, self.srv)
            git("checkout", "-q", "--detach", rev, cwd=self.srv)
            return
        release = f"{self.srv}/releases/{rev[:12]}-000000"
        os.makedirs(release)
        os.makedirs(f"{self.srv}/shared")
        archive = subprocess.run(["git", "-C", self.fleet.origin, "archive", rev], capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", release], input=archive.stdout, check=True)
        with open(f"{release}/.release-complete", "w") as f:
            f.write(f"rev {rev}\n")
        os.symlink(f"releases/{rev[:12]}-000000", f"{self.srv}/current")

    def start_sshd(self):
        with open(f"{self.dir}/sshd_config", "w") as f:
            f.write(SSHD_CONFIG.format(
                listen=f"ListenAddress {self.host}:{self.ssh_port}", host_key=f"{self.dir}/host_key",
                authorized=f"{self.fleet.dir}/keys/authorized_keys", home=self.home,
                pam="yes" if account_locked() else "no", mark=f"{MARK}={self.fleet.dir}", path=PATH))
        self.sshd = spawn(self.fleet.dir, f"{self.id}-sshd", [SSHD, "-D", "-e", "-f", f"{self.dir}/sshd_config"])

    def write_supervisord(self, app_dir=None, more=""):
        programs = [PROGRAM.format(dir=self.dir, host=self.host, program=program, port=port, app_dir=app_dir or self.current)
                    for program, port in self.programs.items()]
        with open(self.conf, "w") as f:
            f.write(SUPERVISORD.format(dir=self.dir, programs="".join(programs)) + more)

    def start_supervisord(self):
        self.write_supervisord()
        self.supervisord = spawn(self.fleet.dir, f"{self.id}-supervisord",
                                 [f"{BIN}/supervisord", "-c", self.conf], env={"HOME": self.home})

    def ready(self):
        return all(can_connect(self.host, port) for port in (self.ssh_port, *self.programs.values()))


class Fleet:
    """mode: rolling (releases/ and current) or in-place (srv is the checkout). varnish: None, "nodes" (a balancer of
    its own over the nodes) or "front" (before the HAProxies, which alone know the nodes). node_varnish: every node has
    a Varnish of its own between the HAProxies and the app. workers: the first so many nodes are behind no balancer.
    instances: so many processes on every node, zope1 to zopeN, each a server of its own (app1-zope1). ports_apart: for what counts
    connections by port alone, since the nodes share one machine."""

    def __init__(self, directory=None, n_nodes=4, balancers=2, varnish="nodes", ssh=None, mode="rolling",
                 sticky=False, keep_state=False, first="v1", pillar=None, node_varnish=False, workers=0,
                 instances=0, ports_apart=False):
        self.own_dir = directory is None
        self.dir = os.path.realpath(directory or tempfile.mkdtemp(prefix="release-fleet-"))
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        self.net, self.base, self._net_held = reserve_net()
        self.ssh = ssh or os.environ.get("FLEET_TRANSPORT", "ssh")
        self.mode, self.first, self.node_varnish, self.instances = mode, first, node_varnish, instances
        self.ports_apart = ports_apart
        self.nodes = [Node(self, i + 1) for i in range(n_nodes)]
        servers = [(n.id, n.host, n.front_port) for n in self.nodes[workers:]] if not instances else [
            (f"{n.id}-{program}", n.host, port) for n in self.nodes for program, port in n.programs.items()]
        self.lbs = [HAProxy(self.dir, f"lb{i + 1}", f"{self.net}.{2 + i}", self.base + 80, self.base + 99, servers,
                            sticky=sticky, keep_state=keep_state) for i in range(balancers)]
        behind = servers if varnish == "nodes" else [(b.name, b.host, b.port) for b in self.lbs]
        self.varnish_mode = varnish
        self.varnish = Varnish(self.dir, "varnish", f"{self.net}.9", self.base + 80, self.base + 82,
                               behind) if varnish else None
        self.root, self.state = f"{self.dir}/root", f"{self.dir}/state/release.db"
        self.pillar_changes = pillar or {}
        self.origin, self.revs = None, {}

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def node(self, node_id):
        return next(n for n in self.nodes if n.id == node_id)

    @property
    def targets(self):
        """host:port of all that clients may talk to."""
        fronts = [self.varnish] if self.varnish_mode == "front" else self.lbs + [self.varnish] * bool(self.varnish)
        return [f"{f.host}:{f.port}" for f in fronts]

    def make_keys(self):
        os.makedirs(f"{self.dir}/keys", mode=0o700)
        self.key, self.known_hosts = f"{self.dir}/keys/user", f"{self.dir}/keys/known_hosts"
        self.keygen(self.key, "ed25519")
        shutil.copy(self.key + ".pub", f"{self.dir}/keys/authorized_keys")
        with open(self.known_hosts, "w") as known:
            for n in self.nodes:
                os.makedirs(n.dir)
                known.write(f"[{n.host}]:{n.ssh_port} {self.keygen(f'{n.dir}/host_key', 'ed25519')}\n")

    @staticmethod
    def keygen(path, kind, *args):
        """Makes a key pair; returns 'type base64' of the public half."""
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "fleet", "-f", path, *args], check=True)
        with open(path + ".pub") as f:
            return " ".join(f.read().split()[:2])

    def start(self):
        began = time.monotonic()
        atexit.register(self.stop)
        try:
            self.origin, self.revs = make_origin(self.dir)
            self.make_keys()
            if os.getuid() == 0:
                os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # compiled into sshd, root's only
            for n in self.nodes:
                n.install(self.revs[self.first])
                n.start_sshd()
                n.start_supervisord()
                if n.varnish:
                    n.varnish.start()
            for lb in self.lbs:
                lb.start()
            if self.varnish:
                self.varnish.start()
            os.makedirs(f"{self.dir}/state", mode=0o700)
            self.write_pillar()
            self.wait_ready()
        except BaseException:
            self.stop(keep=True)
            raise
        self.seconds_to_start = time.monotonic() - began
        return self

    def wait_ready(self):
        for n in self.nodes:
            wait_for(f"{n.id} answers", n.ready)
            if n.varnish:
                n.varnish.wait_ready()
        for lb in self.lbs:
            wait_for(f"{lb.name} sees all nodes up", lb.all_up)
        if self.varnish:
            self.varnish.wait_ready()

    def write_pillar(self, **changes):
        """ROOT/pillar/prod.sls; changes are merged over what the fleet was made with."""
        write_pillar(self, dict(self.pillar_changes, **changes))

    def write_secret(self, name, text):
        """ROOT/NAME.secret, as the pillar's `file:` wants it."""
        with open(os.open(f"{self.root}/{name}.secret", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text + "\n")

    def stop(self, keep=False):
        """Ends every process of the fleet; removes the directory unless keep."""
        atexit.unregister(self.stop)
        end_all(self.dir)
        reap()
        self._net_held.close()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    # ---- the product

    def argv(self, *args):
        """Global options come first, so that what follows -- stays last."""
        if args[0].startswith("-"):
            return [os.environ.get("RELEASE_BIN", "release"), *args]
        return [os.environ.get("RELEASE_BIN", "release"), args[0], "--root", self.root, "--state", self.state, *args[1:]]

    def environ(self, **more):
        home = f"{self.dir}/operator"
        os.makedirs(home, mode=0o700, exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SSH_", "GIT_", "RELEASE_STATE"))}
        return dict(inherited, HOME=home, **{MARK: self.dir}, **more)

    def release(self, *args, timeout=180, env=None):
        """Runs the product to its end, without a terminal; CompletedProcess with text output."""
        return subprocess.run(self.argv(*args), env=self.environ(**(env or {})), capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, cwd=self.dir, start_new_session=True)

    def release_start(self, *args, env=None, name="release"):
        """Starts the product; its output goes to log/NAME.out and log/NAME.err."""
        out, err = open(f"{self.dir}/log/{name}.out", "w"), open(f"{self.dir}/log/{name}.err", "w")
        with out, err:
            return subprocess.Popen(self.argv(*args), env=self.environ(**(env or {})), stdout=out, stderr=err,
                                    stdin=subprocess.DEVNULL, cwd=self.dir, start_new_session=True)

    def log(self, name):
        with open(f"{self.dir}/log/{name}") as f:
            return f.read()

    def save(self):
        """Lets the fleet live on when this program ends; writes what `fleet.py down` and a person need."""
        atexit.unregister(self.stop)
        facts = {"net": self.net, "revs": self.revs, "root": self.root, "state": self.state, "targets": self.targets,
                 "nodes": {n.id: f"{n.host}:{n.port}" for n in self.nodes}}
        with open(f"{self.dir}/fleet.json", "w") as f:
            json.dump(facts, f, indent=2)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("up", "down", "status"):
        sys.exit("usage: fleet.py up|down|status DIRECTORY")
    verb, directory = sys.argv[1], os.path.realpath(sys.argv[2])
    if verb == "up":
        TIED.clear()
        fleet = Fleet(directory).start()
        fleet.save()
        print(json.dumps({"root": fleet.root, "state": fleet.state, "user": getpass.getuser(),
                          "seconds": round(fleet.seconds_to_start, 1)}))
    elif verb == "status":
        print(f"{len(marked(directory))} processes belong to {directory}")
    elif os.path.exists(f"{directory}/fleet.json"):
        end_all(directory)
        shutil.rmtree(directory)
    else:
        sys.exit(f"{directory} holds no fleet (no fleet.json there); nothing done")


if __name__ == "__main__":
    main()
