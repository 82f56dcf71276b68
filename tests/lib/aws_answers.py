# SPDX-License-Identifier: MIT
"""Answers as a test says, in the place of AWS, of a container's agent or of an instance's metadata: aws_answers.py HOST PORT

    POST /order {"rules": [{"when": "Action=AssumeRole", "status": 200, "body": "<...>", "times": 2}]}    answers with what was asked since

A rule is for requests (method, path, headers, body) that hold `when`; the first that has `times` left is taken. Status 0 hangs up."""
import http.server
import json
import sys
import threading


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
            return 200, said
        head = "".join(f"{k}: {v}\n" for k, v in self.headers.items())
        found = self.rule(f"{self.command} {self.path}\n{head}\n{body}")
        return found["status"], found["body"]

    def do_GET(self):
        status, text = self.answer()
        self.close_connection = True
        if status == 0:
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Answers)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
