# SPDX-License-Identifier: MIT
"""A strict stand-in for the NITRO REST API of NetScaler ADCs, after the vendor's public reference: what a release asks,
and what the clients of tests/live/test_netscaler.py ask. It takes no attribute, argument, action or type of content
that the reference does not name, answers with its statuses and errorcodes, and tells numbers of statistics as texts.

    world = World(); Appliance(world, "ns1").serve(host, port)         python3 nitro.py DIRECTORY PORT...
"""
import http.server
import json
import secrets
import ssl
import sys
import threading
import time
import urllib.parse

UP, DOWN = "UP", "DOWN"
SESSIONS_MAX = 20  # at once, for one user
ATTRIBUTES = {
    ("servicegroup", "disable"): ({"servicegroupname": str}, {"servername": str, "port": int, "delay": int, "graceful": str}),
    ("servicegroup", "enable"): ({"servicegroupname": str}, {"servername": str, "port": int}),
    ("service", "disable"): ({"name": str}, {"delay": int, "graceful": str}),
    ("service", "enable"): ({"name": str}, {}),
    ("server", "disable"): ({"name": str}, {"delay": int, "graceful": str}),
    ("server", "enable"): ({"name": str}, {}),
    ("nsconfig", "save"): ({}, {"all": bool}),
}
BINDING = "servicegroup_servicegroupmember_binding"


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Entity:
    """A service, or a member of a service group: what an address answers, and what an administrator wants of it."""

    def __init__(self, name, server, ip, port, group=None, weight=1):
        self.name, self.server, self.ip, self.port, self.group, self.weight = name, server, ip, port, group, weight
        self.health, self.clients, self.requests = UP, 0, 0
        self.enable()

    def enable(self):
        self.enabled, self.graceful, self.delay, self.until, self.off = True, False, 0, None, False

    def disable(self, delay, graceful):
        """Without grace and delay: at once. Gracefully: when nobody is connected any more, after `delay` in any case."""
        self.enabled, self.graceful, self.delay = False, graceful, delay or 0
        self.until = time.monotonic() + delay if delay else None
        self.off = not graceful and not delay
        self.settle()

    def settle(self):
        if not self.enabled and not self.off:
            over = self.until is not None and time.monotonic() >= self.until
            self.off = over or (self.graceful and self.clients == 0)
        if self.off:
            self.clients = 0  # what still ran was cut

    def state(self):
        self.settle()
        if self.enabled:
            return self.health
        return "OUT OF SERVICE" if self.off else "GOING OUT OF SERVICE" if self.health == UP else "DOWN WHEN GOING OUT OF SERVICE"

    def admin(self):
        return "ENABLED" if self.enabled else "DISABLED"


class World:
    """The configuration that the nodes of a pair share, and how they misbehave."""

    def __init__(self):
        self.lock = threading.RLock()
        self.servers, self.services, self.groups = {}, {}, {}
        self.users = {"release": {"password": "s3cret-NS", "may": ("show", "stat", "enable", "disable")},
                      "viewer": {"password": "look-only", "may": ("show", "stat")}}

    def server(self, name, ip):
        self.servers[name] = {"name": name, "ipaddress": ip, "state": "ENABLED"}

    def member(self, group, server, port, weight=1):
        members = self.groups.setdefault(group, [])
        members.append(Entity(None, server, self.servers[server]["ipaddress"], port, group, weight))
        return members[-1]

    def service(self, name, server, port):
        self.services[name] = Entity(name, server, self.servers[server]["ipaddress"], port)
        return self.services[name]

    def entities(self):
        return list(self.services.values()) + [m for g in self.groups.values() for m in g]

    def of_server(self, name):
        return [e for e in self.entities() if e.server == name]


def number(value):
    return str(value)


