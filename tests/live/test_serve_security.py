# SPDX-License-Identifier: MIT
"""The server against whoever can reach its port: logins, forms of other sites, other names, broken framing, slow clients,
limits, paths, secrets (docs/promises.md#s13, S16, S17, S19, S23, S26). No fleet: orders hold and free a lock."""
import contextlib
import http.client
import json
import os
import resource
import socket
import sqlite3
import ssl
import subprocess
import time

import pytest

from daemons import wait_for
from serving import Place, Serving

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def place():
    p = Place()
    p.write("pillar/prod.sls", "release: {app: site}\n")
    yield p
    p.remove()


@pytest.fixture(scope="module")
def server(place):
    s = Serving(place).start()
    s.tokens = {role: s.token(role, role) for role in ("viewer", "operator", "admin")}
    yield s
    s.stop()


def head(server, path, method="GET", host=None, *lines):
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{server.port}'}", *lines]) + "\r\n"


def code(answer):
    """Status of the first answer in bytes; 0 when there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def ended(server, number):
    """An order is given long before it is carried out: a lock is not there yet when its number is."""
    return wait_for("the order has ended", lambda: (lambda x: x["ended"] and x)(
        server.get(f"/api/v1/orders/{number}", server.tokens["viewer"])[1]))


# ---- who may


def test_nothing_without_a_login_but_health(server):
    for path in ("/api/v1/envs", "/api/v1/releases", "/api/v1/orders", "/events", "/api/v1/me"):
        status, _, body = server.request("GET", path)
        assert (status, json.loads(body)["error"]["code"]) == (401, "auth"), path
    for path in ("/healthz", "/metrics"):
        assert server.request("GET", path)[0] == 200
    for token in ("", "x", "rt1-" + "0" * 64, server.tokens["viewer"][:-1] + "z", server.tokens["viewer"] + "0"):
        assert server.request("GET", "/api/v1/envs", headers={"Authorization": f"Bearer {token}"})[0] == 401


def test_roles_include_each_other_upwards(server):
    path = "/api/v1/envs/prod/lock"
    assert server.post(path, server.tokens["viewer"], reason="x")[0] == 403
    status, answer = server.post(path, server.tokens["operator"], reason="x")
    assert status == 202 and ended(server, answer["order"])["exit"] == 0
    status, answer = server.post("/api/v1/envs/prod/unlock", server.tokens["operator"], force=True, reason="x")
    assert status == 403 and "admin" in answer["error"]["text"]
    status, answer = server.post("/api/v1/envs/prod/unlock", server.tokens["admin"], force=True, reason="x")
    order = ended(server, answer["order"])
    assert (status, order["exit"]) == (202, 0), order


def test_the_lock_of_others_is_not_freed_in_passing(server):
    def done(answer):
        number = answer[1]["order"]
        wait_for("the order has ended", lambda: server.get(f"/api/v1/orders/{number}", server.tokens["viewer"])[1]["ended"])

    mine, theirs = server.tokens["operator"], server.token("zoe", "operator")
    done(server.post("/api/v1/envs/prod/lock", mine, reason="backup"))
    status, answer = server.post("/api/v1/envs/prod/unlock", theirs)
    assert status == 403 and "api:operator" in answer["error"]["text"] and "backup" in answer["error"]["text"]
    done(server.post("/api/v1/envs/prod/unlock", mine))
    assert server.get("/api/v1/envs/prod", mine)[1]["lock"] is None


def test_an_address_in_use_is_no_mistake_of_the_configuration(server, place):
    """The unit tries again after any status but 2."""
    result = subprocess.run(place.argv("serve", "--listen", f"{server.host}:{server.port}"), capture_output=True, text=True,
                            timeout=30, cwd=place.dir)
    assert result.returncode == 4 and "cannot be opened" in result.stderr, result


def behalf(token, who):
    return {"Authorization": f"Bearer {token}", "X-Release-On-Behalf-Of": who, "Content-Type": "application/json"}


def test_only_a_bot_speaks_for_people(server, place):
    ann, hubot = server.token("ann", "operator"), server.token("hubot", "operator", bot=True)
    assert server.request("GET", "/api/v1/me", headers=behalf(hubot, "zed"))[2].count(b'"hubot:zed"') == 1
    for token in (ann, server.tokens["admin"]):
        status, _, body = server.request("GET", "/api/v1/me", headers=behalf(token, "zed"))
        assert status == 403 and b"--bot" in body, body
    assert place.release("token", "add", "slack", "--role", "operator", "--bot").returncode == 2


@pytest.fixture
def second(place, server):
    """An environment that wants a second person, with an unfinished release that nothing can go on with."""
    place.write("pillar/second.sls", "release: {app: site, approval: other}\n")
    with contextlib.closing(sqlite3.connect(place.state)) as db, db:
        number = db.execute("INSERT INTO releases (env, app, kind, plan_name, rev, rev_typed, who, host, plan_digest, of_release, "
                            "started_ms) VALUES ('second', 'site', 'release', 'rolling', ?, 'main', 'ann', 'here', '', 0, 1)",
                            ("f" * 40,)).lastrowid
    yield number
    os.unlink(f"{place.root}/pillar/second.sls")


def test_what_cannot_be_read_lets_nothing_past_the_second_person(server, place, second):
    place.write("pillar/second.sls", "release: {app: site, approval: [\n")
    for verb in ("run", "rollback", "resume"):
        body = dict({"rev": "f5d9859"} if verb == "run" else {}, confirm="second")
        status, answer = server.post(f"/api/v1/envs/second/{verb}", server.tokens["operator"], **body)
        assert status == 400 and "pillar of second cannot be read" in answer["error"]["text"], answer
    assert server.get("/api/v1/orders?env=second", server.tokens["viewer"])[1] == []


def test_what_is_no_text_is_no_order(server, second):
    """A word that is dropped makes another order: without --only it is all nodes. Nothing is kept of it, and nobody is asked."""
    auth = {"Authorization": f"Bearer {server.tokens['operator']}", "Content-Type": FORM}
    for field in (b"only=app1%FF", b"only=app1%C3", b"only=%C0%AF", b"plan=%FF", b"stages=%FF", b"window=%FF", b"reason=%FF", b"rev=main%FF"):
        status, _, body = server.request("POST", "/api/v1/envs/second/run", body=field + b"&rev=f5d9859&confirm=second", headers=auth)
        assert status == 400 and b"UTF-8" in body, (field, body)
    for wrong in ({"only": "-a"}, {"stages": "1;2"}, {"window": "$(id)"}, {"plan": "../x"}, {"rev": "a b"}):
        body = {"rev": "f5d9859", "confirm": "second", **wrong}
        assert server.post("/api/v1/envs/second/run", server.tokens["operator"], **body)[0] == 400, wrong
        if "rev" not in wrong:
            assert server.post("/api/v1/envs/second/resume", server.tokens["operator"], **body)[0] == 400, wrong
    assert server.get("/api/v1/envs/second", server.tokens["viewer"])[1]["pending"] == []


def test_one_token_is_not_two_people(server, second):
    """What waits for a second person is let go by another's token, or by a bot for another person, and by no other."""
    tokens = {name: server.token(name, "operator", bot=name == "bot") for name in ("one", "two", "bot")}

    def waiting(headers):
        status, _, body = server.request("POST", "/api/v1/envs/second/resume", body='{"confirm": "second"}', headers=headers)
        assert status == 202, body
        pending = server.get("/api/v1/envs/second", server.tokens["viewer"])[1]["pending"]
        assert [(p["state"], p["release"]) for p in pending] == [("approve", second)]
        return json.dumps({"code": json.loads(body)["pending"]})

    def approve(code, headers):
        status, _, body = server.request("POST", "/api/v1/approve", body=code, headers=headers)
        return status, body.decode()

    def plain(name):
        return {"Authorization": f"Bearer {tokens[name]}", "Content-Type": "application/json"}
    cookie, csrf = server.login(tokens["one"])
    page = {"Cookie": cookie, "X-CSRF-Token": csrf, "Content-Type": "application/json"}
    code = waiting(plain("one"))
    for headers, wanted in ((plain("one"), 409), (page, 409), (behalf(tokens["one"], "zed"), 403), (plain("bot"), 403)):
        status, text = approve(code, headers)
        assert status == wanted, text
    assert approve(code, plain("two"))[0] == 200
    code = waiting(behalf(tokens["bot"], "ann"))
    for same in ("ann", "Ann", "ann@corp.example", "@ANN"):
        assert approve(code, behalf(tokens["bot"], same))[0] == 409
    assert approve(code, behalf(tokens["bot"], "bob"))[0] == 200
    code = waiting(plain("bot"))  # nobody is named: anybody could have been it
    assert approve(code, behalf(tokens["bot"], "bob"))[0] == 409
    assert approve(code, plain("two"))[0] == 200


