#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The same seven commands a node, one of them a git checkout, by release and by its peers, in one run.

    BUILD_DIR=build/demo python3 tests/bench/peers.py [NODES WINDOW [ROUNDS]]        (10 1 3)

Peers: a bare C client (floor.c), one ssh with one script a node, Fabric, Capistrano (SSHKit), Ansible; those that are
not installed (Debian: fabric, capistrano, ansible-core) are left out and said so. All take WINDOW nodes at a time over
the same sshds, with the same key. The rounds alternate between the tools; medians, and ratios to the floor. Numbers, no
verdict: machines differ, ratios less.
"""
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
from many import ManyFleet  # noqa: E402
from origin import git  # noqa: E402

COMMANDS = ["test -d .git", "git checkout -q --force {rev}", "echo one >step", "echo two >>step", "cat step >/dev/null",
            "test -f app.py", "rm step"]
PLAN = "revision: no\nchange:\n" + "".join(f"  - cmd.run: {{{{cmd: '{c}', cwd: '{{{{dir}}}}/tree'}}}}\n" for c in COMMANDS)
FABFILE = """import sys
from concurrent.futures import ThreadPoolExecutor
from fabric import Connection
key, window, nodes, commands = sys.argv[1], int(sys.argv[2]), open(sys.argv[3]).read(), open(sys.argv[4]).read().splitlines()
def one(line):
    host, port, tree = line.split()
    with Connection(host, port=int(port), connect_kwargs=dict(key_filename=key, look_for_keys=False, allow_agent=False)) as c:
        for command in commands:
            c.run(f"cd '{tree}' && {command}", hide=True)
with ThreadPoolExecutor(window) as pool:
    list(pool.map(one, nodes.splitlines()))
"""
SSHKIT = """require 'sshkit'
require 'sshkit/dsl'
include SSHKit::DSL
key, window, nodes, commands = ARGV
SSHKit.config.output_verbosity = Logger::ERROR
hosts = File.readlines(nodes).map do |line|
  host, port, tree = line.split
  h = SSHKit::Host.new(hostname: host, port: port.to_i, user: ENV['LOGNAME'] || 'root')
  h.ssh_options = { keys: [key], keys_only: true, verify_host_key: :never, config: false }
  h.properties.tree = tree
  h
end
steps = File.readlines(commands, chomp: true)
on hosts, in: :groups, limit: window.to_i, wait: 0 do |host|
  steps.each { |step| execute "cd '#{host.properties.tree}' && #{step}" }
