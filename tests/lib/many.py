# SPDX-License-Identifier: MIT
"""Many nodes on few sshds, for measuring: every node has an address and a directory of its own, but no app and no
balancer, so that what is measured is the product and ssh. One sshd takes 16 addresses (its own limit)."""
import getpass
import os

from daemons import MARK, can_connect, spawn, wait_for
from fleet import PATH, SSHD, SSHD_CONFIG, Fleet, Node, account_locked
from origin import make_origin

PER_SSHD = 16
PLAN = """# Seven changing steps a node, one of them a fetch, one an unpacking.
prepare: [git.fetch, release.unpack, build]
change:
  - release.switch
  - cmd.run: {{cmd: "{command}"}}
  - cmd.run: {{cmd: "{command} two"}}
  - cmd.run: {{cmd: "{command} three"}}
"""
PILLAR = """release:
  app: site
  repo: {origin}
  branch: main
  dir: {dir}/srv
  plan: many
  app_servers:
{servers}
  ssh: {{user: {user}, key: {key}, known_hosts: {known}}}
  build: [{{cmd.run: {{cmd: sh build.sh}}}}]
  stages: ["100%"]
  soak: 0s
  window: {window}
  min_up: 0
"""


class ManyFleet(Fleet):
    """n_nodes nodes on ceil(n/16) sshds."""

    def __init__(self, n_nodes, window=1, **more):
        super().__init__(n_nodes=0, balancers=0, varnish=None, **more)
        self.window = window
        self.nodes = [Node(self, i + 1) for i in range(n_nodes)]

    def start_sshd(self, number, group):
        config = f"{self.dir}/sshd{number}.conf"
        with open(config, "w") as f:
            f.write(SSHD_CONFIG.format(
                listen="\n".join(f"ListenAddress {n.host}:{n.ssh_port}" for n in group), host_key=f"{self.dir}/host_key",
                authorized=f"{self.dir}/keys/authorized_keys", home=f"{self.dir}/home", path=PATH,
                pam="yes" if account_locked() else "no", mark=f"{MARK}={self.dir}"))
        spawn(self.dir, f"sshd{number}", [SSHD, "-D", "-e", "-f", config])

    def start(self):
        self.origin, self.revs = make_origin(self.dir)
        self.make_keys()
        host_key = self.keygen(f"{self.dir}/host_key", "ed25519")
        with open(self.known_hosts, "w") as known:
            known.writelines(f"[{n.host}]:{n.ssh_port} {host_key}\n" for n in self.nodes)
        os.makedirs(f"{self.dir}/home")
        os.makedirs(f"{self.dir}/state", mode=0o700)
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        for n in self.nodes:
            n.install(self.revs[self.first])
        for i in range(0, len(self.nodes), PER_SSHD):
            self.start_sshd(i // PER_SSHD, self.nodes[i:i + PER_SSHD])
        self.write_pillar()
        for n in self.nodes:
            wait_for(f"{n.id} listens", lambda n=n: can_connect(n.host, n.ssh_port))
        return self

    def write_pillar(self, **changes):
        servers = "\n".join(f"    {n.id}: {{host: {n.host}, dir: {n.srv}, ssh: {{port: {n.ssh_port}}}}}" for n in self.nodes)
        for folder, name, text in (
                ("pillar", "prod.sls", PILLAR.format(
                    origin=self.origin, dir=self.dir, servers=servers, user=getpass.getuser(), key=self.key,
                    known=self.known_hosts, window=changes.get("window", self.window))),
                ("plans", "many.yml", PLAN.format(command="echo one"))):
            os.makedirs(f"{self.root}/{folder}", mode=0o700, exist_ok=True)
            with open(f"{self.root}/{folder}/{name}", "w") as f:
                f.write(text)
            os.chmod(f"{self.root}/{folder}/{name}", 0o600)
