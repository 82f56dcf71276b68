# SPDX-License-Identifier: MIT
"""A strict stand-in for the API of NGINX Plus, after its published description (versions 2 to 9): upstreams and their servers, as a
release asks for them and as the client of tests/live/test_nginx_plus.py does. It takes no path, method, parameter or type of a value
that the description does not name, and answers with its statuses, error codes and objects.

    python3 nginx_plus.py PORT...      each an instance of its own; POST /order {"...": ...} for tests in other languages
"""
import http.server
import json
import secrets
import sys
import threading
import urllib.parse

UP, DOWN = "UP", "DOWN"  # in the words of netscaler.Front, which brings the traffic
HREF = "https://nginx.org/en/docs/http/ngx_http_api_module.html"
# What a PATCH of a server may have: its type. Booleans also come as texts from the vendor's own Python client.
PATCHED = {"server": str, "weight": int, "max_conns": int, "max_fails": int, "fail_timeout": str, "slow_start": str, "route": str,
           "down": bool, "drain": bool}


class Refused(Exception):
    def __init__(self, status, code, text):
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class Server:
    def __init__(self, number, ip, port, **more):
        self.ip, self.port, self.clients, self.requests, self.health = ip, port, 0, 0, UP
        self.responses, self.fails = {"1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0}, 0
        self.name = more.pop("name", f"{ip}:{port}")
        self.was = {"id": number, "server": f"{ip}:{port}", "weight": 1, "max_conns": 0, "max_fails": 1, "fail_timeout": "10s",
                    "slow_start": "0s", "route": "", "backup": False, "down": False, **more}
        self.reload()

    def reload(self):
        """What stands in the configuration; there is no `state` file."""
        self.conf = dict(self.was)

    def settle(self):
        """For netscaler.Front."""

    def state(self):
        return UP if self.shown() == "up" else DOWN

    def shown(self):
        return ("down" if self.conf["down"] else "unhealthy" if self.health != UP else
                "draining" if self.conf.get("drain") else "up")

    def peer(self):
        total = self.requests
        return {"id": self.conf["id"], "server": self.conf["server"], "name": self.name, "backup": self.conf["backup"],
                "weight": self.conf["weight"], "state": self.shown(), "active": self.clients, "requests": total,
                "header_time": 20, "response_time": 36,
                "responses": {**self.responses, "codes": {}, "total": sum(self.responses.values())}, "sent": 0, "received": 0,
                "fails": self.fails, "unavail": 0, "health_checks": {"checks": 4, "fails": 0, "unhealthy": 0, "last_passed": True},
                "downtime": 0, "selected": "2026-11-27T15:01:25.000Z"}


class Plus:
    """One nginx. `groups` and `lock` are what netscaler.Front knows of a world."""

    def __init__(self, versions=range(1, 10), write=True):
        self.lock, self.groups, self.static = threading.RLock(), {}, set()
        self.versions, self.write, self.asked, self.fault, self.stubborn = list(versions), write, [], "", False
        self.login = self.server = None  # login: the text of an Authorization that is wanted

    def add(self, upstream, ip, port, **more):
        servers = self.groups.setdefault(upstream, [])
        servers.append(Server(len(servers), ip, port, **more))
        return servers[-1]

    def reload(self):
        for servers in self.groups.values():
            for s in servers:
                s.reload()

    # ---- upstreams

    def shown(self, name):
        return {"peers": [s.peer() for s in self.groups[name]], "keepalive": 0, "zombies": 0, "zone": name}

    def conf_of(self, name):
        if name not in self.groups:
            raise Refused(404, "UpstreamNotFound", "upstream not found")
        if name in self.static:
            raise Refused(400, "UpstreamStatic", "upstream is static")
        return self.groups[name]

    def server_of(self, name, number):
        servers = self.conf_of(name)
        if not number.isdigit():
            raise Refused(400, "UpstreamBadServerId", "invalid server ID")
        found = [s for s in servers if s.conf["id"] == int(number)]
        if not found:
            raise Refused(404, "UpstreamServerNotFound", f'server with ID "{number}" does not exist')
        return found[0]

    @staticmethod
    def value_of(key, value):
        wanted = PATCHED.get(key)
        if wanted is None:
            raise Refused(400, "UpstreamConfFormatError", f'unknown parameter "{key}"')
        if isinstance(value, (dict, list)):
            raise Refused(400, "UpstreamConfFormatError", "nested object or list")
        if wanted is bool and value in ("true", "false"):
            value = value == "true"
        if type(value) is not wanted:
            raise Refused(400, "UpstreamConfFormatError", f'invalid "{key}" value')
        if key == "weight" and not 1 <= value <= 65535:
            raise Refused(400, "UpstreamBadWeight", 'invalid "weight"')
        return value

    def patch(self, server, text):
        try:
            body = json.loads(text)
        except ValueError:
            raise Refused(415, "JsonError", "json error") from None
        if not isinstance(body, dict):
            raise Refused(400, "UpstreamConfFormatError", "nested object or list")
        new = {key: self.value_of(key, value) for key, value in body.items()}
        if new.get("down") is False and "drain" not in new and not self.stubborn:
            new["drain"] = False
        server.conf.update(new)
        if not server.conf.get("drain"):
            server.conf.pop("drain", None)
        return dict(server.conf)

    # ---- HTTP

    def answer(self, method, path, text):
        url = urllib.parse.urlsplit(path)
        parts = [urllib.parse.unquote(p) for p in url.path.strip("/").split("/")]
        if parts[0] != "api":
            raise Refused(404, "PathNotFound", "path not found")
        if len(parts) == 1:
            return self.versions
        if not parts[1].isdigit() or int(parts[1]) not in self.versions:
            raise Refused(404, "UnknownVersion", "unknown version")
        if method in ("POST", "PATCH", "DELETE") and not self.write:
            raise Refused(405, "MethodDisabled", "method disabled")
        if len(parts) == 2 and method == "GET":
            return ["nginx", "processes", "connections", "slabs", "http", "stream", "resolvers", "ssl"]
        if parts[2:4] != ["http", "upstreams"] or len(parts) > 7 or (len(parts) > 5 and parts[5] != "servers"):
            raise Refused(404, "PathNotFound", "path not found")
        rest = parts[4:]
        if not rest and method == "GET":
            return {name: self.shown(name) for name in self.groups}
        if len(rest) == 1 and method == "GET":
            if rest[0] not in self.groups:
                raise Refused(404, "UpstreamNotFound", "upstream not found")
            return self.shown(rest[0])
        if len(rest) == 2 and method == "GET":
            return [dict(s.conf) for s in self.conf_of(rest[0])]
        if len(rest) == 3 and method == "GET":
            return dict(self.server_of(rest[0], rest[2]).conf)
        if len(rest) == 3 and method == "PATCH":
            return self.patch(self.server_of(rest[0], rest[2]), text)
        raise Refused(405, "MethodNotSupported", "method not supported")

    def handle(self, method, path, headers, text):
        """(status, type, text)"""
        with self.lock:
            self.asked.append({"method": method, "path": path, "body": text})
            if self.login and headers.get("Authorization") != self.login:
                return 401, "text/html", "<html><head><title>401 Authorization Required</title></head></html>"
            if self.fault:
                status, text = {"html": (200, "<html>Please log in</html>"), "503": (503, "busy"), "429": (429, "slow down"),
                                "flood": (200, "[" + "1," * (5 << 20) + "1]"), "strange": (200, "[7]")}[self.fault]
                return status, "text/html", text
            try:
                return 200, "application/json", json.dumps(self.answer(method, path, text))
            except Refused as r:
                return r.status, "application/json", json.dumps({
                    "error": {"status": r.status, "text": r.text, "code": r.code}, "request_id": secrets.token_hex(16), "href": HREF})

    def order(self, what):
        for key, value in what.items():
            if key == "reload":
                self.reload()
            elif key in ("clients", "health", "fails"):  # [upstream, which, value]
                setattr(self.groups[value[0]][value[1]], key, value[2])
            elif key == "5xx":
                self.groups[value[0]][value[1]].responses["5xx"] = value[2]
            elif key == "static":
                self.static = set(value)
            elif key == "versions":
                self.versions = value
            elif key in ("write", "fault", "stubborn"):
                setattr(self, key, value)
        return {"servers": {f"{name}/{s.conf['server']}": f"{s.shown()} {s.conf['weight']}" for name, g in self.groups.items() for s in g},
                "asked": len(self.asked), "last": self.asked[-30:]}

    def serve(self, host, port):
        self.server = http.server.ThreadingHTTPServer((host, port), handler_of(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def handler_of(plus):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self):
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if self.path == "/order":
                with plus.lock:
                    status, kind, out = 200, "application/json", json.dumps(plus.order(json.loads(text)))
            else:
                status, kind, out = plus.handle(self.command, self.path, self.headers, text)
            body = out.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = do

        def log_message(self, *_):
            pass

        def handle_one_request(self):
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

    return Handler


def main():
    for port in sys.argv[1:]:
        plus = Plus()
        for i in (1, 2, 3):
            plus.add("shop", f"10.0.0.{i}", 8080, route="app3" if i == 3 else "", name="app2.example.org:8080" if i == 2 else f"10.0.0.{i}:8080")
        plus.add("shop", "10.0.0.4", 8080, down=True)
        plus.add("api", "10.0.0.1", 8080, weight=20)
        plus.serve("127.0.0.1", int(port))
    threading.Event().wait()


if __name__ == "__main__":
    main()