def test_a_revoked_token_is_nobody_at_once(server, place):
    token = server.token("gone", "admin")
    cookie, _ = server.login(token)
    assert server.request("GET", "/api/v1/me", token)[0] == 200
    assert server.request("GET", "/api/v1/me", headers={"Cookie": cookie})[0] == 200
    assert place.release("token", "revoke", "gone").returncode == 0
    assert server.request("GET", "/api/v1/me", token)[0] == 401
    assert server.request("GET", "/api/v1/me", headers={"Cookie": cookie})[0] == 401


def test_a_stream_ends_with_the_right_to_look(server, place):
    token, other = server.token("fading", "viewer"), server.token("staying", "viewer")
    cookie, _ = server.login(token)
    left, csrf = server.login(other)

    def stream(header):
        x = server.connect(timeout=20)
        x.sendall((head(server, "/events", "GET", None, header) + "\r\n").encode())
        while b"event: lock" not in (seen := x.recv(65536)) and b"retry:" not in seen:
            assert seen, "the stream did not begin"
        return x

    def ended(x):
        try:
            while x.recv(65536):
                pass
        except ConnectionResetError:
            pass

    ending = [stream(f"Authorization: Bearer {token}"), stream(f"Cookie: {cookie}")]
    staying, leaving = stream(f"Authorization: Bearer {other}"), stream(f"Cookie: {left}")
    assert place.release("token", "revoke", "fading").returncode == 0
    for x in ending:
        ended(x)  # within the socket's 20 s: not at the next time the browser would have come by itself
    status, _, _ = server.request("POST", "/logout", headers={"Cookie": left, "X-CSRF-Token": csrf})
    assert status == 303
    ended(leaving)
    staying.settimeout(2)
    try:
        assert staying.recv(65536), "the stream of another token was ended, too"
    except TimeoutError:
        pass
    for x in (*ending, staying, leaving):
        x.close()


