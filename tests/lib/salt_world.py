# SPDX-License-Identifier: MIT
"""A real Salt master with minions on loopback, unprivileged ports, everything under one directory."""
import json
import os
import subprocess

from daemons import MARK, end_all, reap, spawn, wait_for

MASTER = """interface: {host}
publish_port: {port}
ret_port: {ret_port}
root_dir: {dir}/master
conf_file: {dir}/etc/master
user: {user}
auto_accept: True
worker_threads: 3
pillar_roots:
  base: [{dir}/pillar]
  side: [{dir}/side]
gpg_keydir: {dir}/gpg
nodegroups:
  front: 'L@{front}'
ext_pillar:
  - cmd_json: 'echo {{\\"outside\\": {{\\"of\\": \\"%s\\"}}}}'
log_level: warning
"""
MINION = """id: {id}
master: {host}
master_port: {ret_port}
publish_port: {port}
root_dir: {dir}/{id}
conf_file: {dir}/{id}/etc/minion
user: {user}
grains: {grains}
mine_functions:
  address: [{{mine_function: grains.get}}, address]
log_level: warning
acceptance_wait_time: 1
master_tries: -1
random_startup_delay: 0
"""
MASTERLESS = """root_dir: {dir}/local
file_client: local
pillar_roots:
  base: [{dir}/pillar-local]
log_level: error
"""


class SaltWorld:
    """minions: id -> grains (with `address`). Start it; then .config is what `salt-run -c` and `release` are told."""

    def __init__(self, env, directory, host, port, minions, user):
        self.env, self.dir, self.host, self.port, self.minions, self.user = env, directory, host, port, minions, user
        self.config = f"{directory}/etc"
        self.homed = dict(os.environ, **{MARK: directory})

    def write(self, name, text):
        path = f"{self.dir}/{name}"
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o600)

    def words(self, **more):
        return dict(dir=self.dir, host=self.host, port=self.port, ret_port=self.port + 1, user=self.user,
                    front=",".join(sorted(self.minions)[:2]), **more)

    def encrypted(self, text):
        """text as the gpg renderer wants it, for a key made here."""
        home = f"{self.dir}/gpg"
        os.makedirs(home, mode=0o700, exist_ok=True)
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--trust-model", "always"]
        if not os.path.exists(f"{home}/pubring.kbx"):
            subprocess.run(gpg + ["--passphrase", "", "--quick-generate-key", "pillar@example.org", "default", "default", "never"], check=True,
                           capture_output=True, env=self.homed)
        return subprocess.run(gpg + ["--armor", "--encrypt", "-r", "pillar@example.org"], input=text, check=True,
                              capture_output=True, text=True, env=self.homed).stdout

    def start(self):
        """The pillar files must be there. Its daemons carry this directory's mark: a fleet beside it knows its own."""
        self.write("etc/master", MASTER.format(**self.words()))
        spawn(self.dir, "salt-master", [f"{self.env}/bin/salt-master", "-c", self.config])
        for name, grains in self.minions.items():
            self.write(f"{name}/etc/minion", MINION.format(**self.words(id=name, grains=json.dumps(grains))))
            spawn(self.dir, f"minion-{name}", [f"{self.env}/bin/salt-minion", "-c", f"{self.dir}/{name}/etc"])

    def stop(self):
        end_all(self.dir)
        reap()

    def cached(self):
        """The minions whose grains and mine the master has."""
        folder = f"{self.dir}/master/var/cache/salt/master/minions"
        return sorted(m for m in self.minions if all(os.path.exists(f"{folder}/{m}/{f}.p") for f in ("data", "mine")))

    def wait_ready(self, seconds=240):
        wait_for("every minion's grains and mine are at the master", lambda: self.cached() == sorted(self.minions), seconds, every=0.2)

    def show_pillar(self, node, **words):
        """What Salt itself says: `salt-run pillar.show_pillar`."""
        done = subprocess.run([f"{self.env}/bin/salt-run", "-c", self.config, "--out=json", "--log-level=quiet", "pillar.show_pillar", node,
                               *[f"{k}={v}" for k, v in words.items()]], capture_output=True, text=True, timeout=120, env=self.homed)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def local_pillar(self, node, grains):
        """`salt-call --local pillar.items` with the id and the grains of a node."""
        self.write("local-call/minion", MASTERLESS.format(**self.words()) + f"grains: {json.dumps(grains)}\n")
        done = subprocess.run([f"{self.env}/bin/salt-call", "-c", f"{self.dir}/local-call", "--local", "--id", node, "--out=json",
                               "--log-level=quiet", "pillar.items"], capture_output=True, text=True, timeout=120, env=self.homed)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["local"]
