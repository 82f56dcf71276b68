# SPDX-License-Identifier: MIT
"""docs/promises.md, attacks, on a real fleet: secrets, escape sequences, hostile words, a node that lies."""
import base64
import glob
import hashlib
import http.server
import json
import os
import re
import stat
import threading
import urllib.parse

import pytest
from daemons import wait_for
from oracle import open_journal
from scene import expect, expect_world, refused, release, run, start_release, end, texts, told

FLEET = {"varnish": "nodes", "balancers": 1, "n_nodes": 3}
RUN = ["run", "--rev", "v2", "--yes", "prod"]
HOOK_CANARY = "cAnArY-hook-8d1f+7/x"


class Sampler(threading.Thread):
    """Looks at the command lines of all processes for as long as it lives."""

    def __init__(self, needles):
        super().__init__(daemon=True)
        self.needles, self.found, self.looks, self.over = [n.encode() for n in needles], [], 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                try:
                    with open(path, "rb") as f:
                        line = f.read()
                except OSError:
                    continue
                self.looks += 1
                self.found += [line for n in self.needles if n in line]

    def end(self):
        self.over.set()
        self.join()
        assert self.looks > 1000, "the sampler saw next to nothing"
        assert self.found == [], self.found[:3]


class Hook(http.server.BaseHTTPRequestHandler):
    seen = []

    def do_POST(self):
        Hook.seen.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def disguises(secret):
    """As it is, URL-coded, and in base64 at each alignment, without the digits that depend on the neighbours."""
    forms = {secret, urllib.parse.quote(secret, safe="")}
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + secret.encode()).decode().rstrip("=")
        forms.add(text[(8 * shift + 5) // 6:-1])
    return sorted(forms)


def files_with(fleet, needles, allowed):
    found = []
    for d, _, names in os.walk(fleet.dir):
        for path in (os.path.join(d, name) for name in names):
            # A node's own record of what its own command printed is the node's affair (0600 in 0700, see below).
            if path in allowed or re.search(r"/jobs/[^/]+\.(out|err)$", path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                data = f.read()
            found += [f"{path} has {n}" for n in needles if n.encode() in data]
    return found


def core_limit(pid):
    with open(f"/proc/{pid}/limits") as f:
        return next(line for line in f if line.startswith("Max core file size")).split()[4]


def test_a_secret_stays_where_it_is_configured(fleet):
    """S8: a webhook's address, Varnish's secret, and what a build is given from environment, file and command, which a
    careless build even prints, plain, coded and cut in two."""
    server = http.server.ThreadingHTTPServer((f"{fleet.net}.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://{fleet.net}.1:{server.server_port}/hooks/{HOOK_CANARY}"
    with open(fleet.varnish.secret) as f:
        varnish_secret = f.read().strip()
    given = {"TOKEN": "tok-" + os.urandom(12).hex(), "KEY": "key+" + os.urandom(12).hex(), "PASS": "pa ss'" + os.urandom(12).hex()}
    kept = {}
    for name in ("KEY", "PASS"):
        kept[name] = f"{fleet.dir}/secret-{name}"
        with open(os.open(kept[name], os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(given[name] + "\n")
    needles = [HOOK_CANARY] + disguises(varnish_secret) + [n for value in given.values() for n in disguises(value)]
    secret = fleet.varnish.secret
    careless = (f"s=$(cat {secret}); echo leak:$s:; printf %s \\\"$s\\\" | base64 -w0; echo; printf 'half:%.20s' $s; sleep 0.3; "
                f"printf '%s\\\\n' $s | cut -c21-; echo $s >&2; echo given:$TOKEN:$KEY:$PASS:; "
                f"printf '%s|%s|%s' \\\"$TOKEN\\\" \\\"$KEY\\\" \\\"$PASS\\\" | sha256sum | cut -c1-16")
    build_env = f'{{TOKEN: "env:BUILD_TOKEN", KEY: "file:{kept["KEY"]}", PASS: "cmd:cat {kept["PASS"]}"}}'
    fleet.write_pillar(build=f'[{{cmd.run: {{cmd: "{careless}", timeout: 60s, env: {build_env}}}}}]',
                       extra=f'  notify: [{{webhook: "{url}", events: [started, finished]}}]\n')
    sampler = Sampler(needles)
    sampler.start()
    refused(fleet, ["run", "--rev", "v2", "--yes", "prod"], 2, "BUILD_TOKEN", "no such variable")
    process = start_release(fleet, "v2", "--json", env={"BUILD_TOKEN": given["TOKEN"]})
    limit = wait_for("the limits of the controller", lambda: core_limit(process.pid))
    assert limit == "0", "core files are on"
    assert end(process, fleet) == 0, texts(fleet)
    outputs = []
    for args in (["log", "1"], ["log", "1", "--json"], ["status", "prod"], ["history", "prod"], ["nodes", "prod"],
                 ["plan", "--rev", "v2", "prod"]):
        result = run(fleet, *args, env={"BUILD_TOKEN": given["TOKEN"]})
        outputs.append(result.stdout + result.stderr)
    sampler.end()
    server.shutdown()
    assert Hook.seen and all(HOOK_CANARY in path for path in Hook.seen), "the webhook was not called: the test proves nothing"
    assert "given:***:***:***:" in outputs[0], "the build was not given its secrets: " + outputs[0][-3000:]
    right = hashlib.sha256("|".join(given.values()).encode()).hexdigest()[:16]
    assert outputs[0].count(right) == len(fleet.nodes), "the build was given something else: " + outputs[0][-3000:]
    assert "leak:***:" in outputs[0], "the build did not print the secret: the test proves nothing\n" + outputs[0][-3000:]
    for text in outputs + [fleet.log("release.out"), fleet.log("release.err")]:
        assert not [n for n in needles if n in text], text[-3000:]
    allowed = {f"{fleet.root}/pillar/prod.sls", secret, *kept.values()}
    assert files_with(fleet, needles, allowed) == []
    expect_world(fleet, "v2")


def test_modes_of_what_is_left_behind(fleet):
    """S18, S19: the journal, and the runner's directory on every node, are for their owner only."""
    for path in glob.glob(f"{fleet.state}*"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
    assert stat.S_IMODE(os.stat(os.path.dirname(fleet.state)).st_mode) == 0o700
    for n in fleet.nodes:
        top = f"{n.home}/.release"
        assert stat.S_IMODE(os.stat(top).st_mode) & 0o077 == 0, top
        assert glob.glob(f"{top}/at/*/fence"), "no fence was left: the test proves nothing"
        for d, _, files in os.walk(top):
            assert stat.S_IMODE(os.stat(d).st_mode) & 0o077 == 0, d
            for f in files:
                assert stat.S_IMODE(os.stat(f"{d}/{f}").st_mode) & 0o022 == 0, f"{d}/{f}"


OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def test_escape_sequences_are_shown_and_not_obeyed(fleet):
    """S9: all 256 bytes, a clipboard write, a title, bidi and a carriage return, in remote output, on every way out."""
    evil = ("'\\\\033]52;c;aGFja2Vk\\\\007 \\\\033]0;title\\\\007 \\\\033[2J \\\\342\\\\200\\\\256gnp.exe \\\\302\\\\233 31m over\\\\rwritten\\\\n"
            + "".join(f"\\\\{i:03o}" for i in range(1, 256) if i not in (10, 37, 39, 92)) + "\\\\n'")
    fleet.write_pillar(build=f'[{{cmd.run: {{cmd: "printf {evil}; printf {evil} >&2", timeout: 60s}}}}]')
    result = release(fleet, "v7")
    shown = {"run": result.stdout + result.stderr, "log": run(fleet, "log", "2").stdout}
    for name, text in shown.items():
        assert "\\x1b]52;c;" in text, f"{name}: the output is missing: {text[-2000:]}"
        assert not OBEYED.search(text), (name, OBEYED.search(text), told(result))
    lines = run(fleet, "log", "2", "--json").stdout.splitlines()
    assert any("\\u001B]52;c;" in line and "\u001b]52;c;" in json.loads(line).get("data", "") for line in lines)
    for line in lines:
        assert not OBEYED.search(line.replace("\x7f", "")), line[:500]


HOSTILE_PILLARS = [
    # (what is replaced in the good pillar, by what, words of the refusal)
    ("    app1: {host:", "    -oProxyCommand=touch canary: {host:", ["app_servers"]),
    ("    app1: {host:", "    'a;touch canary': {host:", ["app_servers"]),
    ("    app1: {host:", "    ../app1: {host:", ["app_servers"]),
    ("programs: [site]", "programs: ['site; touch canary']", []),
    ("programs: [site]", "programs: [-c/tmp/x]", []),
    ("backend: site,", "backend: 'site; disable server site/app2',", ["site"]),
    ("backend: site,", "backend: \"site\\ndisable server site/app2\",", ["site"]),
    ("port: {port}", "lb_server: 'app1; disable server site/app2', port: {port}", ["app1"]),
    ("host: {host}", "host: -oProxyCommand=touch canary", []),
    ("host: {host}", "host: '$(touch canary)'", []),
    ("user: {user}", "user: '-oProxyCommand=touch canary'", []),
    ("dir: {srv}", "dir: '{srv}/../../x'", ["dir"]),
    ("dir: {srv}", "dir: 'relative; touch canary'", ["dir"]),
    ("repo: {origin}", "repo: 'ext::sh -c touch% canary'", []),
    ("repo: {origin}", "repo: '--upload-pack=touch canary'", []),
]


@pytest.mark.parametrize("row", HOSTILE_PILLARS, ids=lambda r: r[1][:40])
def test_hostile_words_in_the_pillar(fleet, row):
    """S1, S2, S4, S20: options, shell text, HAProxy's ; and newline in every name that goes out into the world."""
    fleet.write_pillar()
    one = fleet.nodes[0]
    fill = {"port": one.port, "host": one.host, "srv": one.srv, "origin": fleet.origin}
    path = f"{fleet.root}/pillar/prod.sls"
    with open(path) as f:
        text = f.read()
    fill["user"] = re.search(r"user: (\w+)", text).group(1)
    old, new, words = row
    for name, value in fill.items():
        old, new = old.replace("{%s}" % name, str(value)), new.replace("{%s}" % name, str(value))
    assert old in text, old
    with open(path, "w") as f:
        f.write(text.replace(old, new, 1))
    status = fleet.release(*RUN).returncode
    assert status in (2, 6), f"exit status {status}"
    refused(fleet, RUN, status, *words)
    for d, _, files in os.walk(fleet.dir):
        assert "canary" not in files, f"{d}/canary was made"
    assert not os.path.exists("canary")
    fleet.write_pillar()


def test_words_with_everything_in_them_reach_the_node_unchanged(fleet):
    """S4: arguments and working directories are data, whatever stands in them."""
    nasty = "it's $HOME `id` \"q\" \\ ; & | > < * ? ~ ! # (x) {y} \t $(touch canary) -n é"
    where = f"{fleet.dir}/a 'quoted' $dir; touch canary"
    os.makedirs(where, exist_ok=True)
    result = run(fleet, "exec", "--only", "app1", "--cwd", where, "prod", "--", "sh", "-c",
                 'printf "%s\\n" "$1"; pwd; ls', "sh", nasty)
    for text in (nasty, where):
        assert text in result.stdout.replace("\\x09", "\t"), told(result)
    assert "canary" not in [f for d, _, files in os.walk(fleet.dir) for f in files]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_pillar_that_others_may_write_is_refused(fleet, mode):
    """S19."""
    path = f"{fleet.root}/pillar/prod.sls"
    os.chmod(path, mode)
    try:
        refused(fleet, RUN, 2, "prod.sls", "writ")
    finally:
        os.chmod(path, 0o600)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused(fleet, mode):
    """S19, as ssh itself does."""
    os.chmod(fleet.key, mode)
    try:
        refused(fleet, RUN, 6, "keys/user")
    finally:
        os.chmod(fleet.key, 0o600)


@pytest.mark.parametrize("transport", ["ssh", "openssh"])
def test_no_agent_and_no_display_reach_the_node(fleet, transport):
    """S24: the operator has an agent and a configuration that forwards it everywhere; the servers would take it."""
    import subprocess
    operator = f"{fleet.dir}/operator"
    os.makedirs(f"{operator}/.ssh", mode=0o700, exist_ok=True)
    with open(f"{operator}/.ssh/config", "w") as f:
        f.write("Host *\n  ForwardAgent yes\n  ForwardX11 yes\n")
    sock = f"{fleet.dir}/agent.{transport}"
    started = subprocess.run(["ssh-agent", "-a", sock], env=dict(os.environ, RELEASE_FLEET=fleet.dir), check=True,
                             capture_output=True, text=True).stdout
    pid = int(re.search(r"SSH_AGENT_PID=(\d+)", started).group(1))
    try:
        subprocess.run(["ssh-add", "-q", fleet.key], env=dict(os.environ, SSH_AUTH_SOCK=sock), check=True)
        fleet.write_pillar(transport=transport)
        result = run(fleet, "exec", "prod", "--", "echo \"agent=${SSH_AUTH_SOCK-none} display=${DISPLAY-none}\"",
                     env={"SSH_AUTH_SOCK": sock, "DISPLAY": ":7"})
        assert result.stdout.count("agent=none display=none") == len(fleet.nodes), told(result)
    finally:
        os.kill(pid, 15)
        os.unlink(f"{operator}/.ssh/config")
        fleet.write_pillar()


# ---- S25: a node that lies. Its sshd runs this instead of what it was asked to; the others are honest.
LIAR = """#!/bin/sh
# $1 = the lie
case $1 in
honest) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
silent) exit 0 ;;
wordy) head -c 3000000 /dev/urandom; head -c 3000000 /dev/urandom >&2; exit 0 ;;
echo) printf '%s\\n' "$SSH_ORIGINAL_COMMAND"; printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >&2; exit 0 ;;
done)
    # Takes the marker out of what it was asked, and claims success for everything without doing anything.
    for n in $(printf '%s' "$SSH_ORIGINAL_COMMAND" | grep -oE '[0-9a-f]{32}' | sort -u); do
        printf "\\n%s ended new 0\\n" "$n" >&2
        printf "\\n%s state ended 0\\n" "$n" >&2
    done
    printf "fact rev 0000000000000000000000000000000000000000\\nfact x '); DROP TABLE journal; --\\nchanged no\\n"
    exit 0 ;;
fenced)
    for n in $(printf '%s' "$SSH_ORIGINAL_COMMAND" | grep -oE '[0-9a-f]{32}' | sort -u); do
        printf "\\n%s fenced 999999999999999999999 eve'; touch canary\\n" "$n" >&2
    done
    exit 0 ;;
tools)
    # Honest but for one tool: its supervisord does as told, says supervisorctl, and does nothing at all.
    PATH="$(dirname "$0")/lies:$PATH"
    export PATH
    exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
late)
    # Honest while it is asked, and then says nothing but lies: from the first changing step on. Those come through the shell
    # that stays, or as a command of their own.
    case $SSH_ORIGINAL_COMMAND in
    *"'run'"*|*" run "*) printf '\\nlies lies lies\\n' >&2; exit 0 ;;
    "exec sh")
        lie='case $1 in run) echo lies lies lies >\\&2 ;; *) release_main "$@" ;; esac'
        sed -u 's/release_main "$@"/'"$lie"/ | sh
        exit ;;
    esac
    exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""


LYING_SUPERVISORCTL = """#!/bin/sh
state="$(dirname "$0")/state"
[ -f "$state" ] || echo RUNNING >"$state"
pid=$(PATH=${PATH#*:} supervisorctl "$@" pid site)
show() {
    case $(cat "$state") in
    RUNNING) echo "site                             RUNNING   pid $pid, uptime 0:00:09" ;;
    *) echo "site                             STOPPED   Nov 20 09:00 AM" ;;
    esac
}
show
while read -r verb rest || [ -n "$verb" ]; do
    case $verb in
    stop) echo STOPPED >"$state"; echo "site: stopped" ;;
    start) echo RUNNING >"$state"; echo "site: started" ;;
    status) show ;;
    esac
done
"""


def let_lie(fleet, node, lie):
    """Restarts the node's sshd with a command of its own for everybody."""
    path = f"{node.dir}/liar.sh"
    with open(path, "w") as f:
        f.write(LIAR)
    os.makedirs(f"{node.dir}/lies", exist_ok=True)
    with open(os.open(f"{node.dir}/lies/supervisorctl", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o755), "w") as f:
        f.write(LYING_SUPERVISORCTL)
    node.sshd.terminate()
    node.sshd.wait()
    node.start_sshd()  # writes the configuration anew
    if lie != "honest":
        node.sshd.terminate()
        node.sshd.wait()
        from daemons import spawn
        from fleet import SSHD
        with open(f"{node.dir}/sshd_config", "a") as f:
            f.write(f"ForceCommand /bin/sh {path} {lie}\n")
        node.sshd = spawn(fleet.dir, f"{node.id}-sshd", [SSHD, "-D", "-e", "-f", f"{node.dir}/sshd_config"])
    wait_for(f"{node.id}'s sshd listens", node.ready)


@pytest.mark.parametrize("lie", ["silent", "wordy", "echo", "done", "fenced", "late", "tools"])
def test_a_lying_node_hurts_only_itself(fleet, lie):
    """Whatever it answers: no success that is none, the other nodes stay on one revision and in rotation, nothing is
    executed here or there, and the journal stays sound."""
    liar = fleet.nodes[1]
    before = {n.id: n.running_rev() for n in fleet.nodes}
    other = "v2" if before["app1"] == fleet.revs["v7"] else "v7"
    let_lie(fleet, liar, lie)
    try:
        result = fleet.release("run", "--rev", other, "--yes", "prod", timeout=150)
    finally:
        let_lie(fleet, liar, "honest")
    expect(result, result.returncode)
    if lie == "tools" and result.returncode == 0:  # what supervisord did not do was done without it: then it must be true
        expect_world(fleet, other)
        return
    assert result.returncode in (1, 4, 5, 6), told(result)
    assert "app2" in result.stdout + result.stderr, told(result)
    assert liar.running_rev() == before["app2"], "the liar did not run what it was told, and nobody noticed"
    honest = {n.running_rev() for n in fleet.nodes if n is not liar}
    assert honest <= {before["app1"], fleet.revs[other]} and len(honest) == 1, (honest, told(result))
    for lb in fleet.lbs:
        admin = lb.admin_state()
        assert not admin["app1"] and not admin["app3"], (admin, told(result))
    assert open_journal(fleet.state).execute("pragma integrity_check").fetchone()[0] == "ok"
    assert "canary" not in [f for d, _, files in os.walk(fleet.dir) for f in files]
    assert not OBEYED.search(result.stdout + result.stderr), told(result)
    if result.returncode in (4, 5):  # with the truth back, one command ends it
        run(fleet, "rollback", "prod", status=0)
    expect_world(fleet, next(version for version, rev in fleet.revs.items() if rev == before["app1"]))
