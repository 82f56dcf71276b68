# SPDX-License-Identifier: MIT
"""The Debian package on a copy of this machine that has systemd: install, start, upgrade under a running release,
remove, purge. The copy is thrown away (tests/lib/booted.py)."""
import glob
import json
import os
import re
import shutil
import subprocess

import pytest

import booted
from daemons import wait_for

BUILD = os.environ.get("BUILD_DIR", "")
# One node, the machine itself: one step that waits until the test lets it go on.
PILLAR = """release:
  app: site
  repo: /nowhere
  dir: /var/lib/release/site
  plan: wait
  confirm: no
  soak: 0s
  ssh: {transport: local}
  app_servers: [here]
"""
PLAN = """revision: no
prepare:
  - cmd.run: {cmd: "echo waiting; while ! test -e /var/lib/release/go; do sleep 0.1; done", timeout: 2m}
"""


def pack(directory, version):
    """Packs what is built, as that version; returns the file."""
    out = f"{directory}/{version}"
    done = subprocess.run(["cpack", "-G", "DEB", "--config", f"{BUILD}/CPackConfig.cmake", "-B", out,
                           "-D", f"CPACK_PACKAGE_VERSION={version}"], capture_output=True, text=True, timeout=120, cwd=directory)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(f"{out}/_CPack_Packages")
    return glob.glob(f"{out}/*.deb")[0]


def sanitized():
    with open(f"{BUILD}/CMakeCache.txt") as f:
        return re.search(r"^RELEASE_SANITIZE:STRING=.+$", f.read(), re.M)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    reason = booted.why_not()
    if reason:
        pytest.skip(reason)
    directory = str(tmp_path_factory.mktemp("package"))
    given = f"{directory}/given"
    os.makedirs(given)
    shutil.copy(pack(directory, "0.1.0"), f"{given}/first.deb")
    shutil.copy(pack(directory, "0.1.1"), f"{given}/second.deb")
    with booted.Booted(directory, given) as c:
        if sanitized():  # its search for leaks wants ptrace, which the unit rightly forbids
            c.run("mkdir", "-p", "/etc/systemd/system/release.service.d")
            put(c, "/etc/systemd/system/release.service.d/leaks.conf", "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n",
                group="root")
        yield c


def active(copy):
    return copy.run("systemctl", "is-active", "release", status=None).stdout.strip() == "active"


def healthy(copy):
    return copy.run("curl", "-sf", "http://127.0.0.1:8710/healthz", status=None).returncode == 0


def main_pid(copy):
    return copy.say("systemctl", "show", "-P", "MainPID", "release")


def as_release(copy, *argv):
    """As a person on that host runs it: with the same journal as the server."""
    return copy.say("runuser", "-u", "release", "--", "env", "HOME=/var/lib/release", "release", *argv)


def put(copy, path, text, group="release"):
    copy.run("sh", "-c", 'printf %s "$2" >"$1" && chgrp "$3" "$1" && chmod 0640 "$1"', "sh", path, text, group)


def api(copy, path, body=None):
    posted = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return json.loads(copy.say("curl", "-sS", "-H", f"Authorization: Bearer {copy.token}", *posted,
                               f"http://127.0.0.1:8710{path}"))


def test_lintian_finds_nothing(copy):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", f"{copy.given}/first.deb"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


def test_installs_and_starts(copy):
    said = copy.say("dpkg", "-i", "/root/given/first.deb")
    assert said.count("What to do next") == 1 and "start.md" in said, said
    wait_for("the server is up", lambda: active(copy) and healthy(copy), seconds=60)
    copy.run("systemctl", "is-enabled", "release")
    assert copy.say("ps", "-o", "user=", "-p", main_pid(copy)) == "release"
    assert copy.say("stat", "-c", "%a %U:%G", "/etc/release", "/etc/release/serve.yml", "/var/lib/release").split("\n") == [
        "750 root:release", "640 root:release", "700 release:release"]
    copy.run("release", "--version")
    # root, who types beside the server, looks at the server's journal
    assert "/var/lib/release/.local/state/release/release.db" in copy.say("release", "status")
    copy.run("gzip", "-t", "/usr/share/man/man1/release.1.gz")
    copy.run("test", "-e", "/usr/share/bash-completion/completions/release")
    verify = copy.run("systemd-analyze", "--man=no", "verify", "release.service")
    assert "release" not in verify.stderr, verify.stderr