end
"""
PLAYBOOK = """- hosts: all
  gather_facts: no
  serial: {window}
  tasks:
{tasks}"""


class Bench:
    def __init__(self, fleet, window):
        self.fleet, self.window, self.user = fleet, window, os.environ.get("USER") or "root"
        self.nodes, self.commands = f"{fleet.dir}/nodes.txt", f"{fleet.dir}/commands.txt"
        with open(self.nodes, "w") as f:
            f.writelines(f"{n.host} {n.ssh_port} {n.srv}/tree\n" for n in fleet.nodes)
        for n in fleet.nodes:
            git("clone", "-q", fleet.origin, f"{n.srv}/tree")
        self.write("fab.py", FABFILE)
        self.write("kit.rb", SSHKIT)
        self.write("ssh.sh", "xargs -P \"$1\" -L 1 sh -c 'exec ssh -n -F none -o BatchMode=yes -o UserKnownHostsFile=%s -i %s -p \"$1\" "
                   "\"$0\" \"cd $2 && { $(tr \"\\n\" \";\" <%s) }\"' <%s\n" % (fleet.known_hosts, fleet.key, self.commands, self.nodes))
        self.write("inventory", "".join(f"{n.id} ansible_host={n.host} ansible_port={n.ssh_port} tree={n.srv}/tree\n" for n in fleet.nodes))

    def write(self, name, text):
        with open(f"{self.fleet.dir}/{name}", "w") as f:
            f.write(text)

    def revision(self, rev):
        """The next round's revision: all tools have the same work to do."""
        steps = [c.format(rev=rev) for c in COMMANDS]
        self.write("commands.txt", "".join(f"{c}\n" for c in steps))
        self.write("root/plans/bench.yml", PLAN.format(rev=rev))
        os.chmod(f"{self.fleet.root}/plans/bench.yml", 0o600)
        self.write("play.yml", PLAYBOOK.format(window=self.window, tasks="".join(
            f"    - shell: \"{c}\"\n      args: {{chdir: \"{{{{ tree }}}}\"}}\n" for c in steps)))

    def tools(self):
        d, key, w = self.fleet.dir, self.fleet.key, str(self.window)
        yield "C floor", f"{BUILD}/tests/floor", [f"{BUILD}/tests/floor", self.user, key, w, self.nodes, self.commands]
        yield "release", self.fleet.argv("x")[0], self.fleet.argv("task", "bench", "prod", "--yes")
        yield "ssh, one script", shutil.which("ssh"), ["sh", f"{d}/ssh.sh", w]
        yield "fabric", shutil.which("fab"), ["/usr/bin/python3", f"{d}/fab.py", key, w, self.nodes, self.commands]
        yield "capistrano", shutil.which("cap"), ["ruby", f"{d}/kit.rb", key, w, self.nodes, self.commands]
        yield "ansible", shutil.which("ansible-playbook"), ["ansible-playbook", "-i", f"{d}/inventory", "--private-key", key,
                                                            "-f", w, f"{d}/play.yml"]

    def environ(self):
        return self.fleet.environ(ANSIBLE_PIPELINING="True", ANSIBLE_HOST_KEY_CHECKING="False", LC_ALL="C.UTF-8",
                                  ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3", ANSIBLE_LOCAL_TEMP=f"{self.fleet.dir}/ansible",
                                  ANSIBLE_SSH_ARGS=f"-F none -o ControlMaster=auto -o ControlPersist=60s "
                                                   f"-o ControlPath={self.fleet.dir}/%C")

    def once(self, argv):
        """(wall, CPU of the controller and its children) in seconds."""
        with open(f"{self.fleet.dir}/log/bench.out", "w") as out:
            began = time.monotonic()
            process = subprocess.Popen(argv, env=self.environ(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{argv[0]} ended with {process.returncode}:\n{self.fleet.log('bench.out')[-2000:]}")
        return wall, usage.ru_utime + usage.ru_stime


def main():
    n_nodes, window, rounds = [int(word) for word in sys.argv[1:]] + [10, 1, 3][len(sys.argv) - 1:]
    figures = {}
    with ManyFleet(n_nodes, window) as fleet:
        os.makedirs(f"{fleet.dir}/log", exist_ok=True)
        bench = Bench(fleet, window)
        for _ in range(rounds):
            for i, (name, program, argv) in enumerate(bench.tools()):
                if not program or not os.path.exists(program):
                    print(f"{name}: not installed, left out")
                    continue
                bench.revision(fleet.revs[f"v{1 + i % 2}"])
                figures.setdefault(name, []).append(bench.once(argv))
                head = subprocess.check_output(["git", "-C", f"{fleet.nodes[-1].srv}/tree", "rev-parse", "HEAD"], text=True)
                if head.strip() != fleet.revs[f"v{1 + i % 2}"]:
                    sys.exit(f"{name} ended with 0, and {fleet.nodes[-1].id} is not on the revision")
    print(f"{n_nodes} nodes, {window} at a time, {len(COMMANDS)} commands each; medians of {rounds}")
    floor = statistics.median(wall for wall, _ in figures["C floor"])
    for name, runs in figures.items():
        wall, cpu = (statistics.median(column) for column in zip(*runs))
        print(f"  {name:16} wall {wall:6.2f} s = {wall / floor:5.2f} of the floor   controller CPU {cpu * 1000 / n_nodes:6.1f} ms a node")


main()
