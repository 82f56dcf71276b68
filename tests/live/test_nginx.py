# SPDX-License-Identifier: MIT
"""The site of docs/chatops/nginx.conf in the real nginx, before the real server."""
import json
import os
import re
import shutil
import subprocess

import pytest

from daemons import wait_for
from nginx import DOCS, NAME, Nginx
from scene import end, run, start_release
from serving import Serving

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 1}
ANN = ("-u", "ann:pw")


def write(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(text)


@pytest.fixture(scope="module")
def site(fleet):
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    config = {"url": f"https://{NAME}", "proxy": {"address": "127.0.0.1", "user_header": "X-Remote-User", "role": "operator"},
              "slack": {"signing_secret": f"{fleet.root}/slack.secret"}}
    write(f"{fleet.root}/slack.secret", "8f742231b10e8888abcd99yyyzzz85a5\n")
    write(f"{fleet.root}/serve.yml", json.dumps(config))  # JSON is YAML
    with Serving(fleet) as server, Nginx(fleet, f"127.0.0.1:{server.port}") as site:
        site.server = server
        yield site


def me(site, *args):
    status, text = site.curl("/api/v1/me", *args)
    return json.loads(text)["name"] if status == 200 else status


def test_http_goes_to_https(site):
    status, _ = site.curl(f"http://{NAME}/env/prod?x=1", "-o", "/dev/null")
    assert status == 301


def test_people_log_in_with_a_password(site):
    assert me(site) == 401
    assert me(site, "-u", "ann:wrong") == 401
    assert me(site, *ANN) == "page:ann"


def test_a_forged_header_is_not_believed(site):
    assert me(site, "-H", "X-Remote-User: root") == 401
    assert me(site, *ANN, "-H", "X-Remote-User: root") == "page:ann"
    token = site.server.token("viewer", "viewer")
    assert me(site, "-H", f"Authorization: Bearer {token}", "-H", "X-Remote-User: root") == "api:viewer"
    # /chat/ asks for no password, and a path must not lead out of it.
    assert site.curl("/chat/%2e%2e/api/v1/me", "--path-as-is")[0] in (400, 401, 404)


def test_tokens_pass(site):
    assert me(site, "-H", "Authorization: Bearer rt1-nonsense") == 401
    assert me(site, "-H", f"Authorization: Bearer {site.server.token('ci', 'operator')}") == "api:ci"


def test_metrics_stay_inside(site):
    assert site.curl("/metrics", *ANN)[0] == 404


def test_limits(site):
    assert site.curl("/api/v1/envs/prod/lock", *ANN, "-H", "Content-Type: application/json",
                     "-d", "x" * 70000)[0] == 413


def test_events_come_at_once(site, fleet):
    """A row reaches the page while the release runs: nothing is held back on the way."""
    release = start_release(fleet, "v2")
    stream = subprocess.Popen(site.curl_argv("/events?env=prod", *ANN, "-N"), stdout=subprocess.PIPE, text=True)
    try:
        first = next(line for line in stream.stdout if line.startswith("event: row"))
        assert release.poll() is None, "the first row came when the release was over: " + first
        assert end(release, fleet) == 0
    finally:
        stream.kill()
        stream.wait()
        stream.stdout.close()


def test_orders_by_form_need_their_token(site, fleet):
    """Logged in by the proxy, a browser still has to name what only our pages can know."""
    post = ("-H", "Content-Type: application/json", "-d", '{"reason": "looking"}')
    assert site.curl("/api/v1/envs/prod/lock", *ANN, *post)[0] == 403
    csrf = json.loads(site.curl("/api/v1/me", *ANN)[1])["csrf"]
    status, text = site.curl("/api/v1/envs/prod/lock", *ANN, *post, "-H", f"X-CSRF-Token: {csrf}")
    assert status == 202, text
    number = json.loads(text)["order"]
    wait_for("the order has ended", lambda: json.loads(site.curl(f"/api/v1/orders/{number}", *ANN)[1])["ended"])
    assert "page:ann" in run(fleet, "status", "prod").stdout
    run(fleet, "unlock", "prod")


def test_the_slack_manifest_names_real_paths(site):
    """What Slack will call is there, and open without a password: the signature is missed, nothing else."""
    with open(os.path.join(DOCS, "slack-manifest.yml")) as f:
        paths = re.findall(rf"https://{NAME}(/\S+)", f.read())
    assert len(paths) == 2
    for path in paths:
        assert site.curl(path, "-d", "text=help")[0] == 401, path
