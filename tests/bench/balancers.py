#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What it costs to read the state of many servers: `release lb` of one pool, for each kind of balancer, and `release nodes` for EC2.

    BUILD_DIR=build/demo python3 tests/bench/balancers.py [N [KIND ...]]        (1000, all)

The counterparts are those of the tests: real HAProxy, nginx and Varnish, moto for AWS, the stand-ins of NGINX Plus, NetScaler and ipvsadm; what is not installed is
left out and said so. Servers are addresses of this machine that nobody asks anything. Medians of three; `calls` is how often the counterpart
was asked in one of them. Numbers, no verdict.
"""
import collections
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
BUILD = os.path.abspath(os.environ.get("BUILD_DIR", os.path.join(HERE, "..", "..", "build", "demo")))
os.environ.setdefault("RELEASE_BIN", f"{BUILD}/release")
import nitro  # noqa: E402
import salt_env  # noqa: E402
from aws import Aws  # noqa: E402
from balancers import HAProxy, Varnish  # noqa: E402
from daemons import can_connect, end_all, spawn, wait_for  # noqa: E402
from fleet import Fleet  # noqa: E402
from nginx_plus import Plus  # noqa: E402

ROUNDS = 3
PILLAR = """#!yaml
release:
  app: site
  repo: /nowhere.git
  branch: main
  dir: /srv/site
  service: site
  ssh: {{transport: local}}
  app_servers:
{servers}
  balancer:
{balancer}
"""


class Missing(Exception):
    """This counterpart is not installed."""


class Bench(Fleet):
    """No node lives: only balancers are asked."""

    def __init__(self, n):
        super().__init__(n_nodes=0, balancers=0, varnish=None)
        self.names = [(f"web{i + 1}", f"127.9.{i // 250}.{i % 250 + 1}", 8080) for i in range(n)]
        os.makedirs(f"{self.dir}/state", mode=0o700)
        self.aws = None

    def pillar(self, balancer, servers=None):
        os.makedirs(f"{self.root}/pillar", mode=0o700, exist_ok=True)
        servers = servers or "\n".join(f"    {name}: {{host: {host}, port: {port}}}" for name, host, port in self.names)
        with open(os.open(f"{self.root}/pillar/prod.sls", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
            f.write(PILLAR.format(servers=servers, balancer=balancer))

    def measure(self, what, *verb, calls=None):
        walls, cpus, before = [], [], calls() if calls else 0
        for _ in range(ROUNDS):
            began = time.monotonic()
            process = subprocess.Popen(self.argv(*verb), env=self.environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
            text = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode or sum("web" in line or "i-" in line or "127.9." in line for line in text.splitlines()) < len(self.names):
                sys.exit(f"{what}: exit {process.returncode}:\n{text[-2000:]}")
            walls.append(time.monotonic() - began)
            cpus.append(usage.ru_utime + usage.ru_stime)
        print(f"{what}: {len(self.names)} servers in {statistics.median(walls):.2f} s, controller CPU {statistics.median(cpus):.2f} s" +
              (f", calls {(calls() - before) / ROUNDS:g}" if calls else ""), flush=True)


def haproxy(bench):
    if not shutil.which("haproxy"):
        raise Missing
    lb = HAProxy(bench.dir, "lb1", f"{bench.net}.2", bench.base + 80, bench.base + 99, [])
    lb.servers = [(name, host, f"{port} no-check") for name, host, port in bench.names]
    lb.start()
    bench.pillar(f"    haproxy: {{sockets: [\"{lb.tcp_socket}\"], backend: site}}")

    def requests():  # this question is one as well
        bench.own = getattr(bench, "own", 0) + 1
        return next(int(line.split()[1]) for line in lb.ask("show info").splitlines() if line.startswith("CumReq:")) - bench.own
    bench.measure("haproxy", "lb", "prod", calls=requests)


def varnish(bench):
    if not shutil.which("varnishd"):
        raise Missing
    v = Varnish(bench.dir, "varnish", f"{bench.net}.9", bench.base + 80, bench.base + 82, bench.names)

    def vcl(path):
        with open(path, "w") as f:
            f.write("vcl 4.1;\n" + "".join(f"backend {n} {{ .host = \"{h}\"; .port = \"{p}\"; }}\n" for n, h, p in bench.names) +
                    "sub vcl_recv {\n" + "".join(f"    if (req.http.x == \"{n}\") {{ set req.backend_hint = {n}; }}\n" for n, _, _ in bench.names) + "}\n")
    v.write_vcl = vcl
    v.start()
    wait_for("varnish listens", lambda: can_connect(v.host, v.port), seconds=120)
    v.cli("param.set cli_limit 8m")  # its default cuts the list of so many backends
    bench.pillar(f"    varnish: {{admin: [\"tcp://{v.host}:{v.cli_port}\"], secret: \"file:{v.secret}\"}}")
    bench.measure("varnish", "lb", "prod")


def nginx(bench):
    if not shutil.which("nginx"):
        raise Missing
    home = f"{bench.dir}/nginx"
    os.makedirs(home)
    with open(f"{home}/servers", "w") as f:
        f.writelines(f"server {host}:{port};  # {name}\n" for name, host, port in bench.names)
    with open(f"{home}/nginx.conf", "w") as f:
        f.write(f"daemon off; pid {home}/nginx.pid; error_log {home}/error.log; events {{}}\nhttp {{ access_log off; "
                f"upstream site {{ include {home}/servers; }} server {{ listen {bench.net}.5:{bench.base + 81}; location / {{ proxy_pass http://site; }} }} }}\n")
    argv = ["nginx", "-p", home, "-e", f"{home}/error.log", "-c", f"{home}/nginx.conf"]
    spawn(bench.dir, "nginx", argv)
    wait_for("nginx listens", lambda: can_connect(f"{bench.net}.5", bench.base + 81))
    bench.pillar(f"    nginx: {{hosts: [localhost], upstream: site, include: {home}/servers, pid: {home}/nginx.pid, "
                 f"command: {json.dumps(argv)}}}")
    bench.measure("nginx (one script on its host)", "lb", "prod")


def nginx_plus(bench):
    plus = Plus()
    for name, host, port in bench.names:
        plus.add("shop", host, port, route=name)
    plus.serve("127.0.0.1", bench.base + 86)
    bench.pillar(f"    nginx-plus: {{api: [\"http://127.0.0.1:{bench.base + 86}/api\"], upstream: shop}}")
    bench.measure("nginx-plus (stand-in)", "lb", "prod", calls=lambda: len(plus.asked))


def apache(bench):
    if not shutil.which("apache2"):
        raise Missing
    home, where = f"{bench.dir}/apache", f"127.0.0.1:{bench.base + 87}"
    os.makedirs(home, mode=0o711)
    modules = "mpm_event authz_core proxy proxy_http slotmem_shm proxy_balancer lbmethod_byrequests".split()
    with open(f"{home}/httpd.conf", "w") as f:
        f.write(f"ServerRoot {home}\nDefaultRuntimeDir {home}\nServerName edge\nPidFile {home}/pid\nErrorLog {home}/error.log\n" +
                f"CustomLog {home}/access.log \"%m\"\n" + ("User nobody\nGroup nogroup\n" if os.getuid() == 0 else "") +
                "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n" for m in modules) +
                f"Listen {where}\nStartServers 1\n<Proxy balancer://site>\n" +
                "".join(f"  BalancerMember http://{host}:{port} route={name}\n" for name, host, port in bench.names) +
                "</Proxy>\nProxyPass /app balancer://site/\n<Location /balancer-manager>\n  SetHandler balancer-manager\n</Location>\n")
    spawn(bench.dir, "apache", ["apache2", "-f", f"{home}/httpd.conf", "-DFOREGROUND"])
    wait_for("Apache listens", lambda: can_connect("127.0.0.1", bench.base + 87), seconds=60)
    bench.pillar(f"    apache: {{manager: [\"http://{where}/balancer-manager\"], balancer: site}}")

    def requests():
        with open(f"{home}/access.log") as f:
            return sum(1 for _ in f)
    bench.measure("apache", "lb", "prod", calls=requests)


def lvs(bench):
    home = f"{bench.dir}/lvs"
    os.makedirs(home)
    program, asked = f"{home}/ipvsadm", f"{home}/asked"
    with open(program, "w") as f:
        f.write(f"#!/bin/sh\necho >>{asked}\nIPVS_DIR={home} exec {os.path.join(HERE, '..', 'lib', 'ipvsadm.py')} \"$@\"\n")
    os.chmod(program, 0o755)
    servers = {f"{host}:{port}": {"method": "-m", "weight": 1, "upper": 0, "lower": 0} for _, host, port in bench.names}
    service = {"scheduler": "rr", "persistent": 0, "mask": "", "ops": False, "servers": servers}
    with open(f"{home}/table", "w") as f:
        json.dump([[[0, False, 6, "10.0.0.100:80"], service]], f)
    bench.pillar(f"    lvs: {{service: \"10.0.0.100:80\", command: [\"{program}\"]}}",
                 "\n".join(f"    {name}: {{host: {host}, lb_server: \"{host}:{port}\"}}" for name, host, port in bench.names))
    bench.measure("lvs (stand-in for ipvsadm)", "lb", "prod", calls=lambda: os.path.getsize(asked) if os.path.exists(asked) else 0)


def netscaler(bench):
    world = nitro.World()
    for name, host, port in bench.names:
        world.server(name, host)
        world.member("shop", name, port)
    appliance = nitro.Appliance(world, "ns1")
    appliance.serve("127.0.0.1", bench.base + 84)
    with open(os.open(f"{bench.dir}/ns", os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write("s3cret-NS")
    bench.pillar(f"    netscaler: {{url: [\"http://127.0.0.1:{bench.base + 84}\"], user: release, password: \"file:{bench.dir}/ns\", servicegroup: shop}}")
    bench.measure("netscaler (stand-in)", "lb", "prod", calls=lambda: len(appliance.asked))


def command(bench):
    asked = f"{bench.dir}/asked"
    world = {"servers": [{"pool": "shop", "server": name, "state": "ready", "up": True, "weight": 1, "sessions": 0}
                         for name, _, _ in bench.names]}
    with open(f"{bench.dir}/one.json", "w") as f:
        json.dump(world, f)
    program = ["/usr/bin/python3", "-B", os.path.join(HERE, "..", "lib", "balancer_program.py"), bench.dir]
    bench.pillar(f"    command: {{program: {json.dumps(program)}, balancers: [one], backend: shop}}")

    def runs():
        return sum(1 for _ in open(asked)) if os.path.exists(asked) else 0
    bench.measure("command", "lb", "prod", calls=runs)


def region(bench):
    """Its instances, registered everywhere; made once."""
    if bench.aws:
        return bench.aws
    try:
        world = bench.aws = Aws(bench)
    except salt_env.Unavailable as why:
        raise Missing from why
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Role", "Value": "bench"}]}]
    made = world.boto("ec2", "run_instances", ImageId="ami-12c6146b", MinCount=len(bench.names), MaxCount=len(bench.names), TagSpecifications=tags)
    world.ids = {name: i["InstanceId"] for (name, _, _), i in zip(bench.names, made["Instances"])}
    return world


def aws_kind(bench, kind, block):
    world = region(bench)
    bench.pillar(block(world), "\n".join(f"    {name}: {{host: {host}, lb_server: {world.ids[name]}}}" for name, host, _ in bench.names))
    total = collections.Counter()

    def calls():
        total.update(r["action"] for r in world.log() if r["agent"] == "release")
        return sum(total.values())
    bench.measure(f"{kind} (moto)", "lb", "prod", calls=calls)
    print("    " + ", ".join(f"{n / ROUNDS:g} {action}" for action, n in total.items()))


def elbv2(bench):
    world = region(bench)
    arn = world.boto("elbv2", "create_target_group", Name="bench", Protocol="HTTP", VpcId=world.vpc, Port=80)["TargetGroups"][0]["TargetGroupArn"]
    ids = list(world.ids.values())
    for at in range(0, len(ids), 100):
        world.boto("elbv2", "register_targets", TargetGroupArn=arn, Targets=[{"Id": i} for i in ids[at:at + 100]])
    aws_kind(bench, "elbv2", lambda w: w.block(target_group="bench"))


def elb(bench):
    region(bench).classic("bench")
    aws_kind(bench, "elb", lambda w: "    elb: " + w.inner(target_group=None, name="bench"))


def asg(bench):
    region(bench).scaling_group("bench", MaxSize=2 * len(bench.names))
    aws_kind(bench, "asg", lambda w: "    asg: " + w.inner(target_group=None, group="bench"))


def ec2(bench):
    world = region(bench)
    bench.pillar("    elbv2: " + world.inner(), world.listed(filters='{"tag:Role": bench}', name=None, vars="[zone]", timeout="60s"))
    bench.measure("ec2 (moto; release nodes)", "nodes", "prod", calls=lambda: sum(r["agent"] == "release" for r in world.log()) + getattr(world, "seen", 0))


KINDS = [haproxy, varnish, nginx, nginx_plus, apache, lvs, netscaler, command, elbv2, elb, asg, ec2]


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    wanted = sys.argv[2:] or [k.__name__ for k in KINDS]
    bench = Bench(n)
    try:
        for kind in KINDS:
            if kind.__name__ in wanted:
                try:
                    kind(bench)
                except Missing:
                    print(f"{kind.__name__}: not installed here")
    finally:
        end_all(bench.dir)
        shutil.rmtree(bench.dir, ignore_errors=True)


if __name__ == "__main__":
    main()