def test_changes_to_servers_name_the_environment_twice(server):
    for verb in ("run", "rollback", "resume"):
        for confirm in ({}, {"confirm": ""}, {"confirm": "prod "}, {"confirm": "test"}):
            status, answer = server.post(f"/api/v1/envs/prod/{verb}", server.tokens["operator"], rev="abcdef1", **confirm)
            assert (status, answer["error"]["code"]) == (400, "confirm"), (verb, confirm)


def test_words_of_an_order_cannot_be_options(server):
    before = len(server.get("/api/v1/orders", server.tokens["viewer"])[1])
    for body in ({"rev": "--force"}, {"rev": "a b"}, {"plan": "../x"}, {"only": "-a"}, {"stages": "1;2"},
                 {"window": "$(id)"}, {"rev": ["a"]}, {"rev": 12}, {"revv": "a"}, {"rev": "a\nb"}):
        status, _ = server.post("/api/v1/envs/prod/plan", server.tokens["operator"], **body)
        assert status == 400, body
    for body in ({"stages": "1;2"}, {"window": "$(id)"}, {"only": "-a"}, {"plan": "../x"}):
        answer = server.post("/api/v1/envs/prod/plan", server.tokens["operator"], **body)[1]
        assert "wanted" in answer["error"]["text"], answer
    assert server.post("/api/v1/envs/-x/plan", server.tokens["operator"])[0] == 404
    assert server.post("/api/v1/envs/nowhere/plan", server.tokens["operator"])[0] == 404
    assert server.post("/api/v1/envs/prod/lock", server.tokens["operator"], reason="a\nb")[0] == 400
    assert len(server.get("/api/v1/orders", server.tokens["viewer"])[1]) == before


# ---- pages of others (S13)


