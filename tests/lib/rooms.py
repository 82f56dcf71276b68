# SPDX-License-Identifier: MIT
"""Slack, as far as `release serve` can tell: signed requests from it, its response_urls and Web API towards it."""
import hashlib
import hmac
import http.server
import json
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from daemons import wait_for

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
BOT_TOKEN = "xoxb-not-a-real-one"
MM_TOKEN = "mm-not-a-real-one"


class Room:
    """A fake Slack on 127.0.0.1. said: what came to response_urls; posts and updates: Web API calls; hooks: webhooks."""

    def __init__(self, directory):
        self.dir = directory
        self.said, self.calls, self.hooks, self.headers = [], [], [], []
        self.messages = {}       # ts -> text as it stands
        self.status, self.retry_after = 200, None  # what the next answers are
        self.ts = self.n = 0
        self.lock = threading.Lock()
        self.new = threading.Condition(self.lock)
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def handler(room):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if "urlencoded" in self.headers["Content-Type"]:  # as Slack's own client asks
                    body = dict(urllib.parse.parse_qsl(body))
                else:
                    body = json.loads(body)
                answer = room.take(self.path, body, dict(self.headers))
                self.send_response(room.status)
                if room.retry_after:
                    self.send_header("Retry-After", str(room.retry_after))
                data = json.dumps(answer).encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass
        return Handler

    def take(self, path, body, headers):
        with self.new:
            self.headers.append(headers)
            self.new.notify_all()
            if path.startswith("/api/"):
                self.calls.append((time.monotonic(), self.status, path[5:], body))
                if self.status != 200:
                    return {"ok": False, "error": "ratelimited"}
                if path == "/api/chat.postMessage":
                    self.ts += 1
                    ts = f"1700000000.{self.ts:06}"
                elif body.get("ts") not in self.messages:
                    return {"ok": False, "error": "message_not_found"}
                else:
                    ts = body["ts"]
                self.messages[ts] = body["text"]
                return {"ok": True, "ts": ts, "channel": body["channel"]}
            body["to"] = path
            (self.hooks if path.startswith("/webhook") else self.said).append(body)
            return {"ok": True}

    # ---- what the server is told of us

    def secret(self, name, text):
        path = f"{self.dir}/{name}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text + "\n")
        return path

    def config(self, bot=False, **more):
        slack = {"signing_secret": self.secret("slack.secret", SECRET), "api": f"{self.url}/api", "hooks": [self.url]}
        if bot:
            slack.update(bot_token=self.secret("slack.token", BOT_TOKEN), channel="C1")
        mattermost = {"token": self.secret("mm.token", MM_TOKEN), "site": self.url}
        allow = [{"env": "*", "via": "slack", "team": "T1", "channels": ["C1"], "verbs": ["*"]},
                 {"env": "*", "via": "mattermost", "verbs": ["*"]}]
        return dict({"slack": slack, "mattermost": mattermost, "allow": allow}, **more)

    def write_config(self, root, **more):
        """ROOT/serve.yml; JSON is YAML."""
        with open(os.open(f"{root}/serve.yml", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump(self.config(**more), f)

    # ---- what Slack sends

    def signed(self, server, path, body, stamp=None, secret=SECRET, signature=None):
        """(status, answer, seconds) of one signed request."""
        return send(server.url + path, body.encode(), self.sign(body, stamp, secret, signature))

    def sign(self, body, stamp=None, secret=SECRET, signature=None):
        """The headers of a signed request."""
        stamp = str(int(time.time())) if stamp is None else str(stamp)
        mac = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
        return {"Content-Type": "application/x-www-form-urlencoded", "X-Slack-Request-Timestamp": stamp,
                "X-Slack-Signature": signature or f"v0={mac}"}

    def form(self, text, user="ann", **more):
        fields = {"token": "x", "team_id": "T1", "team_domain": "example", "channel_id": "C1", "channel_name": "ops",
                  "user_id": f"U{user.upper()}", "user_name": user, "command": "/release", "text": text,
                  "response_url": f"{self.url}/commands/T1/{user}/{time.monotonic_ns()}", "trigger_id": "1.2.3"}
        return urllib.parse.urlencode(dict(fields, **more))

    def type(self, server, text, user="ann", **more):
        """Types `/release TEXT`; returns the text that is shown: at once, or, when the machine is slow, as it follows."""
        self.n += 1
        path = f"/commands/T1/{user}/{self.n}-{time.monotonic_ns()}"
        status, answer, seconds = self.signed(server, "/chat/slack/command",
                                              self.form(text, user, **dict({"response_url": self.url + path}, **more)))
        assert status == 200, (status, answer)
        assert seconds < 3, f"'{text}' was answered after {seconds:.1f} s; Slack waits for 3"
        if "the answer follows" not in answer["text"]:
            return answer["text"]
        wait_for("the late answer", lambda: [m for m in list(self.said) if m["to"] == path], seconds=30)
        return [m for m in self.said if m["to"] == path][0]["text"]

    def press(self, server, action, code, user="bob"):
        payload = {"type": "block_actions", "user": {"id": f"U{user.upper()}", "username": user, "team_id": "T1"},
                   "team": {"id": "T1"}, "channel": {"id": "C1"}, "response_url": f"{self.url}/actions/{user}",
                   "actions": [{"type": "button", "action_id": action, "value": code}]}
        status, answer, _ = self.signed(server, "/chat/slack/action",
                                        urllib.parse.urlencode({"payload": json.dumps(payload)}))
        assert status == 200, (status, answer)
        return answer["text"]

    def mattermost(self, server, text, user="ann", token=MM_TOKEN):
        body = urllib.parse.urlencode({"token": token, "team_id": "t1", "channel_id": "c1", "user_id": f"m{user}",
                                       "user_name": user, "command": "/release", "text": text,
                                       "response_url": f"{self.url}/hooks/commands/x"})
        return send(server.url + "/chat/mattermost/command", body.encode(),
                    {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Token {token}"})

    # ---- what was said

    def forget(self):
        with self.lock:
            self.said.clear()

    def wait_said(self, words, where=None, seconds=60):
        """The first message that holds all the words."""
        where = self.said if where is None else where

        def find():
            with self.lock:
                return next((m for m in where if all(w in json.dumps(m) for w in words)), None)
        wait_for(f"the room hears {words}", find, seconds=seconds)
        return find()

    def code_of(self, message):
        return next(b["value"] for block in message["blocks"] if block["type"] == "actions" for b in block["elements"])


def send(url, body, headers):
    began = time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        status, text = e.code, e.read().decode()
    try:
        return status, json.loads(text), time.monotonic() - began
    except ValueError:
        return status, text, time.monotonic() - began
