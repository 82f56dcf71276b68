# SPDX-License-Identifier: MIT
"""Balancers of different kinds in front of one another: clients come through an nginx before the HAProxy, and through a HAProxy before
the Varnish; both send to the nodes. The controller dies right after each kind's drain and enable, before its journal knows of them."""
import os
import shutil

import pytest

from daemons import can_connect, spawn, wait_for
from load import Load
from scene import dies, expect_world, run

FLEET = {"varnish": "nodes", "n_nodes": 2, "balancers": 1, "pillar": {"stages": "[100%]"}}
CONFIG = """daemon off;
{user}
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    upstream edge {{ server {lb.host}:{lb.port}; keepalive 16; }}
    server {{
        listen {host}:{port};
        location / {{ proxy_pass http://edge; proxy_next_upstream off; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def doors(fleet):
    """host:port of the nginx and of the HAProxy before the Varnish."""
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    lb, cache, place = fleet.lbs[0], fleet.varnish, f"{fleet.dir}/door"
    host, port = f"{fleet.net}.6", fleet.base + 80
    lb.more = f"listen door\n    bind {lb.host}:{fleet.base + 97}\n    server cache {cache.host}:{cache.port}\n"
    lb.write_config()
    lb.reload()
    os.makedirs(place, mode=0o700)
    with open(f"{place}/nginx.conf", "w") as f:
        f.write(CONFIG.format(dir=place, lb=lb, host=host, port=port, user="user root;" if os.getuid() == 0 else ""))
    spawn(fleet.dir, "door", ["nginx", "-p", place, "-e", f"{place}/error.log", "-c", f"{place}/nginx.conf"])
    wait_for("the doors are open", lambda: can_connect(host, port) and can_connect(lb.host, fleet.base + 97) and lb.all_up())
    return [f"{host}:{port}", f"{lb.host}:{fleet.base + 97}"]


def test_no_request_is_lost_through_either_when_the_controller_dies_in_between(fleet, doors):
    with Load(fleet, targets=doors, path="/slow?ms=200", rate=80) as load:
        for point, to, way, ends in (("haproxy.drain:1", "v2", "resume", "v2"), ("varnish.drain:2", "v1", "rollback", "v2"),
                                     ("haproxy.enable:2", "v1", "resume", "v1"), ("varnish.enable:1", "v2", "rollback", "v1")):
            dies(fleet, to, point)
            run(fleet, way, "--yes", "prod")
            expect_world(fleet, ends, finished=False)
    assert load.report["failed"] == 0, load.report
    assert load.report["ok"] > 300, load.report
