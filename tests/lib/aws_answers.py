# SPDX-License-Identifier: MIT
"""Answers as a test says, in the place of AWS, of a container's agent or of an instance's metadata: aws_answers.py HOST PORT

    POST /order {"rules": [{"when": "Action=AssumeRole", "status": 200, "body": "<...>", "times": 2}]}    answers with what was asked since

A rule is for requests (method, path, headers, body) that hold `when`; the first that has `times` left is taken. Status 0 hangs up.
`repeat`: the body that many times; `date`: its header, this many seconds off."""
import http.server
import json
import sys
import threading
import time
from email.utils import formatdate


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock, rules, asked = threading.Lock(), [], []

    def rule(self, text):
        with self.lock:
            self.asked.append(text)
            found = next((r for r in self.rules if r["when"] in text and r.get("times", 1) > 0), None)
            if found and "times" in found:
                found["times"] -= 1
            return found or {"status": 404, "body": "no rule"}

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.path == "/order":
            with self.lock:
                said, Answers.asked = json.dumps(self.asked), []
                Answers.rules = json.loads(body)["rules"]
            return {"status": 200, "body": said}
        head = "".join(f"{k}: {v}\n" for k, v in self.headers.items())
        return self.rule(f"{self.command} {self.path}\n{head}\n{body}")

    def do_GET(self):
        said = self.answer()
        part, times = said["body"].encode(), said.get("repeat", 1)
        self.close_connection = True
        if said["status"] == 0:
            return
        self.send_response_only(said["status"])
        self.send_header("Date", formatdate(time.time() + said.get("date", 0), usegmt=True))
        self.send_header("Content-Length", str(len(part) * times))
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.wfile.write(part * times)
        except OSError:
            pass  # whoever asked has read enough

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Answers)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