def test_a_cookie_alone_changes_nothing(server):
    cookie, csrf = server.login(server.tokens["operator"])
    path, body = "/api/v1/envs/prod/lock", json.dumps({"reason": "mine"})
    plain = {"Cookie": cookie, "Content-Type": "application/json"}
    other = server.login(server.tokens["operator"])[1]
    for wrong in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": other}, {"X-CSRF-Token": csrf[:-1]}):
        status, _, answer = server.request("POST", path, body=body, headers={**plain, **wrong})
        assert (status, json.loads(answer)["error"]["code"]) == (403, "csrf"), wrong
    status, _, _ = server.request("POST", path, body="reason=x", headers={"Cookie": cookie, "Content-Type": FORM})
    assert status == 403
    status, _, answer = server.request("POST", path, body=body, headers={**plain, "X-CSRF-Token": csrf})
    assert status == 202, answer
    ended(server, json.loads(answer)["order"])
    status, headers, _ = server.request("POST", "/api/v1/envs/prod/unlock", body=f"csrf={csrf}&reason=",
                                        headers={"Cookie": cookie, "Content-Type": FORM})
    assert status == 303 and headers["location"].startswith("/env/prod?order="), headers
    ended(server, headers["location"].rsplit("=", 1)[1])
    assert server.get("/api/v1/envs/prod", server.tokens["viewer"])[1]["lock"] is None


def test_pages_of_other_sites_are_refused(server):
    cookie, csrf = server.login(server.tokens["operator"])
    mine = {"Cookie": cookie, "X-CSRF-Token": csrf, "Content-Type": "application/json"}
    for origin in ("https://evil.example", "null", "http://127.0.0.1", f"http://127.0.0.1:{server.port}.evil.example",
                   f"http://evil@127.0.0.1:{server.port}", "file://", ""):
        for path in ("/api/v1/envs/prod/lock", "/login", "/logout"):
            status, _, answer = server.request("POST", path, body="{}", headers={**mine, "Origin": origin})
            assert (status, json.loads(answer)["error"]["code"]) == (403, "origin"), (origin, path)
    status, _, _ = server.request("POST", "/api/v1/envs/prod/lock", body="{}", headers={**mine, "Sec-Fetch-Site": "cross-site"})
    assert status == 403
    own = {**mine, "Origin": f"http://127.0.0.1:{server.port}", "Sec-Fetch-Site": "same-origin"}
    assert server.request("POST", "/api/v1/envs/prod/lock", body="{}", headers=own)[0] == 400  # no reason: it came through


def test_a_look_changes_nothing(server):
    before = server.get("/api/v1/orders", server.tokens["admin"])[1]
    for verb in ("run", "rollback", "resume", "pause", "abort", "lock", "unlock", "plan"):
        assert server.request("GET", f"/api/v1/envs/prod/{verb}?reason=x&confirm=prod", server.tokens["admin"])[0] == 405
    assert server.request("GET", "/logout", server.tokens["admin"])[0] in (404, 405)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"):
        assert server.request(method, "/api/v1/envs", server.tokens["admin"])[0] in (400, 405)
    assert server.get("/api/v1/orders", server.tokens["admin"])[1] == before


def test_a_cookie_is_for_this_server_alone(server):
    status, headers, _ = server.request("POST", "/login", body=f"token={server.tokens['viewer']}", headers={"Content-Type": FORM})
    assert status == 303 and headers["location"] == "/"
    parts = [p.strip() for p in headers["set-cookie"].split(";")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts) and not any(p.startswith("Domain") for p in parts)
    assert server.request("POST", "/login", body="token=rt1-bad", headers={"Content-Type": FORM})[0] == 303
    cookie, csrf = server.login(server.tokens["viewer"])
    assert server.request("POST", "/logout", headers={"Cookie": cookie, "X-CSRF-Token": csrf})[0] == 303
    assert server.request("GET", "/api/v1/me", headers={"Cookie": cookie})[0] == 401


def test_other_names_are_refused(server):
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", "localhost", f"127.0.0.1:{server.port + 1}", ""):
        for path in ("/healthz", "/metrics", "/api/v1/envs", "/login"):
            answer = server.raw((head(server, path) .replace(f"Host: 127.0.0.1:{server.port}", f"Host: {host}")
                                 + "Connection: close\r\n\r\n").encode())
            assert code(answer) in (400, 421), (host, path, answer[:100])
    assert code(server.raw(head(server, "/healthz", "GET", f"LOCALHOST:{server.port}", "Connection: close").encode() + b"\r\n")) == 200


# ---- framing, limits, paths (S17)

SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: %b\r\n\r\n"


@pytest.mark.parametrize("lines", [
    ["Content-Length: 4", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 4"],
    ["Content-Length: 4", "Content-Length: 40"],
    ["Content-Length: 4", "Content-Length: 4"],
    ["Content-Length: +4"], ["Content-Length: 4, 4"], ["Content-Length: 0x4"], ["Content-Length: -1"], ["Content-Length: "],
    ["Transfer-Encoding: xchunked"], ["Transfer-Encoding: chunked, identity"], ["Transfer-Encoding: identity"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    ["Transfer-Encoding:\x0bchunked"],
    ["Content-Length : 4", "Transfer-Encoding: chunked"],
    ["X: y", " Content-Length: 4", "Transfer-Encoding: chunked", "Content-Length: 4"],
    ["Host: other"],
])
def test_a_body_of_two_lengths_is_refused(server, lines):
    host = f"127.0.0.1:{server.port}".encode()
    request = (head(server, "/login", "POST", None, *lines) + "\r\n").encode() + b"0\r\n\r\n" + SMUGGLED % host
    answer = server.raw(request, timeout=3)
    assert code(answer) in (0, 400, 413) and b'"ok"' not in answer, answer


def test_limits(server):
    token = f"Authorization: Bearer {server.tokens['operator']}"
    big = head(server, "/healthz", "GET", None, "X: " + "a" * 9000) + "\r\n"
    assert code(server.raw(big.encode())) == 431
    huge = head(server, "/healthz", "GET", None, "X: " + "a" * 60000) + "\r\n"
    assert code(server.raw(huge.encode())) in (0, 413, 431)
    many = head(server, "/healthz", "GET", None, *[f"X{i}: y" for i in range(120)]) + "\r\n"
    assert code(server.raw(many.encode())) == 431
    long_path = head(server, "/" + "a" * 9000) + "\r\n"
    assert code(server.raw(long_path.encode())) in (0, 414, 431)
    post = head(server, "/api/v1/envs/prod/lock", "POST", None, token, "Content-Type: application/json")
    assert code(server.raw((post + "Content-Length: 65537\r\n\r\n").encode())) == 413
    fits = json.dumps({"reason": "x" * 65000}).encode()
    answer = server.raw((post + f"Content-Length: {len(fits)}\r\nConnection: close\r\n\r\n").encode() + fits)
    assert code(answer) == 400 and b"500 bytes" in answer, answer
    endless = (post + "Transfer-Encoding: chunked\r\n\r\n").encode() + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 6
    assert code(server.raw(endless)) in (0, 413)
    deep = b'{"reason":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert code(server.raw((post + f"Content-Length: {len(deep)}\r\nConnection: close\r\n\r\n").encode() + deep)) == 400


@pytest.mark.parametrize("path", [
    "/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/../../../etc/passwd",
    "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/static/..\\..\\etc\\passwd", "/static/%5c..%5cetc", "//etc/passwd",
    "/static//etc/passwd", "/%00", "/static/x%00.js", "/%zz", "/api/v1/envs/%2e%2e", "/api/v1/envs/..%2fprod/lb",
    "/api/v1/releases/1%2f..%2f2", "/api/v1/orders/..", "/api/v1/orders/1.out", "/%252e%252e/etc/passwd", "/login\x7f",
])
def test_paths_that_climb_are_no_paths(server, path):
    answer = server.raw((head(server, path, "GET", None, f"Authorization: Bearer {server.tokens['admin']}", "Connection: close")
                         + "\r\n").encode(), timeout=5)
    assert code(answer) in (0, 400, 404) and b"root:" not in answer, answer


def test_slow_clients_push_out_each_other_alone(server):
    """1,000 clients that send a byte now and then; whoever asks in one piece is served all the while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    slow, took = [], []
    try:
        for i in range(1000):
            s = socket.socket()
            s.settimeout(5)
            s.connect((server.host, server.port))
            with contextlib.suppress(OSError):
                s.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            slow.append(s)
            if i % 20 == 0:
                began = time.monotonic()
                assert server.request("GET", "/healthz")[0] == 200
                took.append(time.monotonic() - began)
        for s in slow:
            with contextlib.suppress(OSError):
                s.send(b"a")
        for _ in range(20):
            assert server.request("GET", "/healthz")[0] == 200
        counts = dict(line.rsplit(" ", 1) for line in server.request("GET", "/metrics")[2].decode().splitlines() if line[0] != "#")
        assert int(counts["release_http_connections"]) <= 66, counts["release_http_connections"]
        assert int(counts["release_http_evicted_total"]) >= 900
        print(f"slow clients: 50 honest requests, slowest {max(took) * 1000:.0f} ms")
    finally:
        for s in slow:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_do_not_read_push_out_each_other_alone(server):
    """90 clients that ask for a file 200 times and take nothing of it: honest ones are answered all the same."""
    asks = f"GET /page/release.js HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n\r\n".encode() * 200
    stuck = []
    try:
        for _ in range(90):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect((server.host, server.port))
            s.setblocking(False)
            with contextlib.suppress(OSError):
                s.send(asks)
            stuck.append(s)
        began = time.monotonic()
        for _ in range(100):
            assert server.request("GET", "/healthz")[0] == 200
        print(f"clients that do not read: 100 honest requests in {time.monotonic() - began:.1f} s")
    finally:
        for s in stuck:
            s.close()


def test_a_request_has_ten_seconds(server):
    """A byte a second is not enough to keep a connection."""
    with server.connect() as s:
        began = time.monotonic()
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        s.settimeout(1)
        while time.monotonic() - began < 20:
            try:
                s.send(b"X")
                if s.recv(1000) == b"":
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        assert 8 < time.monotonic() - began < 18


# ---- what is said


def test_every_answer_is_of_its_type_and_nothing_else(server):
    answers = [server.request("GET", path, server.tokens["viewer"]) for path in
               ("/api/v1/envs", "/nothing", "/api/v1/envs/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/api/v1/releases?limit=%3Cb%3E",
                "/healthz", "/metrics", "/events?env=%3Cb%3E", "/", "/history")]
    for status, headers, body in answers:
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy, policy
        assert headers["content-type"].split(";")[0] in ("application/json", "text/plain", "text/html"), headers
        if status >= 400:
            assert headers["content-type"] == "application/json", headers
        assert "server" not in headers


def test_secrets_are_nowhere(server, place):
    cookie, csrf = server.login(server.tokens["operator"])
    server.request("GET", f"/api/v1/envs?token={server.tokens['operator']}", headers={"Cookie": cookie})
    ended(server, server.post("/api/v1/envs/prod/lock", server.tokens["operator"], reason="r")[1]["order"])
    number = server.post("/api/v1/envs/prod/unlock", server.tokens["operator"])[1]["order"]
    o = ended(server, number)
    secrets = [t.split("-")[1].encode() for t in server.tokens.values()] + [cookie.split("=")[1].encode(), csrf.encode()]
    with open(f"/proc/{server.process.pid}/cmdline", "rb") as f:
        seen = f.read() + json.dumps(o).encode() + server.log().encode()
    for directory, _, files in os.walk(place.dir):
        for name in files:
            with open(os.path.join(directory, name), "rb") as f:
                seen += f.read()
    assert not [s for s in secrets if s in seen]
    orders = f"{place.dir}/state/orders"
    assert os.stat(orders).st_mode & 0o777 == 0o700
    assert {os.stat(f"{orders}/{n}").st_mode & 0o777 for n in os.listdir(orders)} == {0o600}
    assert os.stat(place.state).st_mode & 0o777 == 0o600


# ---- opening it (S16, S19, S23)


def refused(place, *args):
    result = subprocess.run(place.argv("serve", *args), capture_output=True, text=True, timeout=30, cwd=place.dir)
    assert result.returncode == 2, result.stderr
    return result.stderr


def test_open_to_others_only_behind_tls_or_a_named_proxy(place):
    for listen in ("0.0.0.0:0", "[::]:0", "192.0.2.1:8710"):
        assert "open to others" in refused(place, "--listen", listen)
    for listen in ("8710", ":8710", "localhost", "127.0.0.1:99999", "example.org:80", "127.0.0.1:x"):
        assert "listen" in refused(place, "--listen", listen)


def test_a_configuration_that_others_may_write_is_refused(place):
    for mode in (0o666, 0o620, 0o602):
        path = place.write("other.yml", "listen: 127.0.0.1:0\n", mode)
        assert "mode" in refused(place, "--config", path)
    os.unlink(path)


def test_mistakes_have_their_place(place):
    path = place.write("wrong.yml", "lisen: 127.0.0.1:0\nproxy: {address: everywhere}\nurl: release.example.org\n"
                                    "tls: {cert: /nowhere}\n")
    text = refused(place, "--config", path)
    for words in ("wrong.yml:1:1", "did you mean 'listen'", "wrong.yml:2:", "wrong.yml:3:", "wrong.yml:4:", "nothing was touched"):
        assert words in text, text
    os.unlink(path)


def test_the_proxy_alone_is_believed(place):
    config = place.write("proxy.yml", "url: https://release.example.org/\nproxy: {address: 127.0.0.1, user_header: X-User, role: operator}\n")
    with Serving(place, "--config", config, name="proxy") as s:
        named = {"X-User": "ann@example.org", "Host": "release.example.org"}
        status, _, body = s.request("GET", "/api/v1/me", headers=named)
        me = json.loads(body)
        assert (status, me["name"], me["role"], me["via"]) == (200, "page:ann@example.org", "operator", "proxy"), body
        assert s.request("GET", "/api/v1/me", headers={**named, "X-User": "a b<script>"})[0] == 401
        post = {**named, "Content-Type": "application/json", "Origin": "https://release.example.org"}
        assert s.request("POST", "/api/v1/envs/prod/lock", body='{"reason":"x"}', headers=post)[0] == 403
        mine = {**post, "X-CSRF-Token": me["csrf"], "X-Forwarded-For": "6.6.6.6, 203.0.113.5"}
        status, _, body = s.request("POST", "/api/v1/envs/prod/unlock", body="{}", headers=mine)
        assert status == 202, body
        order = json.loads(s.request("GET", f"/api/v1/orders/{json.loads(body)['order']}", headers=named)[2])
        assert (order["who"], order["from"]) == ("page:ann@example.org", "203.0.113.5 by 127.0.0.1"), order
        with contextlib.closing(http.client.HTTPConnection(s.host, s.port, source_address=("127.0.0.2", 0))) as c:
            c.request("GET", "/api/v1/me", headers=named)
            assert c.getresponse().status == 401
    os.unlink(config)


def test_tls(place):
    cert, key = f"{place.dir}/tls.crt", f"{place.dir}/tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    os.chmod(key, 0o644)
    config = place.write("tls.yml", f"tls: {{cert: {cert}, key: {key}}}\n")
    assert "mode 0644" in refused(place, "--config", config)
    os.chmod(key, 0o600)
    context = ssl.create_default_context(cafile=cert)
    with Serving(place, "--config", config, tls=context, name="tls") as s:
        token = s.token("tls", "viewer")
        assert s.url.startswith("https://")
        status, headers, _ = s.request("POST", "/login", body=f"token={token}", headers={"Content-Type": FORM})
        assert status == 303 and headers["set-cookie"].startswith("__Host-release=") and "Secure" in headers["set-cookie"]
        assert "max-age" in headers["strict-transport-security"]
        assert code(s.raw(head(s, "/healthz").encode() + b"\r\n", timeout=5)) == 0  # not in the clear
        for version, wanted in (("-tls1_3", True), ("-tls1_2", True), ("-tls1_1", False), ("-tls1", False)):
            r = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{s.port}", version, "-CAfile", cert, "-cipher",
                                "ALL:@SECLEVEL=0"], input="", capture_output=True, text=True, timeout=20)
            assert (r.returncode == 0) == wanted, (version, r.stdout[-500:], r.stderr[-300:])
    os.unlink(config)


def test_term_ends_it_with_open_streams(place):
    with Serving(place, name="term") as s:
        token = s.token("term", "viewer")
        streams = [s.connect() for _ in range(5)]
        for x in streams:
            x.sendall((head(s, "/events", "GET", None, f"Authorization: Bearer {token}") + "\r\n").encode())
            assert b"200 OK" in x.recv(4096)
        s.process.terminate()
        assert s.process.wait(timeout=10) == 0, s.log()
        for x in streams:
            x.close()
    listed = [json.loads(line) for line in place.release("token", "list", "--json").stdout.splitlines()]
    mine = next(t for t in listed if t["name"] == "term")
    assert mine["used"] >= mine["made"] > 0 and "token" not in mine and "hash" not in mine, mine
