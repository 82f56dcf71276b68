# SPDX-License-Identifier: MIT
"""A region of AWS on this machine: moto holds its things, and a strict layer stands before it. Run by the private environment's Python:

    aws_world.py HOST PORT        one JSON line when it listens; POST /_world {...} from tests: see `control`

The layer does what moto does not: it recomputes each request's signature with botocore and refuses what differs, is too old, or has an
unknown or expired key; targets are `initial`, then healthy as their real health page says, and `draining` for the group's delay; faults.
Beside it stands a balancer that sends requests to the healthy targets of one group, as AWS's would."""
import http.client
import http.server
import io
import json
import sys
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEYS = {"AKIDWORLD": ("s3cret/World+Key", None, None)}  # id: (secret, token, "expired" or None)
INITIAL_S = 0.3
NAMESPACE = "{http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/}"


def error(status, code, text, service):
    if service == "ec2":
        return status, f"<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
    return status, (f'<ErrorResponse xmlns="http://x/"><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>'
                    "<RequestId>r-1</RequestId></ErrorResponse>")


class World:
    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()
        self.log, self.faults, self.skew_s, self.lag_s = [], [], 0, 0
        self.registered, self.draining = {}, {}  # (group, id): shown from; shown from, until, port
        self.health_of = {}  # id: host:port of its real server
        self.delay_s = {}

    # ---- signatures

    def judge(self, environ, body):
        """None, or (status, text)."""
        words = environ.get("HTTP_AUTHORIZATION", "")
        fields = dict(p.strip().partition("=")[::2] for p in words.partition(" ")[2].split(","))
        if not words.startswith("AWS4-HMAC-SHA256 ") or "Credential" not in fields:
            return error(403, "MissingAuthenticationToken", "Request is missing Authentication Token", "")
        key, _, region, service, _ = fields["Credential"].split("/")
        if key not in KEYS:
            return error(403, "InvalidClientTokenId", "The security token included in the request is invalid.", service)
        secret, token, expired = KEYS[key]
        if expired:
            return error(403, "ExpiredToken", "The security token included in the request is expired", service)
        if token != environ.get("HTTP_X_AMZ_SECURITY_TOKEN"):
            return error(403, "InvalidClientTokenId", "The security token included in the request is invalid.", service)
        date = environ.get("HTTP_X_AMZ_DATE", "")
        then = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs((self.now() - then).total_seconds()) > 300:
            return error(403, "SignatureDoesNotMatch", f"Signature expired: {date} is now earlier than it may be", service)
        names = fields["SignedHeaders"].split(";")
        request = botocore.awsrequest.AWSRequest("POST", f"http://{environ['HTTP_HOST']}{environ['PATH_INFO']}", data=body)
        for name in names:
            request.headers[name] = environ.get("CONTENT_TYPE" if name == "content-type" else "HTTP_" + name.upper().replace("-", "_"), "")
        request.context["timestamp"] = date
        auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials(secret and key, secret, token), service, region)
        canonical = auth.canonical_request(request)
        wanted = auth.signature(auth.string_to_sign(request, canonical), request)
        if not {"host", "x-amz-date"} <= set(names) or wanted != fields["Signature"]:
            return error(403, "SignatureDoesNotMatch",
                         "The request signature we calculated does not match the signature you provided.\n\n"
                         f"The Canonical String for this request should have been\n'{canonical}'", service)
        return None

    def now(self):
        return datetime.now(timezone.utc) + timedelta(seconds=self.skew_s)

    # ---- targets as time goes by

    def is_well(self, target):
        where = self.health_of.get(target)
        if not where:
            return False
        host, port = where.split(":")
        try:
            c = http.client.HTTPConnection(host, int(port), timeout=1)
            c.request("GET", "/health")
            return c.getresponse().status == 200
        except OSError:
            return False

    def note(self, action, form):
        """Registrations and deregistrations that moto took."""
        group, at = form.get("TargetGroupArn"), time.monotonic()
        n = 1
        while f"Targets.member.{n}.Id" in form:
            key = (group, form[f"Targets.member.{n}.Id"])
            if action == "RegisterTargets":
                self.registered[key] = at + self.lag_s
                self.draining.pop(key, None)
            else:
                self.draining[key] = (at + self.lag_s, at + self.delay_s.get(group, 300), form.get(f"Targets.member.{n}.Port", "80"))
            n += 1

    def targets(self, text, group):
        """DescribeTargetHealth's answer, with the states that moto does not have; a change is shown lag_s after it was made."""
        now = time.monotonic()
        ElementTree.register_namespace("", NAMESPACE.strip("{}"))
        root = ElementTree.fromstring(text)
        spaced = root.tag[:root.tag.index("}") + 1] if "}" in root.tag else ""
        members = root.find(f".//{spaced}TargetHealthDescriptions")
        for m in list(members):
            key = m.find(f"{spaced}Target/{spaced}Id").text
            health = m.find(f"{spaced}TargetHealth")
            shown = self.registered.get((group, key), 0)
            if now < shown:
                members.remove(m)
            fresh = now < shown + INITIAL_S
            if health.find(f"{spaced}State").text == "healthy":
                health.find(f"{spaced}State").text = "initial" if fresh else "healthy" if self.is_well(key) else "unhealthy"
        for (g, key), (shown, until, port) in self.draining.items():
            if g == group and now < until:
                m = ElementTree.SubElement(members, f"{spaced}member")
                t, h = ElementTree.SubElement(m, f"{spaced}Target"), ElementTree.SubElement(m, f"{spaced}TargetHealth")
                ElementTree.SubElement(t, f"{spaced}Id").text = key
                ElementTree.SubElement(t, f"{spaced}Port").text = port
                ElementTree.SubElement(h, f"{spaced}State").text = "healthy" if now < shown else "draining"
                ElementTree.SubElement(h, f"{spaced}Reason").text = "" if now < shown else "Target.DeregistrationInProgress"
        return ElementTree.tostring(root)

    # ---- one request

    def fault(self, action, region=""):
        with self.lock:
            for f in self.faults:
                if f.get("action") in (None, action) and f.get("region", region) == region and f.get("times", 1) > 0:
                    f["times"] = f.get("times", 1) - 1
                    return f
        return None

    def answer(self, environ):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["PATH_INFO"] == "/_world":
            return 200, json.dumps(self.control(json.loads(body)), default=str)
        form = dict(urllib.parse.parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        action = form.get("Action", "")
        judged = None if action == "AssumeRoleWithWebIdentity" else self.judge(environ, body)
        self.log.append({"action": action, "form": form, "agent": environ.get("HTTP_USER_AGENT", ""), "refused": bool(judged)})
        if judged:
            return judged
        f = self.fault(action, (environ.get("HTTP_AUTHORIZATION", "").split("/") + [""] * 3)[2])
        if f and not f.get("does"):
            time.sleep(f.get("after", 0))
            return f["status"], f["body"] * f.get("repeat", 1)
        environ = dict(environ, **{"wsgi.input": io.BytesIO(body)})
        status, text = self.ask_moto(environ)
        if status == 200:
            if action in ("RegisterTargets", "DeregisterTargets"):
                self.note(action, form)
            if action == "DescribeTargetHealth" and "Targets.member.1.Id" not in form:
                text = self.targets(text, form["TargetGroupArn"])
            if action == "AssumeRole":
                root = ElementTree.fromstring(text)
                got = {e.tag.partition("}")[2] or e.tag: e.text for e in root.iter()}
                KEYS[got["AccessKeyId"]] = (got["SecretAccessKey"], got["SessionToken"], None)
        return (f["status"], f["body"]) if f else (status, text)  # done, and what is answered does not tell it

    def ask_moto(self, environ):
        kept = {}
        chunks = self.moto(environ, lambda status, headers, *_: kept.update(status=status))
        text = b"".join(chunks)
        return int(kept["status"].split()[0]), text

    def __call__(self, environ, start_response):
        try:
            status, text = self.answer(environ)
        except Exception as e:  # the log has it; the client gets what a broken service gives
            print(f"{e!r}", file=sys.stderr, flush=True)
            status, text = 500, f"<html>{e!r}</html>"
        data = text.encode() if isinstance(text, str) else text
        length = [("Content-Length", str(len(data)))] if environ["PATH_INFO"] == "/_world" else []  # else in chunks, as AWS may
        start_response(f"{status} X", [("Content-Type", "text/xml"), ("Date", format_datetime(self.now(), usegmt=True))] + length)
        return [data]

    # ---- what tests say

    def control(self, q):
        """{boto: [service, method, arguments, region]} | {fault: [...]} | {log: true} | {skew: s} | {lag: s} | {key: [...]} | {health: {...}} | {delay: {...}} | {front: [...]} | {tls: [...]}"""
        if "boto" in q:
            service, method, arguments, *where = q["boto"]
            got = getattr(client(service, *where), method)(**arguments)
            got.pop("ResponseMetadata", None)
            return got
        if "fault" in q:
            self.faults = q["fault"]
        if "skew" in q:
            self.skew_s = q["skew"]
        if "lag" in q:
            self.lag_s = q["lag"]
        if "key" in q:
            KEYS[q["key"][0]] = tuple(q["key"][1:])
        self.health_of.update(q.get("health", {}))
        self.delay_s.update(q.get("delay", {}))
        if "front" in q:
            start_front(self, *q["front"])
        if "tls" in q:
            host, port, cert, key = q["tls"]
            tls = make_server(host, port, self, threaded=True, request_handler=Quiet, ssl_context=(cert, key))
            threading.Thread(target=tls.serve_forever, daemon=True).start()
        if q.get("log"):
            log, self.log = self.log, []
            return log
        return {}


WHERE = []


def client(service, region="eu-west-1"):
    return boto3.client(service, region_name=region, endpoint_url=f"http://{WHERE[0]}:{WHERE[1]}", aws_access_key_id="AKIDWORLD",
                        aws_secret_access_key=KEYS["AKIDWORLD"][0])


class Front(http.server.BaseHTTPRequestHandler):
    """Sends each request to a target that is healthy at that moment, and to one that is deregistered as long as that is not shown:
    real balancers learn it as late, and that it is stopped by their next check. Answers that are under way end."""
    protocol_version = "HTTP/1.1"
    world = group = None
    turn = 0

    def able(self):
        from moto.elbv2.models import elbv2_backends
        world, now = self.world, time.monotonic()
        with world.lock:
            backend = elbv2_backends["123456789012"]["eu-west-1"]
            known = list(backend.target_groups[self.group].targets)
            late = [t for (g, t), (shown, _, _) in list(world.draining.items()) if g == self.group and now < shown and t not in known]
            Front.turn += 1
        return late + [t for t in known if now - world.registered.get((self.group, t), 0) > INITIAL_S and world.is_well(t)]

    def do_GET(self):
        able = self.able()
        status, body = 503, b"no target"
        if able:
            host, port = self.world.health_of[able[Front.turn % len(able)]].split(":")
            try:
                c = http.client.HTTPConnection(host, int(port), timeout=60)
                c.request("GET", self.path)
                r = c.getresponse()
                status, body = r.status, r.read()
            except OSError as e:
                status, body = 502, repr(e).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def start_front(world, host, port, group):
    Front.world, Front.group = world, group
    server = http.server.ThreadingHTTPServer((host, port), Front)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Quiet(WSGIRequestHandler):
    def log_request(self, *_):
        pass

    def send_header(self, keyword, value):
        if keyword != "Date" or value != self.date_time_string():
            super().send_header(keyword, value)


def main():
    WHERE[:] = [sys.argv[1], int(sys.argv[2])]
    server = make_server(WHERE[0], WHERE[1], World(), threaded=True, request_handler=Quiet)
    print(json.dumps({"listens": WHERE}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
