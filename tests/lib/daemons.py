# SPDX-License-Identifier: MIT
"""Starting and surely ending the processes of a fleet.

Every process started here carries RELEASE_FLEET=<directory> in its environment, and so does all that it starts.
The end of a fleet finds them by that mark, whoever started them and whatever became of pid files: also what a
crashed test, a killed engine or a detached step left behind. Nothing without the mark is ever signalled,
but sshd with a configuration in that directory.
"""
import os
import signal
import socket
import subprocess
import time

MARK = "RELEASE_FLEET"
children = []  # what spawn started, to be reaped


class Late(Exception):
    """Something did not happen within its deadline."""


def wait_for(what, test, seconds=15, every=0.02):
    """Polls until test() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise Late(f"{what}: not within {seconds} s")
        time.sleep(every)


def can_connect(host, port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex((host, port)) == 0


def can_bind(host, port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
            s.listen(1)
        except OSError:
            return False
        return True


# How a daemon starts: it ends with the program that started it, even when that is killed. Empty for `--keep`.
TIED = ["setpriv", "--pdeathsig", "TERM", "--"]


def spawn(directory, name, argv, cwd=None, env=None):
    """Starts a daemon in its own session, output to DIRECTORY/log/NAME.log."""
    os.makedirs(f"{directory}/log", exist_ok=True)
    environ = dict(os.environ, **(env or {}), **{MARK: directory})
    with open(f"{directory}/log/{name}.log", "ab") as log:
        child = subprocess.Popen(TIED + argv, cwd=cwd or directory, env=environ, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, start_new_session=True)
    children.append(child)
    return child


def environ_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return f.read()
    except OSError:
        return b""


def is_sshd_of(directory, pid):
    """sshd writes its title over its environment, mark and all; the title names the configuration."""
    title = cmdline(pid)
    return title.startswith(("sshd: ", "/usr/sbin/sshd ")) and f" -f {directory}/" in title


def marked(directory):
    """Pids of living processes that belong to the fleet in DIRECTORY."""
    mark = f"{MARK}={directory}".encode() + b"\0"
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and (
                mark in environ_of(name) + b"\0" or is_sshd_of(directory, name)):
            found.append(int(name))
    return found


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def alive(pid):
    """Running, not a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def signal_pids(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def end_all(directory, grace=3):
    """TERM, then KILL, to all that carries the mark; also what they start meanwhile."""
    signal_pids(marked(directory), signal.SIGCONT)
    signal_pids(marked(directory), signal.SIGTERM)
    end = time.monotonic() + grace
    while any(alive(p) for p in marked(directory)):
        if time.monotonic() > end:
            signal_pids(marked(directory), signal.SIGKILL)
        if time.monotonic() > end + 5:
            raise Late(f"processes of {directory} do not end: {[(p, cmdline(p)) for p in marked(directory)]}")
        time.sleep(0.03)
    reap()


def reap():
    """Takes the exit status of ended children, so that none stays a zombie."""
    children[:] = [c for c in children if c.poll() is None]
