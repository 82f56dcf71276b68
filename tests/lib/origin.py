# SPDX-License-Identifier: MIT
"""The git repository that the fleet releases from: bare, a file path, with good and bad revisions.

v1, v2 and v7 are good; v3 answers its health check with 500; v4 does not start; v5 needs 4 s to start; v6 does not
build. All on `main` in that order, each also a branch and a tag name of its own (`v1` .. `v7`).
"""
import os
import shutil
import subprocess

APP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "app", "app.py")
REVISIONS = [("v1", "good"), ("v2", "good"), ("v3", "unhealthy"), ("v4", "crash"), ("v5", "slow-start"),
             ("v6", "build-fails"), ("v7", "good")]
BUILD = """#!/bin/sh
# What a real build does, small: reads the tree, writes beside it, prints.
set -e
echo "building $(cat VERSION)"
if [ "$(cat BEHAVE)" = build-fails ]; then
    echo "module 'theme' not found" >&2
    exit 7
fi
mkdir -p built
cat VERSION > built/stamp
echo "built"
"""
ENV = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_NAME": "Ann",
       "GIT_COMMITTER_EMAIL": "ann@example.org", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


def git(*args, cwd=None):
    env = dict(os.environ, **ENV)
    out = subprocess.run(["git", *args], cwd=cwd, env=env, capture_output=True, text=True)
    if out.returncode:
        raise RuntimeError(f"git {' '.join(args)}: {out.stderr.strip()}")
    return out.stdout.strip()


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def commit(work, version, behave):
    write(f"{work}/VERSION", version + "\n")
    write(f"{work}/BEHAVE", behave + "\n")
    # Seconds apart and fixed, so that the same fleet has the same hashes everywhere.
    when = f"2026-01-01T00:00:{int(version[1:]):02d}Z"
    ENV.update(GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)
    git("add", "-A", cwd=work)
    git("commit", "-q", "-m", f"{version}: {behave}", cwd=work)
    git("tag", version, cwd=work)
    return git("rev-parse", "HEAD", cwd=work)


def make_origin(directory):
    """Makes DIRECTORY/origin.git; returns (its path, {"v1": 40 hex, ...})."""
    work, bare = f"{directory}/origin.work", f"{directory}/origin.git"
    git("init", "-q", "-b", "main", work)
    shutil.copy(APP, f"{work}/app.py")
    write(f"{work}/build.sh", BUILD, 0o755)
    write(f"{work}/.gitignore", "built/\n__pycache__/\n")
    revs = {version: commit(work, version, behave) for version, behave in REVISIONS}
    git("clone", "-q", "--bare", work, bare)
    return bare, revs


def add_commit(directory, name, behave="good"):
    """One more revision on main; returns its hash. NAME must be v<number>."""
    work, bare = f"{directory}/origin.work", f"{directory}/origin.git"
    rev = commit(work, name, behave)
    git("push", "-q", bare, "main", name, cwd=work)
    return rev
