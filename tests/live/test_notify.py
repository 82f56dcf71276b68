# SPDX-License-Identifier: MIT
"""Webhooks get Slack-compatible JSON at start and end; a dead webhook never stops a release."""
import http.server
import json
import threading

from scene import expect_world, release, run

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}


class Hook(http.server.BaseHTTPRequestHandler):
    seen = []

    def do_POST(self):
        Hook.seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


def test_started_and_finished(fleet):
    server = http.server.ThreadingHTTPServer((f"{fleet.net}.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://{fleet.net}.1:{server.server_port}/hooks/x"
    fleet.write_pillar(extra=f'  notify: [{{webhook: "{url}", events: [started, finished, failed, lock]}}]\n')
    release(fleet, "v2")
    run(fleet, "lock", "prod", "--reason", "database move")
    run(fleet, "unlock", "prod")
    server.shutdown()
    assert len(Hook.seen) == 4, Hook.seen
    assert "started" in Hook.seen[0]["text"] and "finished: 2 on" in Hook.seen[1]["text"], Hook.seen
    assert "database move" in Hook.seen[2]["text"] and "freed by" in Hook.seen[3]["text"], Hook.seen
    assert all("text" in message and "prod" in message["text"] for message in Hook.seen), Hook.seen


def test_dead_webhook_is_no_reason_to_fail(fleet):
    fleet.write_pillar(extra=f'  notify: [{{webhook: "http://{fleet.net}.1:9/", events: [started, finished]}}]\n')
    release(fleet, "v7")
    expect_world(fleet, "v7")
