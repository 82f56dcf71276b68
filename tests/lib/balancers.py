# SPDX-License-Identifier: MIT
"""Real HAProxies and a real Varnish in front of the nodes, and what they themselves say.

Everything is read over their own sockets here, sharing nothing with the product that is judged by it.
"""
import csv
import hashlib
import io
import os
import signal
import socket

from daemons import can_connect, spawn, wait_for

COUNTERS = ("eresp", "wretr", "wredis", "hrsp_5xx", "econ")
# Frontend and backend have one name: HAProxy takes that, and finds the frontend first.
CONFIG = """global
    stats socket {dir}/admin.sock mode 600 level admin
    stats socket ipv4@{host}:{stats_port} level admin
    server-state-file {dir}/state
    stats timeout 10s
    maxconn 4000
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout queue 5s
    {load_state}
frontend site
    bind {host}:{port}
    default_backend site
backend site
    balance roundrobin
    option httpchk GET /health
    http-check expect status 200
    {cookie}
    default-server check inter 300ms fall 2 rise 2 {server_options}
{servers}
{more}"""


class HAProxy:
    """One balancer. `servers` is a list of (name, host, port)."""

    def __init__(self, directory, name, host, port, stats_port, servers, sticky=False, keep_state=False):
        self.fleet_dir, self.name, self.host, self.port, self.stats_port = directory, name, host, port, stats_port
        self.dir = f"{directory}/lb/{name}"
        self.servers, self.sticky, self.keep_state = list(servers), sticky, keep_state
        self.server_options = self.more = ""  # of every server; more sections of the configuration
        os.makedirs(self.dir, exist_ok=True)
        self.process = None

    @property
    def tcp_socket(self):
        return f"tcp://{self.host}:{self.stats_port}"

    @property
    def unix_socket(self):
        return f"unix://{self.dir}/admin.sock"

    def write_config(self):
        rows = [f"    server {n} {h}:{p}" + (f" cookie {n}" if self.sticky else "") for n, h, p in self.servers]
        with open(f"{self.dir}/haproxy.cfg", "w") as f:
            f.write(CONFIG.format(
                dir=self.dir, host=self.host, port=self.port, stats_port=self.stats_port, servers="\n".join(rows),
                server_options=self.server_options, more=self.more,
                cookie="cookie SRV insert indirect nocache" if self.sticky else "",
                load_state="load-server-state-from-file global" if self.keep_state else ""))

    def start(self):
        self.write_config()
        self.process = spawn(self.fleet_dir, self.name,
                             ["haproxy", "-W", "-f", f"{self.dir}/haproxy.cfg", "-S", f"{self.dir}/master.sock"])
        wait_for(f"{self.name} listens", lambda: can_connect(self.host, self.port))

    def ask(self, line):
        """One command of the runtime API; the whole answer."""
        with socket.socket() as s:
            s.settimeout(5)
            s.connect((self.host, self.stats_port))
            s.sendall(line.encode() + b"\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()

    def rows(self):
        text = self.ask("show stat").lstrip("# ")
        return list(csv.DictReader(io.StringIO(text)))

    def server(self, name):
        return next(r for r in self.rows() if r["pxname"] == "site" and r["svname"] == name)

    def status(self):
        """{server: status string}, as HAProxy prints it."""
        return {r["svname"]: r["status"] for r in self.rows()
                if r["pxname"] == "site" and r["svname"] not in ("BACKEND", "FRONTEND")}

    def admin_state(self):
        """{server: admin_state bits}: 0 = nobody has put it out."""
        lines = self.ask("show servers state site").splitlines()
        header = next(line for line in lines if line.startswith("# ")).lstrip("# ").split()
        rows = [line.split() for line in lines if len(line.split()) >= len(header) - 2 and line[:1].isdigit()]
        return {row[header.index("srv_name")]: int(row[header.index("srv_admin_state")]) for row in rows}

    def set_state(self, server, state):
        answer = self.ask(f"set server site/{server} state {state}").strip()
        assert answer == "", f"{self.name}: {answer}"

    def all_up(self):
        return all(status == "UP" for status in self.status().values())

    def clear_counters(self):
        self.ask("clear counters all")

    def counters(self):
        """What nobody wants to see, summed over servers, and the longest answer that a server took."""
        servers = [r for r in self.rows() if r["pxname"] == "site" and r["svname"] not in ("BACKEND", "FRONTEND")]
        front = [r for r in self.rows() if r["svname"] == "FRONTEND" and r["pxname"] == "site"]
        sums = {name: sum(int(r[name] or 0) for r in servers) for name in COUNTERS}
        sums["front_5xx"] = sum(int(r["hrsp_5xx"] or 0) for r in front)
        # Not ttime_max: that counts the idle time of a keep-alive client before its request.
        sums["longest_ms"] = max(sum(int(r[t] or 0) for t in ("qtime_max", "ctime_max", "rtime_max")) for r in servers)
        sums["requests"] = sum(int(r["stot"] or 0) for r in servers)
        return sums

    def pid_now(self):
        return next(int(line.split()[1]) for line in self.ask("show info").splitlines() if line.startswith("Pid:"))

    def reload(self):
        """As `systemctl reload haproxy`: new worker; without a state file it forgets drain and maint."""
        before = self.pid_now()
        if self.keep_state:
            with open(f"{self.dir}/state", "w") as f:
                f.write(self.ask("show servers state"))
        os.kill(self.process.pid, signal.SIGUSR2)
        wait_for(f"{self.name} runs a new worker", lambda: self.pid_now() != before)
        # The old worker may still answer for a moment: the next question must not meet it.
        wait_for(f"{self.name}'s old worker answers no more", self.new_worker_answers, seconds=30)

    def new_worker_answers(self):
        return all(f"Pid: {self.pid_now()}\n" in self.ask("show info") for _ in range(8))


VCL = """vcl 4.1;
import directors;
{backends}
sub vcl_init {{
    new all = directors.round_robin();
{adds}
}}
sub vcl_recv {{
    set req.backend_hint = all.backend();
    return (pass);
}}
"""
BACKEND = """backend {name} {{
    .host = "{host}"; .port = "{port}";
    .first_byte_timeout = 60s; .between_bytes_timeout = 60s;
    .probe = {{ .url = "{url}"; .interval = 300ms; .timeout = 2s; .window = 3; .threshold = 2; .initial = 2; }}
}}"""


class Varnish:
    """varnishd with a round-robin director over `backends`, a list of (name, host, port)."""

    def __init__(self, directory, name, host, port, cli_port, backends):
        self.fleet_dir, self.name, self.host, self.port, self.cli_port = directory, name, host, port, cli_port
        self.dir = f"{directory}/lb/{name}"
        self.backends = list(backends)
        self.secret = f"{self.dir}/secret"
        self.process = None
        os.makedirs(self.dir, exist_ok=True)

    def write_vcl(self, path, url="/health"):
        text = "\n".join(BACKEND.format(name=n, host=h, port=p, url=url) for n, h, p in self.backends)
        adds = "\n".join(f"    all.add_backend({n});" for n, _, _ in self.backends)
        with open(path, "w") as f:
            f.write(VCL.format(backends=text, adds=adds))

    def start(self):
        self.write_vcl(f"{self.dir}/site.vcl")
        with open(os.open(self.secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            # One secret for all Varnishes of a fleet, as fleets have.
            f.write(hashlib.sha256(self.fleet_dir.encode()).hexdigest() + "\n")
        self.process = spawn(self.fleet_dir, self.name, [
            "varnishd", "-F", "-j", "none", "-n", f"{self.dir}/wd", "-a", f"{self.host}:{self.port}",
            "-T", f"{self.host}:{self.cli_port}", "-S", self.secret, "-f", f"{self.dir}/site.vcl", "-s", "malloc,16m",
            "-p", "thread_pool_min=50", "-p", "thread_pools=1"])

    def wait_ready(self):
        wait_for(f"{self.name} listens", lambda: can_connect(self.host, self.port))
        wait_for(f"{self.name} sees its backends",
                 lambda: all(v == "healthy" for v in self.backend_health().values()))

    def cli(self, line):
        """One command; (status, body)."""
        with socket.create_connection((self.host, self.cli_port), timeout=5) as s:
            f = s.makefile("rb")
            status, body = read_frame(f)
            if status == 107:
                challenge = body[:32]
                with open(self.secret, "rb") as secret:
                    digest = hashlib.sha256(challenge + b"\n" + secret.read() + challenge + b"\n").hexdigest()
                s.sendall(b"auth " + digest.encode() + b"\n")
                status, body = read_frame(f)
            assert status == 200, f"{self.name}: {body!r}"
            s.sendall(line.encode() + b"\n")
            status, body = read_frame(f)
            return status, body.decode()

    def backend_health(self):
        """{backend: healthy|sick} of the active VCL."""
        status, body = self.cli("backend.list")
        assert status == 200, body
        found = {}
        for line in body.splitlines()[1:]:
            words = line.split()
            if words and words[0].split(".")[-1] in [n for n, _, _ in self.backends]:
                found[words[0].split(".")[-1]] = "healthy" if "healthy" in words[1:] else "sick"
        return found

    def admin_health(self):
        """{backend: probe|sick|healthy}: anything but probe was set by hand."""
        status, body = self.cli("backend.list")
        assert status == 200, body
        names = [n for n, _, _ in self.backends]
        return {w[0].split(".")[-1]: w[1] for w in (line.split() for line in body.splitlines()[1:])
                if w and w[0].split(".")[-1] in names}


def read_frame(f):
    head = f.read(13)
    length = int(head[4:12])
    body = f.read(length + 1)
    return int(head[:3]), body[:length]
