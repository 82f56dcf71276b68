# SPDX-License-Identifier: MIT
"""A stand-in for a BIG-IP's iControl REST, strict, from F5's public documentation and what its own Python SDK demands: pools,
their members and statistics. python3 icontrol.py PORT CERT KEY MEMBER.. (pool "shop" of Common; user release, password sesame)."""
import base64
import http.server
import json
import ssl
import sys
import threading

LOGIN = "Basic " + base64.b64encode(b"release:sesame").decode()
POOL = "/mgmt/tm/ltm/pool/~Common~shop"
PATCHES = {"session": ("user-enabled", "user-disabled"), "state": ("user-up", "user-down")}
GUARD = threading.Lock()


class Member:
    def __init__(self, name):
        self.name, self.session, self.state, self.ratio, self.connections = name, "monitor-enabled", "up", 1, 0

    def json(self):
        return {"kind": "tm:ltm:pool:members:membersstate", "name": self.name, "partition": "Common", "fullPath": f"/Common/{self.name}",
                "generation": 1, "selfLink": f"https://localhost{POOL}/members/~Common~{self.name}?ver=13.1.0", "address": "127.0.0.1",
                "connectionLimit": 0, "ratio": self.ratio, "session": self.session, "state": self.state}

    def patch(self, body):
        for key, value in body.items():
            if key == "ratio":
                if not isinstance(value, int) or not 1 <= value <= 65535:
                    return f"01070326:3: Ratio {value} is out of range"
            elif value not in PATCHES.get(key, ()):
                return f'invalid value "{value}" for "{key}"' if key in PATCHES else f'one or more properties must be specified; "{key}" is unknown'
        self.ratio = body.get("ratio", self.ratio)
        # Enabled again, a monitored member says by whom.
        self.session = {"user-enabled": "monitor-enabled"}.get(body.get("session"), body.get("session")) or self.session
        self.state = {"user-up": "up"}.get(body.get("state"), body.get("state")) or self.state
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def wrong(self, status, text):
        self.answer(status, {"code": status, "message": text, "errorStack": [], "apiError": 3})

    def route(self, method):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != LOGIN:
            return self.wrong(401, "Authorization failed: no user authentication header or token detected.")
        with GUARD:
            return self.dispatch(method, self.path.partition("?")[0].rstrip("/"), body)

    def dispatch(self, method, path, body):
        members = self.server.members
        member = members.get(path.removeprefix(f"{POOL}/members/~Common~"))
        if method == "GET" and path == "/mgmt/tm/sys":
            return self.answer(200, {"kind": "tm:sys:syscollectionstate", "selfLink": "https://localhost/mgmt/tm/sys?ver=13.1.0", "items": []})
        if method == "GET" and path == POOL:
            return self.answer(200, {"kind": "tm:ltm:pool:poolstate", "name": "shop", "partition": "Common", "fullPath": "/Common/shop",
                                     "generation": 1, "selfLink": f"https://localhost{POOL}?ver=13.1.0", "loadBalancingMode": "round-robin",
                                     "membersReference": {"link": f"https://localhost{POOL}/members?ver=13.1.0", "isSubcollection": True}})
        if method == "GET" and path == f"{POOL}/members":
            return self.answer(200, {"kind": "tm:ltm:pool:members:memberscollectionstate",
                                     "selfLink": f"https://localhost{POOL}/members?ver=13.1.0", "items": [m.json() for m in members.values()]})
        if method == "GET" and path == f"{POOL}/members/stats":
            return self.answer(200, {"kind": "tm:ltm:pool:members:memberscollectionstats", "entries": {
                f"https://localhost{POOL}/members/~Common~{m.name}/stats": {"nestedStats": {"entries": {
                    "nodeName": {"description": f"/Common/{m.name.rpartition(':')[0]}"}, "port": {"value": int(m.name.rpartition(":")[2])},
                    "serverside.curConns": {"value": m.connections}}}} for m in members.values()}})
        if method == "GET" and member:
            return self.answer(200, member.json())
        if method == "GET" and path.startswith(f"{POOL}/members/"):  # as the device does, says F5's SDK
            return self.answer(200, {"kind": "tm:ltm:pool:members:membersstate", "generation": 1})
        if method == "PATCH" and member:
            if self.headers.get("Content-Type") != "application/json":
                return self.wrong(400, "Content-Type is not application/json")
            why = member.patch(json.loads(body))
            return self.wrong(400, why) if why else self.answer(200, member.json())
        return self.wrong(404, f'01020036:3: The requested object ({path}) was not found.')

    def do_GET(self):
        self.route("GET")

    def do_PATCH(self):
        self.route("PATCH")

    def log_message(self, *_):
        pass


def main(port, cert, key, *names):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    server.members = {name: Member(name) for name in names}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
