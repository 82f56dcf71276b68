# SPDX-License-Identifier: MIT
"""plans/reload.yml: one server without a balancer, a real gunicorn under supervisord behind a real nginx. The example of
docs/plans.md#reload, and what becomes of masters that do not do what a reload wants of them."""
import os
import re

import pytest
from daemons import can_connect, spawn, wait_for
from load import Load
from nginx import AROUND
from scene import release, run, told

FLEET = {"varnish": None, "balancers": 0, "n_nodes": 1,
         "pillar": {"plan": "reload", "balancer": "", "stages": "[100%]", "min_up": "0",
                    "check": '{url: "http://{host}:{port}/health", status: 200, stable: 1, within: 8s}'}}
WSGI = """import time
version, behave = (open(name).read().strip() for name in ("VERSION", "BEHAVE"))
if behave == "crash":
    raise RuntimeError("module 'theme' not found")


def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.1)
    start_response("200 OK", [("Content-Length", str(len(version))), ("X-Revision", version)])
    return [version.encode()]
"""
SITE = "server {{ listen {front}; location / {{ proxy_pass http://{behind}; proxy_next_upstream off; }} }}\n"


def serve(node, *words):
    """Has supervisord run gunicorn with these words instead of what the fleet came with."""
    with open(node.conf) as f:
        text = f.read()
    command = f"gunicorn -b {node.host}:{node.port} -w 2 -k gthread --threads 8 --pythonpath {node.dir} {' '.join(words)} wsgi:app"
    with open(node.conf, "w") as f:
        f.write(re.sub(r"^command=.*$", f"command={command}", text, flags=re.M))
    node.supervisorctl("reread")
    node.supervisorctl("update")
    wait_for("gunicorn answers", lambda: can_connect(node.host, node.port) and node.running_rev())


@pytest.fixture(scope="module")
def site(fleet):
    node = fleet.nodes[0]
    with open(f"{node.dir}/wsgi.py", "w") as f:
        f.write(WSGI)
    front, where = f"{fleet.net}.6:{fleet.base + 72}", f"{fleet.dir}/nginx"
    os.makedirs(where, mode=0o700)
    with open(f"{where}/site.conf", "w") as f:
        f.write(SITE.format(front=front, behind=f"{node.host}:{node.port}"))
    with open(f"{where}/nginx.conf", "w") as f:
        f.write(AROUND.format(dir=where, user="user root;" if os.getuid() == 0 else ""))
    spawn(fleet.dir, "nginx", ["nginx", "-p", where, "-e", f"{where}/error.log", "-c", f"{where}/nginx.conf"])
    wait_for("nginx answers", lambda: can_connect(f"{fleet.net}.6", fleet.base + 72))
    return front


def master(node):
    return int(node.supervisorctl("pid", "site").strip())


def test_changes_under_load_and_goes_back(fleet, site):
    node = fleet.nodes[0]
    serve(node, "--chdir", node.current)
    pid = master(node)
    said = told(run(fleet, "plan", "--rev", fleet.revs["v2"], "--plan", "rolling", "prod"))
    assert "requests are refused from supervisord.stop until it listens again. `plan: reload`" in said
    with Load(fleet, rate=80, targets=[site]) as load:
        said = told(release(fleet, "v2"))
        assert node.running_rev() == "v2" and "requests are refused" not in said
        run(fleet, "rollback", "--yes", "prod")
        assert node.running_rev() == "v1"
        load.run_on(0.3)
    assert load.problems() == []
    assert master(node) == pid, "it was restarted"


def test_what_dies_of_it_is_brought_back(fleet, site):
    """gunicorn ends when its new workers cannot load the application: the way back starts it again."""
    node = fleet.nodes[0]
    said = told(release(fleet, "v4", status=1))
    assert "which was told to reload, is gone" in said, said
    assert node.running_rev() == "v1"


def test_a_master_that_keeps_its_directory_is_seen(fleet, site):
    """Started in current/, which the kernel resolves: its new workers are the old revision's."""
    node = fleet.nodes[0]
    serve(node)
    with Load(fleet, rate=80, targets=[site]) as load:
        said = told(release(fleet, "v2", status=1))
    assert load.problems() == []
    assert "keeps the directory that it was started in" in said and "gunicorn --chdir" in said, said
    assert fleet.revs["v1"][:12] in os.readlink(node.current) and node.running_rev() == "v1"
