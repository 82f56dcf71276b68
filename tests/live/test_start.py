# SPDX-License-Identifier: MIT
"""docs/start.md, as a beginner follows it: each command is read from the page and typed on the machine that the page says, on
machines that have nothing yet. Only three things are not as they stand there: apt-get (packages are what this machine has: that
they are those of the page is asked), the build (live/package and builds/ do that), and the key and fingerprints, which differ."""
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import machines

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "..", "..", "docs", "start.md")
BUILD = os.environ.get("BUILD_DIR", "")
ADDRESSES = {"ctl": "10.10.10.5", "app1": "10.10.10.11", "app2": "10.10.10.12", "lb1": "10.10.10.10"}
SERVICES = {"openssh-server": "ssh", "supervisor": "supervisor", "haproxy": "haproxy"}
KEY = "ssh-ed25519 AAAA... ann@ctl"


def blocks():
    """(places, marks, text) of each block of commands, in the page's order."""
    with open(PAGE) as f:
        page = f.read()
    found = re.findall(r"^```sh ([^\n]*)\n(.*?)^```$", page, re.M | re.S)
    assert page.count("```") == 2 * len(found), "a block of the page has no machine"
    for words, text in found:
        words = words.split()
        yield [w.split("@") for w in words if "@" in w], [w for w in words if "@" not in w], text


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    reason = machines.why_not()
    if reason:
        pytest.skip(reason)
    with machines.Machines(str(tmp_path_factory.mktemp("start")), ADDRESSES) as w:
        w.run("app1", "getent passwd deploy ann", status=2)  # a fresh machine has none of them
        for name in ("app1", "app2"):  # supervisor itself, quicker to start
            w.run(name, f"install -m 755 {shlex.quote(machines.NODE)}/supervisorctl /usr/local/bin/")
        w.run("ctl", f"useradd -m -s /bin/bash ann && echo 'ann ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ann "
                     f"&& install -m 755 {shlex.quote(os.environ['RELEASE_BIN'])} /usr/bin/release")
        yield w


def without_apt(text):
    """The commands but for the build, and what is left to do of apt-get, whose packages must be here: it starts services."""
    lines = []
    for line in text.splitlines(keepends=True):
        words = line.split()
        if "apt-get" in words:
            for package in words[words.index("-y") + 1:]:
                if package.startswith("./"):
                    continue
                if package in SERVICES:
                    lines.append(f"service {SERVICES[package]} start >/dev/null\n")
                assert subprocess.run(["dpkg", "-s", package], capture_output=True).returncode == 0, package
        elif not line.startswith(("cmake ", "(cd build && cpack")):
            lines.append(line)
    return "".join(lines)


def printed_command(said):
    """The command that prepare printed: of the shape that the page shows."""
    command = next(line.strip() for line in said.splitlines() if "--host-key" in line)
    assert re.fullmatch(r"release prepare prod --apply( --host-key SHA256:\S{43}){3}", command), said
    return command


def test_the_page_leads_to_a_release_and_back(world):
    public, said = None, {}
    for places, marks, text in blocks():
        text = without_apt(text)
        if KEY in text:
            text = text.replace(KEY, public)
        if "printed" in marks:
            text = text[:text.index("release prepare")] + printed_command(said["ctl"])
        with ThreadPoolExecutor() as side_by_side:
            for (_, name), done in zip(places, side_by_side.map(lambda place: world.run(
                    place[1], "set -e\n" + text, user=place[0], status=6 if "fails" in marks else 0), places)):
                said[name] = done.stdout + done.stderr
        if "id_ed25519.pub" in text:
            public = next(line for line in said["ctl"].splitlines() if line.startswith("ssh-ed25519 "))
        check_what_the_page_says(text, said, world)


def check_what_the_page_says(text, said, world):
    """What a reader is told to expect there."""
    if text.strip().endswith("prepare prod"):
        if "host-key" in said["ctl"]:
            assert said["ctl"].count("is not known; it shows SHA256:") == 3, said["ctl"]
        else:
            assert "nothing is lacking" in said["ctl"], said["ctl"]
    elif "--host-key" in text:
        assert "supervisord has no program site" in said["ctl"] and "[program:site]" in said["ctl"], said["ctl"]
        for name in ("app1", "app2"):
            assert world.run(name, "stat -c %U:%G /srv/site").stdout.strip() == "deploy:deploy"
    elif "curl" in text:
        assert said["lb1"] == "hello, version 1\n"
    elif "Version 2" in text:
        assert world.run("lb1", "curl -s http://127.0.0.1/").stdout == "hello, version 2\n"
    elif "rollback" in text:
        assert world.run("lb1", "curl -s http://127.0.0.1/").stdout == "hello, version 1\n"
        assert "rollback" in said["ctl"], said["ctl"]


def test_prepare_again_changes_nothing(world):
    before = world.run("ctl", "cat ~ann/.ssh/known_hosts").stdout
    done = world.run("ctl", "cd ~/ops && release prepare prod --apply", user="ann")
    assert "nothing is lacking" in done.stdout, done.stdout + done.stderr
    assert world.run("ctl", "cat ~ann/.ssh/known_hosts").stdout == before and before.count("\n") == 3


def test_prepare_touches_nothing_that_is_there(world):
    """A directory of somebody else's, a program that is unknown, a user that is not there, a key that nobody shows."""
    world.run("app1", "install -d -o nobody /srv/other && touch /srv/other/precious")
    pillar = ("release: {dir: /srv/other, supervisor: {programs: [other]}, "
              "app_servers: {app1: {host: app1, port: 8080}, app2: {host: app2, port: 8080, user: nobodyhere}}}")
    done = world.run("ctl", "cd ~/ops && release prepare prod --apply --host-key SHA256:" + "x" * 43 + " --pillar " + shlex.quote(pillar),
                     user="ann", status=6)
    text = done.stdout + done.stderr
    assert "/srv/other belongs to nobody, and deploy cannot write there" in text, text
    assert "supervisord has no program other" in text and "directory=/srv/other/current" in text, text
    assert "there is no user nobodyhere" in text, text
    assert "no host that is unknown here shows this key" in text, text
    assert world.run("app1", "stat -c %U /srv/other").stdout == "nobody\n"
    assert world.run("app2", "test -e /srv/other", status=1)
