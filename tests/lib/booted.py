# SPDX-License-Identifier: MIT
"""A throw-away copy of this machine with systemd as its first process: what a package does when it is installed.

The copy is an overlay on / in a mount namespace of its own, started by systemd-nspawn with a network of its own. Nothing
of this machine is written to, and all of it is gone with its last process.
"""
import os
import shutil
import subprocess

from daemons import MARK, environ_of, marked, signal_pids, spawn, wait_for

# A target that needs little: not what this machine itself would start.
TARGET = """[Unit]
Requires=sysinit.target
After=sysinit.target
AllowIsolate=yes
"""
SCRIPT = """set -e
mount -t tmpfs -o mode=755 copy "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" copy "$1/root"
cd "$1/root"
rm -f etc/machine-id usr/sbin/policy-rc.d etc/systemd/system/*.wants/* etc/systemd/system/*.requires/*
printf '%s' "$2" >etc/systemd/system/copy.target
mkdir -p root/given
cp -r "$3/." root/given/
exec systemd-nspawn -q --register=no --keep-unit --link-journal=no --private-network --console=pipe \\
    --setenv="$4" -D "$1/root" --boot systemd.unit=copy.target systemd.log_target=console
"""


def why_not():
    """"" or the reason why there can be no such copy here."""
    if os.getuid() != 0:
        return "only root may boot a copy of this machine"
    for program in ("systemd-nspawn", "dpkg-deb", "cpack", "file"):
        if not shutil.which(program):
            return f"{program} is not installed"
    tried = subprocess.run(["unshare", "-m", "sh", "-c", """set -e
        mount -t tmpfs t /mnt; mkdir /mnt/u /mnt/w /mnt/r
        mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w t /mnt/r"""], capture_output=True, text=True)
    return "no overlay on / can be mounted here: " + tried.stderr.strip() if tried.returncode else ""


class Booted:
    """given: a directory whose files are found in /root/given of the copy."""

    def __init__(self, directory, given):
        self.dir, self.given, self.leader = directory, given, None

    def __enter__(self):
        os.makedirs(f"{self.dir}/copy")
        spawn(self.dir, "copy", ["unshare", "-m", "sh", "-c", SCRIPT, "sh", f"{self.dir}/copy", TARGET, self.given,
                                 f"{MARK}={self.dir}"])
        try:
            wait_for("the copy has a first process", self.find_leader, seconds=30)
            wait_for("systemd in the copy answers",
                     lambda: self.run("systemctl", "is-active", "copy.target", status=None).returncode == 0, seconds=60, every=0.2)
        except BaseException:
            self.__exit__()
            raise
        return self

    def find_leader(self):
        """Init inherits the mark; in its own numbering it is process 1."""
        for pid in marked(self.dir):
            try:
                with open(f"/proc/{pid}/status") as f:
                    numbers = next(line for line in f if line.startswith("NSpid:")).split()[1:]
                name = os.readlink(f"/proc/{pid}/exe")
            except (OSError, StopIteration):
                continue
            if len(numbers) > 1 and numbers[-1] == "1" and "systemd" in name and b"container=" in environ_of(pid):
                self.leader = pid
        return self.leader

    def __exit__(self, *_):
        # Killing the first process ends all others of the copy, and nspawn and the namespaces with them.
        signal_pids([self.leader] if self.leader else [], 9)
        wait_for("the copy has ended", lambda: signal_pids(marked(self.dir), 9) or not marked(self.dir))

    def run(self, *argv, status=0, **more):
        """Runs a program in the copy, as root; CompletedProcess with text output. status None: any."""
        result = subprocess.run(["nsenter", "-t", str(self.leader), "-a", "--", "env", "-i", "PATH=" + os.environ["PATH"],
                                 "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *argv], capture_output=True,
                                text=True, timeout=120, stdin=subprocess.DEVNULL, **more)
        assert status is None or result.returncode == status, (
            f"{' '.join(argv)}: exit status {result.returncode}, wanted {status}\n{result.stdout}{result.stderr}")
        return result

    def say(self, *argv):
        """What it printed, without the last newline."""
        return self.run(*argv).stdout.rstrip("\n")