class Appliance:
    def __init__(self, world, name="ns1"):
        self.world, self.name = world, name
        self.sessions, self.asked, self.fault, self.times, self.ha = {}, [], "", None, None  # ha: None, "Primary", "Secondary", ...
        self.servers = []

    # ---- sessions

    def token_of(self, headers):
        cookies = [c.strip() for c in headers.get("Cookie", "").split(";")]
        return next((urllib.parse.unquote(c.split("=", 1)[1]) for c in cookies if c.startswith("NITRO_AUTH_TOKEN=")), None)

    def user_of(self, headers):
        token = self.token_of(headers)
        if token is None and "X-NITRO-USER" in headers:
            return self.login_user(headers["X-NITRO-USER"], headers.get("X-NITRO-PASS"))
        session = self.sessions.get(token)
        if session is None or session["until"] < time.monotonic():
            self.sessions.pop(token, None)
            raise Refused(401, 444, "Session expired or killed. Please login again")
        session["until"] = time.monotonic() + session["timeout"]
        return session["user"]

    def login_user(self, name, password):
        if name not in self.world.users or self.world.users[name]["password"] != password:
            raise Refused(401, 354, "Invalid username or password")
        return name

    def login(self, body):
        given = self.checked(body, "login", {"username": str, "password": str}, {"timeout": int})
        user = self.login_user(given["username"], given["password"])
        if sum(s["user"] == user for s in self.sessions.values()) >= SESSIONS_MAX:
            raise Refused(401, 445, "Maximum number of sessions for this user are open")
        token = "##" + secrets.token_hex(32).upper()
        timeout = given.get("timeout", 900)
        self.sessions[token] = {"user": user, "timeout": timeout, "until": time.monotonic() + timeout}
        return 201, {"sessionid": token}, {"Set-Cookie": f"NITRO_AUTH_TOKEN={urllib.parse.quote(token)}; Path=/nitro/v1; HttpOnly"}

    # ---- POST

    @staticmethod
    def checked(body, kind, required, optional):
        if set(body) != {kind} or not isinstance(body[kind], dict):
            raise Refused(400, 1240, f"Invalid POST request: wanted one object '{kind}'")
        for key, value in body[kind].items():
            wanted = {**required, **optional}.get(key)
            if wanted is None:
                raise Refused(400, 278, f"Invalid argument [{key}]")
            if type(value) is not wanted or (key == "graceful" and value not in ("YES", "NO")) or (
                    key == "port" and not 1 <= value <= 65535):
                raise Refused(400, 1097, f"Invalid argument value [{key}]")
        for key in required:
            if key not in body[kind]:
                raise Refused(400, 1095, f"Required argument missing [{key}]")
        return body[kind]

    def may(self, user, verb, what):
        if verb not in self.world.users[user]["may"]:
            raise Refused(403, 2138, f"Not authorized to execute this command [{verb} {what}]")

    def act(self, user, kind, action, body):
        if (kind, action) not in ATTRIBUTES:
            raise Refused(400, 1090, f"Invalid value [action, {action}] for {kind}")
        given = self.checked(body, kind, *ATTRIBUTES[kind, action])
        self.may(user, action, " ".join([kind] + [str(v) for v in given.values()]))
        if kind == "nsconfig":
            return
        for e in self.named(kind, given):
            e.disable(given.get("delay"), given.get("graceful") == "YES") if action == "disable" else e.enable()
        if kind == "server":
            self.world.servers[given["name"]]["state"] = "DISABLED" if action == "disable" else "ENABLED"

    def named(self, kind, given):
        w = self.world
        if kind == "server":
            if given["name"] not in w.servers:
                raise Refused(404, 258, f"No such resource [name, {given['name']}]")
            return w.of_server(given["name"])
        if kind == "service":
            if given["name"] not in w.services:
                raise Refused(404, 344, "No Service")
            return [w.services[given["name"]]]
        members = w.groups.get(given["servicegroupname"])
        if members is None:
            raise Refused(404, 258, f"No such resource [serviceGroupName, {given['servicegroupname']}]")
        if ("servername" in given) != ("port" in given):
            raise Refused(400, 1093, "Argument pre-requisite missing [serverName, port]")
        if "servername" not in given:
            return members
        found = [m for m in members if (m.server, m.port) == (given["servername"], given["port"])]
        if not found:
            raise Refused(404, 344, "No Service")
        return found

    # ---- GET

    def member_row(self, m):
        row = {"servicegroupname": m.group, "ip": m.ip, "port": m.port, "svrstate": m.state(), "statechangetimesec":
               "Fri Nov 27 07:00:00 2026", "tickssincelaststatechange": "6000", "weight": number(m.weight), "servername": m.server,
               "customserverid": "None", "serverid": "0", "state": m.admin(), "hashid": "0", "graceful": "YES" if m.graceful
               else "NO", "delay": m.delay, "delay1": 0, "nodefaultbindings": "NO", "trofsdelay": "0"}
        if self.fault == "partial":  # an older firmware, or an answer that was cut in a valid place
            del row["svrstate"]
        return row

    @staticmethod
    def service_row(s):
        return {"name": s.name, "servername": s.server, "ipaddress": s.ip, "port": s.port, "servicetype": "HTTP",
                "svrstate": s.state(), "state": s.admin(), "maxclient": "0", "monstate": "ENABLED", "graceful": "NO"}

    @staticmethod
    def stat_row(e, names):
        return {**names, "avgsvrttfb": "0", "primaryipaddress": e.ip, "primaryport": e.port, "servicetype": "HTTP",
                "state": e.state(), "totalrequests": number(e.requests), "requestsrate": 0, "curclntconnections":
                number(e.clients), "surgecount": "0", "cursrvrconnections": number(e.clients), "svrestablishedconn":
                number(e.clients), "curreusepool": "0", "maxclients": "0"}

    def server_binding(self, name):
        row = {"name": name}
        for e in self.world.of_server(name):
            kind, key = (("server_servicegroup_binding", "servicegroupname") if e.group else
                         ("server_service_binding", "servicename"))
            row.setdefault(kind, []).append({"name": name, key: e.group or e.name, "port": e.port, "svrstate": e.state(),
                                             "serviceipaddress": e.ip})
        return row

    def group_named(self, name):
        if name not in self.world.groups:
            raise Refused(404, 258, f"No such resource [serviceGroupName, {name}]")
        return self.world.groups[name]

    def config(self, kind, name, query):
        w = self.world
        if kind == BINDING:
            if name is None and query != {"bulkbindings": "yes"}:
                raise Refused(400, 1095, "Required argument missing [serviceGroupName]")
            groups = w.groups.values() if name is None else [self.group_named(name)]
            return [self.member_row(m) for g in groups for m in g]
        if kind == "server_binding":
            if name is None and query != {"bulkbindings": "yes"}:
                raise Refused(400, 1095, "Required argument missing [name]")
            if name is not None and name not in w.servers:
                raise Refused(404, 258, f"No such resource [name, {name}]")
            return [self.server_binding(n) for n in (w.servers if name is None else [name])]
        if kind == "servicegroup":
            names = list(w.groups) if name is None else [name]
            return [{"servicegroupname": n, "servicetype": "HTTP", "state": "ENABLED", "servicegroupeffectivestate":
                     UP if any(m.state() == UP for m in self.group_named(n)) else DOWN, "monstate": "ENABLED",
                     "healthmonitor": "YES"} for n in names]
        if kind == "service":
            if name is not None and name not in w.services:
                raise Refused(404, 344, "No Service")
            return [self.service_row(s) for n, s in w.services.items() if name in (None, n)]
        if kind == "server":
            if name is not None and name not in w.servers:
                raise Refused(404, 258, f"No such resource [name, {name}]")
            return [dict(s, ipv6address="NO", td="0") for n, s in w.servers.items() if name in (None, n)]
        if kind == "hanode" and name is None:
            return [{"id": "0", "name": self.name, "hastatus": "UP", "state": self.ha or "Primary"}]
        raise Refused(400, 1232, f"Invalid object name [{kind}]")

    def stat(self, kind, name, query):
        w = self.world
        if kind == "hanode":
            return {"hacurstatus": "YES" if self.ha else "NO", "hacurstate": UP, "hacurmasterstate": self.ha or "Primary",
                    "transtime": "Fri Nov 27 06:00:00 2026", "haerrsyncfailure": "0", "haerrproptimeout": "0"}
        if kind == "service":
            if name is not None and name not in w.services:
                raise Refused(404, 344, "No Service")
            return [self.stat_row(s, {"name": n}) for n, s in w.services.items() if name in (None, n)]
        if kind == "servicegroup" and name is not None:
            row = {"servicegroupname": name, "servicetype": "HTTP", "state": "ENABLED"}
            if query.get("statbindings") == "yes":
                row["servicegroupmember"] = [self.stat_row(m, {"servicegroupname": f"{m.group}?{m.server}?{m.port}"})
                                             for m in self.group_named(name)]
            self.group_named(name)
            return [row]
        raise Refused(400, 1232, f"Invalid object name [{kind}]")

    def get(self, user, area, kind, name, query):
        allowed = {"config": {"attrs", "count", "filter", "view", "pagesize", "pageno", "bulkbindings"},
                   "stat": {"args", "statbindings"}}[area]
        for key in query:
            if key not in allowed:
                raise Refused(400, 278, f"Invalid argument [{key}]")
        self.may(user, "show" if area == "config" else "stat", kind)
        rows = getattr(self, area)(kind, name, query)
        attrs = query.get("attrs")
        if attrs and not kind.endswith("_binding"):
            wanted = attrs.split(",")
            if any(a not in row for row in rows for a in wanted):
                raise Refused(400, 278, f"Invalid argument [{attrs}]")
            rows = [{k: row[k] for k in wanted} for row in rows]
        return {kind: rows} if rows else {}

    # ---- HTTP

    def answer(self, method, path, headers, text):
        """(status, headers, body as JSON)."""
        url = urllib.parse.urlsplit(path)
        parts = [urllib.parse.unquote(p) for p in url.path.strip("/").split("/")]
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
        if parts[:2] != ["nitro", "v1"] or len(parts) not in (4, 5) or parts[2] not in ("config", "stat"):
            raise Refused(404, 1, "Not found")
        area, kind, name = parts[2], parts[3], parts[4] if len(parts) == 5 else None
        if method == "POST":
            plain = ("application/json", f"application/vnd.com.citrix.netscaler.{kind}+json")
            if headers.get("Content-Type", "").split(";")[0] not in plain:
                raise Refused(415, 1243, "Unsupported content type")
            body = json.loads(text)
            if not isinstance(body, dict):
                raise Refused(400, 1240, "Invalid POST request")
            if (area, kind, name) == ("config", "login", None) and not query:
                return self.login(body)
            user = self.user_of(headers)
            if (area, kind, name) == ("config", "logout", None) and not query:
                self.checked(body, "logout", {}, {})
                self.sessions.pop(self.token_of(headers), None)
                return 201, {}, {}
            if area != "config" or name is not None or set(query) != {"action"}:
                raise Refused(400, 1240, "Invalid POST request")
            self.act(user, kind, query["action"], body)
            return 200, {}, {}
        if method != "GET":
            raise Refused(405, 1241, f"Method {method} is not allowed here")
        return 200, self.get(self.user_of(headers), area, kind, name, query), {}

    def handle(self, method, path, headers, text):
        with self.world.lock:
            shown = json.loads(text) if text and path != "/nitro/v1/config/login" else None
            self.asked.append({"method": method, "path": path, "body": shown, "type": headers.get("Content-Type") if text else None})
            try:
                status, more, out = self.answer(method, path, headers, text)
                return status, {"errorcode": 0, "message": "Done", "severity": "NONE", **more}, out
            except Refused as r:
                return r.status, {"errorcode": r.code, "message": r.message, "severity": "ERROR"}, {}
            except (ValueError, KeyError) as error:
                return 400, {"errorcode": 1240, "message": f"Invalid request: {error}", "severity": "ERROR"}, {}

    def serve(self, host, port, certificate=None):
        server = http.server.ThreadingHTTPServer((host, port), handler_of(self))
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.servers.append(server)
        return self

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.servers.clear()

    def order(self, what):
        """For tests in other languages: one order by POST /order."""
        w = self.world
        for key, value in what.items():
            if key == "fault":
                self.fault = value
            elif key == "ha":
                self.ha = value
            elif key == "forget":  # a restart: what was not saved is gone
                for e in w.entities():
                    e.enable()
            elif key == "expire":
                self.sessions.clear()
            elif key == "crowd":  # somebody else's sessions, all that there may be
                self.sessions = {f"##{i}": {"user": "release", "timeout": 900, "until": time.monotonic() + 900}
                                 for i in range(SESSIONS_MAX)}
            elif key == "clients":
                for e in w.of_server(value[0]):
                    e.clients = value[1]
            elif key == "health":
                for e in w.of_server(value[0]):
                    e.health = value[1]
            elif key == "server_off":
                w.servers[value]["state"] = "DISABLED"
                for e in w.of_server(value):
                    e.disable(None, False)
            elif key == "server_on":
                w.servers[value]["state"] = "ENABLED"
                for e in w.of_server(value):
                    e.enable()
            elif key == "member":
                w.member(*value)
        return {"asked": len(self.asked), "sessions": len(self.sessions), "last": self.asked[-8:],
                "state": {f"{m.group}/{m.server}:{m.port}": m.state() for g in w.groups.values() for m in g}}


