# SPDX-License-Identifier: MIT
"""Real Salt, Ansible and moto for tests: a private environment of its own per line of versions, made once and kept in the user's cache.

path("3006") -> folder with bin/salt-call and the rest; Unavailable says why there is none (a test skips with it)."""
import fcntl
import os
import pathlib
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("RELEASE_SALT_CACHE") or pathlib.Path.home() / ".cache/release-salt")
PACKAGES = {"3006": ["salt==3006.*", "python-gnupg"], "3008": ["salt==3008.*", "python-gnupg"], "ansible": ["ansible-core"],
            "aws": ["moto[ec2,elb,elbv2,autoscaling,sts]==5.2.5", "boto3==1.44.8", "flask==3.1.3", "flask-cors==6.0.5"]}
PROGRAM = {"ansible": "ansible-inventory", "aws": "moto_server"}
MINUTES = 15


class Unavailable(Exception):
    """It cannot be installed here; the text says why."""


def is_made(line, folder):
    return (folder / "bin" / PROGRAM.get(line, "salt-call")).exists() and (folder / ".made").exists()


def install(line, folder):
    made = [[sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(folder / "bin/python3"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES[line]]]
    for command in made:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MINUTES * 60)
        if done.returncode:
            raise Unavailable(f"{line}: {' '.join(command[1:4])} ...: {done.stderr.strip()[-400:]}")
    (folder / ".made").touch()


def path(line):
    folder = CACHE / line
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{line}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_made(line, folder):
            try:
                install(line, folder)
            except (subprocess.SubprocessError, OSError) as error:
                raise Unavailable(f"{line}: {error}") from error
    return folder
