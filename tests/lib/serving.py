# SPDX-License-Identifier: MIT
"""`release serve` for tests: over a fleet's journal or a directory of its own; requests whole, or byte by byte."""
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import shutil
import urllib.parse

from daemons import wait_for


class Place:
    """A root and a journal without a fleet."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="release-serve-")
        self.root, self.state = f"{self.dir}/root", f"{self.dir}/state/release.db"
        os.makedirs(f"{self.root}/pillar", mode=0o700)
        os.makedirs(f"{self.dir}/log")

    def write(self, path, text, mode=0o600):
        full = f"{self.root}/{path}"
        with open(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)
        os.chmod(full, mode)
        return full

    def argv(self, *args):
        return [os.environ.get("RELEASE_BIN", "release"), args[0], "--root", self.root, "--state", self.state, *args[1:]]

    def environ(self, **more):
        return dict(os.environ, **more)

    def release(self, *args, timeout=60):
        return subprocess.run(self.argv(*args), capture_output=True, text=True, timeout=timeout, cwd=self.dir,
                              stdin=subprocess.DEVNULL)

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Serving:
    """listen: where; args: more of the command line. As a context manager, or start() and stop() or kill()."""

    def __init__(self, place, *args, listen="127.0.0.1:0", tls=None, name="serve"):
        self.place, self.listen, self.args, self.tls, self.name = place, listen, args, tls, name
        self.process = None
        self.host, self.port = "127.0.0.1", 0

    def start(self):
        path = f"{self.place.dir}/log/{self.name}.err"
        with open(path, "w") as err:
            self.process = subprocess.Popen(self.place.argv("serve", "--listen", self.listen, *self.args), stderr=err,
                                            stdout=err, stdin=subprocess.DEVNULL, cwd=self.place.dir,
                                            env=self.place.environ())

        def look():
            assert self.process.poll() is None, self.log()
            return re.search(r"listening on (\S+) \((\S+):(\d+)\)", self.log())
        found = wait_for("the server listens", look, seconds=30)
        self.url, self.host, self.port = found[1], found[2], int(found[3])
        return self

    def log(self):
        with open(f"{self.place.dir}/log/{self.name}.err") as f:
            return f.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(timeout=30) == 0, self.log()
        bad = re.search(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|must\(.*failed", self.log())
        assert not bad, self.log()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind:
            self.kill()
            print(self.log())
        else:
            self.stop()

    def token(self, name, role, bot=False):
        result = self.place.release("token", "add", name, "--role", role, *["--bot"] * bot)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    # ---- whole requests

    def request(self, method, path, token=None, body=None, headers=None):
        """(status, headers, body bytes)"""
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self.tls:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=60, context=self.tls)
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path, token=None, **headers):
        """(status, JSON)"""
        status, _, body = self.request("GET", path, token, headers=headers)
        return status, json.loads(body)

    def post(self, path, token=None, headers=None, **body):
        headers = dict(headers or {}, **{"Content-Type": "application/json"})
        status, _, answer = self.request("POST", path, token, json.dumps(body), headers)
        return status, json.loads(answer) if answer.strip() else None

    def login(self, token):
        """(cookie, csrf) of a browser that logs in."""
        body = urllib.parse.urlencode({"token": token})
        status, headers, answer = self.request(
            "POST", "/login", body=body,
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"})
        assert status == 200, (status, answer)
        return headers["set-cookie"].split(";")[0], json.loads(answer)["csrf"]

    # ---- bytes

    def connect(self, timeout=15):
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def raw(self, data, timeout=15):
        """Sends bytes, reads until the server closes or is silent; what came back."""
        with self.connect(timeout) as s:
            s.sendall(data)
            got = b""
            try:
                while True:
                    chunk = s.recv(65536)
                    if not chunk:
                        return got
                    got += chunk
            except (socket.timeout, ConnectionResetError):
                return got
