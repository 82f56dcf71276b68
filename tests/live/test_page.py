# SPDX-License-Identifier: MIT
"""The page in a real browser (Chromium, driven by playwright-core): a release ordered and watched, the lock held and freed,
a rollback by keyboard alone, 2,000 nodes, and scripts in every field. Pictures are left in BUILD_DIR/browser/shots; page.png of
them is docs/page.png."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

import oracle
from scene import run
from serving import Serving
from synthetic import Writer, plan_of, rolling

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(HERE, "..", "browser")
FLEET = {"varnish": None}
PLAYWRIGHT = "playwright-core@1.65.1"
HOSTILE = ["<script>window.pwned=1</script>", "<img src=x onerror=window.pwned=1>", "\"><svg onload=window.pwned=1>",
           "'onmouseover='window.pwned=1", "javascript:window.pwned=1", "</title><script>document.title='pwned'</script>",
           "{{constructor.constructor('window.pwned=1')()}}", "${window.pwned=1}", "<iframe src=//evil.example>",
           "<base href=//evil.example/>", "\u202ertl\u202c", "&lt;script&gt;", "<style>*{display:none}</style>", "\x1b]0;pwned\x07"]


def have_browser(folder):
    """"" once chromium, node and playwright-core are there; else why not."""
    if not shutil.which("chromium"):
        return "chromium is not installed"
    if not shutil.which("node"):
        return "node is not installed"
    if os.path.isdir(f"{folder}/node_modules/playwright-core"):
        return ""
    if not shutil.which("npm"):
        return "npm is not installed, and playwright-core is not there"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/package.json", "w") as f:
        json.dump({"private": True}, f)
    out = subprocess.run(["npm", "install", "--no-audit", "--no-fund", PLAYWRIGHT], cwd=folder, capture_output=True, text=True,
                         timeout=120)
    return "" if out.returncode == 0 else f"npm install {PLAYWRIGHT} failed: {out.stderr.strip().splitlines()[-1:]}"


class Browser:
    """Starts scripts of tests/browser on a server."""

    def __init__(self, server, folder):
        self.server, self.url, self.fleet = server, server.url, server.place
        self.modules, self.shots = folder, f"{folder}/shots"
        os.makedirs(self.shots, exist_ok=True)
        self.token = run(self.fleet, "token", "add", "bob", "--role", "operator").stdout.strip()

    def restart_server(self):
        self.server.stop()
        self.server.listen = self.url.removeprefix("http://")
        self.server.start()

    def start(self, script, **facts):
        facts.update(url=self.url, token=self.token, shots=self.shots, revs=self.fleet.revs)
        env = dict(os.environ, BROWSER_MODULES=self.modules, CHROMIUM=shutil.which("chromium"), FACTS=json.dumps(facts))
        return subprocess.Popen(["node", f"{SCRIPTS}/{script}"], env=env, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)


def ended_well(process, seconds=300):
    out, _ = process.communicate(timeout=seconds)
    print(out)
    assert process.returncode == 0, out
    return out


@pytest.fixture(scope="module")
def browser(request):
    folder = os.path.join(os.environ.get("BUILD_DIR") or "/tmp", "browser")
    why = have_browser(folder)
    if why:
        pytest.skip(why)
    with Serving(request.getfixturevalue("fleet")) as server:
        yield Browser(server, folder)


def real_plan(fleet):
    with sqlite3.connect(fleet.state) as db:
        return json.loads(db.execute("SELECT json FROM plans ORDER BY release LIMIT 1").fetchone()[0])


def test_release_lock_and_rollback(browser):
    pillar = f"{browser.fleet.root}/pillar"
    with open(f"{pillar}/prod.sls") as prod, open(os.open(f"{pillar}/guarded.sls", os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(prod.read() + "  approval: other\n")
    ended_well(browser.start("release.mjs"))
    v1, v2 = browser.fleet.revs["v1"], browser.fleet.revs["v2"]
    wanted = {n.id: v1 if n.id == "app4" else v2 for n in browser.fleet.nodes}  # the last way back left app4 alone
    problems = oracle.settle(browser.fleet, wanted)
    assert problems == [], "\n".join(problems)
    shutil.copy(f"{browser.shots}/release-running.png", f"{browser.shots}/page.png")
    with sqlite3.connect(browser.fleet.state) as db:
        who = {w for (w,) in db.execute("SELECT DISTINCT who FROM releases")}
    assert who == {"page:bob"}


def test_two_thousand_nodes(browser):
    plan = plan_of(real_plan(browser.fleet), 2000, window=150)
    rows = rolling(plan, failing=["web0777"])
    writer = Writer(browser.fleet.state, plan)
    writer.hold()
    process = browser.start("many.mjs", release=writer.release)
    assert process.stdout.readline().strip() == "open"
    seconds, pieces, began = 12, 60, time.monotonic()
    for i in range(pieces):
        writer.write(rows[len(rows) * i // pieces:len(rows) * (i + 1) // pieces])
        if i == pieces // 2:  # the page goes on from the row that it knows
            browser.restart_server()
        threading.Event().wait(max(0, began + seconds * (i + 1) / pieces - time.monotonic()))
    writer.end(rows[-1][0])
    out = ended_well(process)
    assert re.search(r"figures \{", out)


def test_hostile_text_and_no_script(browser):
    plan = real_plan(browser.fleet)
    plan["steps"][2]["label"] = HOSTILE[0]
    plan["rev_typed"] = HOSTILE[1]
    writer = Writer(browser.fleet.state, plan, env="evil", who=HOSTILE[2])
    rows = rolling(plan, failing=[plan["nodes"][0]["id"]])
    hostile = [(ms, (*row[:11], f"{HOSTILE[i % len(HOSTILE)]} {row[11]}", *row[12:])) if row[11] else (ms, row)
               for i, (ms, row) in enumerate(rows)]
    writer.write(hostile)
    for i, text in enumerate(HOSTILE):
        writer.output(i, plan["nodes"][i % 4]["id"], 2, f"{text}\n".encode() + b"\xff\xfe\x00\n", stream=i % 3)
    writer.end(rows[-1][0], 1, HOSTILE[1])
    run(browser.fleet, "lock", "evil", "--reason", HOSTILE[0])
    ended_well(browser.start("hostile.mjs", release=writer.release))
