# SPDX-License-Identifier: MIT
"""Slack's own packages from npm judge the same requests as the server, and talk to the same fake Slack as its bot."""
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import time

import pytest
from rooms import SECRET, Room
from scene import run, wait_for
from serving import Serving

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 1}
BOLT = "@slack/bolt@3.22.0"
ORACLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "slack_oracle.cjs")


@pytest.fixture(scope="module")
def packages():
    """A directory with Bolt in it, kept in the build directory; skipped where npm cannot get it."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("no node and npm here")
    directory = os.path.join(os.environ.get("BUILD_DIR", "/tmp"), "npm-slack")
    if not os.path.exists(f"{directory}/node_modules/@slack/bolt/dist/receivers/verify-request.js"):
        os.makedirs(directory, exist_ok=True)
        try:
            done = subprocess.run(["npm", "install", "--prefix", directory, "--no-audit", "--no-fund", "--ignore-scripts",
                                   "--loglevel=error", BOLT], capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not bring {BOLT} within two minutes")
        if done.returncode != 0:
            pytest.skip(f"npm could not bring {BOLT}: {done.stderr[-300:]}")
    return directory


@pytest.fixture(scope="module")
def room(fleet):
    r = Room(fleet.dir)
    yield r
    r.stop()


def ask(packages, cases, api):
    out = subprocess.run(["node", os.path.abspath(ORACLE)], input=json.dumps({"cases": cases, "api": api}), text=True,
                         capture_output=True, cwd=packages, timeout=60)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


def make_cases(room):
    now = int(time.time())

    def case(name, age=0, secret=SECRET, change=lambda s: s, body_after=None):
        body, stamp = room.form("status prod"), str(now - age)
        mac = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
        return {"name": name, "secret": SECRET, "stamp": stamp, "signature": change("v0=" + mac), "now_ms": now * 1000,
                "body": body_after(body) if body_after else body}
    return [
        case("good"), case("old but good", age=240), case("too old", age=400), case("ahead", age=-240),
        case("too far ahead", age=-400), case("other secret", secret="other"),
        case("other version", change=lambda s: "v1" + s[2:]), case("cut", change=lambda s: s[:-1]),
        case("last digit", change=lambda s: s[:-1] + ("0" if s[-1] != "0" else "1")),
        case("body changed", body_after=lambda b: b.replace("ann", "bob")), case("body longer", body_after=lambda b: b + "&x=1"),
        case("upper case", change=lambda s: "v0=" + s[3:].upper()),
    ]


def test_slacks_verifier_and_ours_agree(fleet, room, packages):
    room.write_config(fleet.root, bot=True)
    cases = make_cases(room)
    said = ask(packages, cases, room.url + "/api/")
    with Serving(fleet) as server:
        for case, verdict in zip(cases, said["verdicts"]):
            status = room.signed(server, "/chat/slack/command", case["body"], stamp=case["stamp"],
                                 signature=case["signature"])[0]
            # The one difference, on purpose: Bolt takes a stamp of any day to come.
            wanted = 401 if verdict != "ok" or case["name"] == "too far ahead" else 200
            assert status == wanted, (case["name"], verdict, status)
        assert [v == "ok" for v in said["verdicts"]].count(True) == 4, said["verdicts"]
        assert said["client"] == {"posted": True, "ts": said["client"]["ts"], "updated": True, "missing": "message_not_found"}
        run(fleet, "lock", "prod", "--reason", "seen by the bot")
        wait_for("the bot says it", lambda: any("seen by the bot" in t for t in room.messages.values()), seconds=30)
    theirs = next(c for c in room.calls if c[3].get("text") == "by the client")
    ours = next(c for c in room.calls if "seen by the bot" in c[3].get("text", ""))
    assert theirs[2] == ours[2] == "chat.postMessage" and theirs[3]["channel"] == ours[3]["channel"] == "C1"
    assert any(h.get("Authorization", "").startswith("Bearer xoxb-not") for h in room.headers), room.headers
