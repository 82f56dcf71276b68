#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""release doctor tells what is there and what to mend, and ends with the status that the table of exit statuses has for it."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

RELEASE = sys.argv[1]
PILLAR = "release: {app: site, repo: /srv/git/site.git, dir: /srv/site, app_servers: [app1], supervisor: site}\n"


def doctor(home, *args, path=os.environ["PATH"], **more):
    env = {"HOME": str(home), "PATH": path, **more}
    env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
    return subprocess.run([RELEASE, "doctor", *args], env=env, cwd=home, capture_output=True, text=True, timeout=60)


def findings(done):
    return {one["what"]: one for one in map(json.loads, done.stdout.splitlines())}


def wanted(done, status, what=None, level="wrong", text=""):
    found = findings(done)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    if what:
        assert found[what]["level"] == level and text in found[what]["found"] + str(found[what]["mend"]), found[what]
    return found


def main():
    with tempfile.TemporaryDirectory() as directory:
        home = pathlib.Path(directory)
        state = ["--json", "--state", str(home / "state" / "release.db")]
        found = wanted(doctor(home, *state), 0, "journal", "ok", "not there yet")
        assert {"release", "git", "ssh", "SQLite", "libssh2", "OpenSSL", "libmicrohttpd"} <= set(found), sorted(found)
        assert all(found[lib]["found"][0].isdigit() for lib in ("SQLite", "libssh2", "expat", "PCRE2")), found
        wanted(doctor(home, *state), 0, "environments", "note", "release init")
        wanted(doctor(home, *state, path="/nowhere"), 6, "git", text="apt-get install git")
        assert doctor(home, "--json", RELEASE_STATE=str(home / "own.db")).stdout.count("$RELEASE_STATE") == 1
        (home / "pillar").mkdir(mode=0o700)
        (home / "pillar" / "prod.sls").write_text(PILLAR)
        wanted(doctor(home, *state, "prod"), 0, "prod", "ok", "1 node")
        wanted(doctor(home, *state), 0, "environments", "ok", "prod")
        (home / "pillar" / "prod.sls").write_text(PILLAR.replace("app_servers", "app_server"))
        done = doctor(home, *state, "prod")
        assert "app_server" in done.stderr, done.stderr
        wanted(done, 2, "prod")
        (home / "state").mkdir(mode=0o700)
        (home / "state" / "release.db").write_bytes(b"no journal" * 100)
        (home / "state" / "release.db").chmod(0o600)
        wanted(doctor(home, *state), 7, "journal")
        done = doctor(home, "--state", str(home / "state" / "release.db"), path="/nowhere")
        assert done.returncode == 7 and "wrong  git" in done.stdout and "things to mend" in done.stderr, done.stdout + done.stderr
    print("doctor: fine")


main()
