# SPDX-License-Identifier: MIT
"""Several machines on one: each an overlay on / with users, hosts keys, name and network of its own, joined by a bridge that
nobody else sees. What a page tells people to type is typed there as it stands, with the addresses that the page has.

There is no systemd in them: services start by their init scripts (`service haproxy start`). All of it ends with the first
process of each machine, and nothing of this machine is written to.
"""
import os
import shutil
import subprocess

from daemons import MARK, end_all, spawn, wait_for

NODE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")

# DIRECTORY NAME: the machine's root, then its first process. What the machine below has of its own is not handed on.
MACHINE = """set -e
mount --make-rprivate /
mkdir -p "$1/$2"
mount -t tmpfs -o mode=755 "$2" "$1/$2"
mkdir "$1/$2/upper" "$1/$2/work" "$1/$2/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/$2/upper,workdir=$1/$2/work" "$2" "$1/$2/root"
cd "$1/$2/root"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount --rbind /dev dev
mkdir -m 755 run/sshd run/lock
rm -rf etc/ssh/ssh_host_* etc/supervisor/conf.d/* var/lib/release srv/* root/.ssh
od -An -N16 -tx1 /dev/urandom | tr -d ' \\n' >etc/machine-id
hostname "$2"
printf '127.0.0.1 localhost %s\\n' "$2" >etc/hosts
chroot . ssh-keygen -q -A
touch "$1/$2.up"
exec chroot . sh -c 'trap : TERM; while :; do sleep 3600 & wait; done'
"""


def why_not():
    if os.getuid() != 0:
        return "only root may make machines of this one"
    for program in ("unshare", "nsenter", "ip", "setpriv", "sudo", "supervisord", "haproxy"):
        if not shutil.which(program):
            return f"{program} is not installed"
    tried = subprocess.run(["unshare", "-m", "-n", "sh", "-c", """set -e
        ip link add br0 type bridge
        ip link add v0 type veth peer name v1
        mount -t tmpfs t /mnt; mkdir /mnt/u /mnt/w /mnt/r
        mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w t /mnt/r"""], capture_output=True, text=True)
    return "no machines can be made here: " + tried.stderr.strip() if tried.returncode else ""


class Machines:
    """addresses: {name: "10.10.10.11"}."""

    def __init__(self, directory, addresses):
        self.dir, self.addresses, self.pids = directory, addresses, {}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        end_all(self.dir, grace=0)

    def start(self):
        os.makedirs(f"{self.dir}/machines")
        net = spawn(self.dir, "net", ["unshare", "-n", "sleep", "infinity"])
        in_net = ["nsenter", "-t", str(net.pid), "-n"]
        other = os.readlink("/proc/self/ns/net")
        wait_for("a network", lambda: os.readlink(f"/proc/{net.pid}/ns/net") != other)
        subprocess.run([*in_net, "sh", "-c", "ip link add br0 type bridge && ip link set br0 up"], check=True)
        for name in self.addresses:
            spawn(self.dir, name, [*in_net, "unshare", "-m", "-n", "-u", "-p", "-f", "--mount-proc", "sh", "-c", MACHINE, "sh",
                                   f"{self.dir}/machines", name])
        for number, (name, address) in enumerate(self.addresses.items()):
            wait_for(f"{name} is up", lambda name=name: os.path.exists(f"{self.dir}/machines/{name}.up"))
            pid = self.pids[name] = self.first_process(name)
            subprocess.run([*in_net, "sh", "-c", """set -e
                ip link add "v$1" type veth peer name eth0 netns "$2"
                ip link set "v$1" master br0 up""", "sh", str(number), pid], check=True)
            self.run(name, "ip link set lo up && ip link set eth0 up && ip addr add " + address + "/24 dev eth0")

    def first_process(self, name):
        """As this machine numbers it: of those that carry the mark, the one that is 1 there and whose host has that name."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    ours = f"{MARK}={self.dir}\0".encode() in f.read() + b"\0"
                with open(f"/proc/{pid}/status") as f:
                    numbers = next(line for line in f if line.startswith("NSpid:")).split()[1:]
                if ours and len(numbers) > 1 and numbers[-1] == "1":
                    said = subprocess.run(["nsenter", "-t", pid, "-u", "hostname"], capture_output=True, text=True)
                    if said.stdout.strip() == name:
                        return pid
            except (OSError, StopIteration):
                continue
        raise RuntimeError(f"{name} has no first process")

    def run(self, name, text, user="root", status=0, timeout=60):
        """What a person types there, into a shell of a login; CompletedProcess with text output. status None: any."""
        result = subprocess.run(
            ["nsenter", "-t", self.pids[name], "-m", "-u", "-n", "-p", "-r", "-w", "--", "setpriv", f"--reuid={user}", f"--regid={user}",
             "--init-groups", "--reset-env", "sh", "-lc", f"cd; {text}"], capture_output=True,
            text=True, timeout=timeout, stdin=subprocess.DEVNULL, start_new_session=True)
        assert status is None or result.returncode == status, (
            f"{user}@{name}: exit status {result.returncode}, wanted {status}:\n{text}\n{result.stdout}{result.stderr}")
        return result