def handler_of(appliance):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def say(self, status, body, headers, kind="application/json; charset=utf-8"):
            self.send_response(status)
            for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def misbehave(self):
            fault = appliance.fault
            if fault and appliance.times is not None:  # so often, and then well again
                appliance.times -= 1
                if appliance.times <= 0:
                    appliance.fault, appliance.times = "", None
            if fault == "html":
                self.say(200, b"<html><body>Please log in</body></html>", {}, "text/html")
            elif fault in ("429", "503"):
                self.say(int(fault), b"busy", {"Retry-After": "1"}, "text/plain")
            elif fault == "redirect":
                self.say(301, b"", {"Location": "https://elsewhere/"})
            elif fault == "drop":
                self.close_connection = True
            elif fault == "hang":
                time.sleep(30)
            elif fault == "flood":
                self.say(200, b'{"errorcode":0,"message":"' + b"x" * (100 << 20) + b'"}', {})
            return fault not in ("", "partial")

        def do(self):
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if self.path == "/order":
                return self.say(200, json.dumps(appliance.order(json.loads(text))).encode(), {"Connection": "close"})
            if self.misbehave():
                return None
            status, body, headers = appliance.handle(self.command, self.path, self.headers, text)
            return self.say(status, json.dumps(body).encode(), headers)

        do_GET = do_POST = do_PUT = do_DELETE = do

        def handle(self):
            try:
                super().handle()
            except (OSError, ssl.SSLError):  # clients that had enough
                pass

        def log_message(self, *_):
            pass
    return Handler


def shop(world, names=("app1", "app2", "app3")):
    """A small site: group shop (port 80), group double (two ports of app1), services svc-appN."""
    for i, name in enumerate(names, 1):
        world.server(name, f"10.0.{i // 250}.{i % 250 + 1}")
        world.member("shop", name, 80)
        world.service(f"svc-{name}", name, 8080)
    world.member("double", names[0], 81)
    world.member("double", names[0], 82)


def main():
    """One port: an appliance of its own. Three: two of one pair, and one with 1,000 servers."""
    if len(sys.argv) == 2:
        world = World()
        shop(world)
        Appliance(world, "ns1").serve("127.0.0.1", int(sys.argv[1]))
        threading.Event().wait()
    pair, large = World(), World()
    shop(pair)
    shop(large, [f"web{i}" for i in range(1000)])
    one, other = Appliance(pair, "ns1"), Appliance(pair, "ns2")
    one.ha, other.ha = "Primary", "Secondary"
    for appliance, port in zip((one, other, Appliance(large, "ns3")), sys.argv[1:]):
        appliance.serve("127.0.0.1", int(port))
    threading.Event().wait()


if __name__ == "__main__":
    main()