def test_doctor_is_content(copy):
    said = copy.say("release", "doctor")
    assert "/var/lib/release/.local/state/release/release.db (`state:` of release.yml)" in said, said


def test_books_lead_to_each_other(copy):
    """Each link of an installed book leads to a file that is installed."""
    books = copy.say("find", "/usr/share/doc/release", "-name", "*.md*").split()
    assert len(books) > 20
    wrong = []
    for book in books:
        text = copy.say("zcat" if book.endswith(".gz") else "cat", book)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            path = os.path.normpath(os.path.join(os.path.dirname(book), target))
            if "://" not in target and copy.run("test", "-e", path, status=None).returncode != 0:
                wrong.append(f"{book}: {target}")
    assert not wrong, wrong
    assert "prepare" in copy.say("zcat", "/usr/share/doc/release/changelog.gz")


def test_the_server_is_shut_in(copy):
    pid = main_pid(copy)
    status = copy.say("cat", f"/proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "CapEff:\t0000000000000000" in status
    inside = ["nsenter", "-t", pid, "-m", "--"]
    for path in ("/etc/release/x", "/usr/x", "/var/x"):
        assert copy.run(*inside, "touch", path, status=None).returncode != 0, path


def test_people_share_the_servers_journal(copy):
    put(copy, "/etc/release/pillar/test.sls", PILLAR)
    put(copy, "/etc/release/plans/wait.yml", PLAN)
    copy.token = as_release(copy, "token", "add", "ci", "--role", "operator").split()[-1]
    assert [e["env"] for e in api(copy, "/api/v1/envs")] == ["test"]
    as_release(copy, "lock", "test", "--reason", "looking")
    assert "looking" in api(copy, "/api/v1/envs/test")["lock"]["text"]
    as_release(copy, "unlock", "test")


def test_a_release_lives_through_restart_kill_and_upgrade(copy):
    put(copy, "/etc/release/serve.yml", "listen: 127.0.0.1:8710\n# mine\n")
    order = api(copy, "/api/v1/envs/test/run", {"confirm": "test"})["order"]
    release = wait_for("the step waits", lambda: copy.run("pgrep", "-fx", "/proc/self/exe run .*|.*release run .*",
                                                         status=None).stdout.split(), seconds=60)
    wait_for("the step waits", lambda: copy.run("pgrep", "-f", "echo waiting", status=None).stdout, seconds=60)
    first = main_pid(copy)
    copy.run("systemctl", "restart", "release")
    wait_for("the server is back", lambda: healthy(copy), seconds=60)
    copy.run("kill", "-9", main_pid(copy))
    wait_for("systemd has started it again", lambda: active(copy) and healthy(copy), seconds=60)
    assert "What to do next" not in copy.say("dpkg", "-i", "/root/given/second.deb")
    wait_for("the new server is up", lambda: active(copy) and healthy(copy), seconds=60)
    assert main_pid(copy) != first
    assert "# mine" in copy.say("cat", "/etc/release/serve.yml")
    assert copy.say("dpkg-query", "-W", "-f", "${Version}", "release") == "0.1.1"
    copy.run("kill", "-0", *release)
    assert not api(copy, f"/api/v1/orders/{order}")["ended"]
    copy.run("touch", "/var/lib/release/go")
    ended = wait_for("the release ends", lambda: [o for o in [api(copy, f"/api/v1/orders/{order}")] if o["ended"]], seconds=60)
    assert ended[0]["exit"] == 0, ended[0]["output"]
    assert api(copy, f"/api/v1/releases/{ended[0]['release']}")["exit"] == 0


def test_removes_and_purges(copy):
    copy.run("dpkg", "-r", "release")
    assert not active(copy)
    copy.run("pgrep", "-u", "release", status=1)
    copy.run("test", "!", "-e", "/usr/bin/release")
    copy.run("test", "-e", "/var/lib/release/.local/state/release/release.db")
    copy.run("test", "-e", "/etc/release/serve.yml")
    copy.run("dpkg", "-P", "release")
    copy.run("test", "!", "-e", "/var/lib/release")
    copy.run("test", "!", "-e", "/etc/release/serve.yml")
    copy.run("test", "-e", "/etc/release/pillar/test.sls")
    assert copy.say("sh", "-c", "find /etc/systemd /lib/systemd /var/lib/systemd -name release.service") == ""
