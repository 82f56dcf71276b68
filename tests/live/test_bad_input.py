# SPDX-License-Identifier: MIT
"""Bad input gets a clear message, the documented exit status, and nothing is touched."""
import os

import pytest
from scene import refused, run

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}
RUN = ["run", "--rev", "v2", "--yes", "prod"]


def with_text(fleet, old, new):
    path = f"{fleet.root}/pillar/prod.sls"
    with open(path) as f:
        text = f.read()
    assert old in text
    with open(path, "w") as f:
        f.write(text.replace(old, new, 1))


BOMB = "x: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"x{i}: &{chr(97 + i)} [{','.join(['*' + chr(96 + i)] * 9)}]\n" for i in range(1, 10))

# name, text of the pillar, what it becomes, exit status, words that must be said
PILLARS = [
    ("unknown_key", "  window:", "  windw:", 2, ["prod.sls:", "windw", "window"]),
    ("wrong_type", "soak: 0s", "soak: [0s]", 2, ["prod.sls:", "soak"]),
    ("no_unit", "soak: 0s", "soak: 30", 2, ["prod.sls:", "30s"]),
    ("duplicate_node", "    app2:", "    app1:", 2, ["prod.sls:", "app1"]),
    ("duplicate_key", "  keep: 5", "  keep: 5\n  keep: 6", 2, ["prod.sls:", "keep"]),
    ("unknown_plan", "plan: rolling", "plan: roling", 2, ["roling", "rolling"]),
    ("unknown_verb", "cmd.run:", "cmd.rnu:", 2, ["prod.sls:", "cmd.rnu"]),
    ("bad_parameter", "timeout: 60s", "timeuot: 60s", 2, ["prod.sls:", "timeuot"]),
    ("unknown_name", "cmd: sh build.sh", "cmd: 'sh build.sh {nodee}'", 2, ["prod.sls:", "nodee"]),
    ("empty_nodes", "  app_servers:\n", "  app_servers: {}\n  x_servers:\n", 2, ["app_servers"]),
    ("yaml_error", "release:", "release: [", 2, ["prod.sls:"]),
    ("tab", "  app: site", "\tapp: site", 2, ["prod.sls:"]),
    ("bomb", "release:", BOMB + "release:", 2, ["prod.sls"]),
    ("depth", "release:", "deep: " + "[" * 3000 + "]" * 3000 + "\nrelease:", 2, ["prod.sls"]),
]


@pytest.mark.parametrize("name,old,new,status,words", PILLARS, ids=[p[0] for p in PILLARS])
def test_pillar(fleet, name, old, new, status, words):
    fleet.write_pillar()
    with_text(fleet, old, new)
    refused(fleet, RUN, status, *words)


def test_all_mistakes_at_once(fleet):
    fleet.write_pillar()
    with_text(fleet, "soak: 0s", "soak: 30")
    with_text(fleet, "  keep:", "  kep:")
    text = refused(fleet, RUN, 2, "30s", "kep")
    assert text.count("prod.sls:") >= 2
    fleet.write_pillar()


def test_pillar_missing(fleet):
    fleet.write_pillar()
    refused(fleet, ["run", "--rev", "v2", "--yes", "prdo"], 2, "prdo", "prod")
    os.rename(f"{fleet.root}/pillar", f"{fleet.root}/away")
    refused(fleet, RUN, 2, "pillar")
    os.rename(f"{fleet.root}/away", f"{fleet.root}/pillar")


# A tree of Salt's with two fleets in one section: what ENV means is never guessed (top.sls, ENV, exit status, words).
TREES = [
    ("base: {'*': [site], '*-staging': [other]}", "staging", 2, ["unknown environment", "release.yml", "pillarenv: base"]),
    ("base: {'*': [site]}", "prdo", 2, ["unknown environment 'prdo'", "base, other"]),
    ("prod: {'aap*': [site]}", "prod", 2, ["app1", "site.sls", "release: block"]),
]


@pytest.mark.parametrize("top,env,status,words", TREES, ids=["to_production", "mistyped", "nobody_matches"])
def test_no_environment_is_guessed(fleet, top, env, status, words):
    fleet.write_pillar()
    pillar = f"{fleet.root}/pillar"
    os.rename(f"{pillar}/prod.sls", f"{pillar}/site.sls")
    with open(f"{fleet.root}/release.yml", "w") as f:
        f.write("environments: {other: {pillarenv: base, nodes: 'app*'}}\n")
    with open(f"{pillar}/top.sls", "w") as f:
        f.write(top + "\n")
    with open(f"{pillar}/other.sls", "w") as f:
        f.write("zone: a\n")
    try:
        refused(fleet, ["run", "--rev", "v2", "--yes", env], status, *words)
    finally:
        for name in ("pillar/top.sls", "pillar/other.sls", "pillar/site.sls", "release.yml"):
            os.remove(f"{fleet.root}/{name}")
        fleet.write_pillar()


ARGUMENTS = [
    (["run", "--rve", "v2", "prod"], 2, ["--rve", "--rev"]),
    (["rnu", "prod"], 2, ["rnu", "run"]),
    (["run", "--rev"], 2, ["--rev"]),
    (["run", "--rev", "v2", "--only", "app9", "--yes", "prod"], 2, ["app9"]),
    (["run", "--rev", "v2", "--pillar", "{not json", "--yes", "prod"], 2, ["--pillar"]),
    (["resume", "prod"], 2, []),
    (["log", "99"], 2, ["99"]),
    (["status", "prdo"], 2, ["prdo", "prod"]),
    (["resume", "prdo"], 2, ["unknown environment 'prdo'", "prod"]),
    (["rollback", "--yes", "prdo"], 2, ["unknown environment 'prdo'", "prod"]),
    (["history", "prdo"], 2, ["prdo", "prod"]),
    (["lock", "prdo", "--reason", "x"], 2, ["prdo", "prod"]),
    (["task", "rolling", "prod"], 2, ["git.fetch", "--plan rolling"]),
]


BEFORE_VERB = [
    (["--rev", "v2", "run", "prod"], ["'--rev' stands before the verb", "release VERB --rev"]),
    (["--rve", "run", "prod"], ["'--rve' stands before the verb"]),
    (["--root", "."], ["'--root' is no verb", "release help"]),
]


@pytest.mark.parametrize("args,words", BEFORE_VERB, ids=[" ".join(a[0]) for a in BEFORE_VERB])
def test_options_before_the_verb_are_refused_by_name(fleet, args, words):
    refused(fleet, args, 2, *words)


def test_common_options_may_stand_before_the_verb(fleet):
    fleet.write_pillar()
    run(fleet, "--root", fleet.root, f"--state={fleet.state}", "check", "prod", status=0)


def test_preflight_asks_for_the_users_of_steps(fleet):
    """`runas:` of one build step: nobody there has that name."""
    fleet.write_pillar(build="[{cmd.run: {cmd: sh build.sh, runas: no-such-one, timeout: 60s}}]")
    refused(fleet, RUN, 6, "app1 and 1 more: steps cannot run as the user they should", "there is no user 'no-such-one'")


def test_preflight_asks_git_from_the_nodes(fleet):
    """The controller reads the repository through its mirror; nodes have the address, and find nothing there."""
    fleet.write_pillar()
    run(fleet, "check", "--rev", fleet.revs["v2"], "prod", status=0)
    os.rename(fleet.origin, fleet.origin + ".away")
    try:
        refused(fleet, ["run", "--rev", fleet.revs["v2"], "--yes", "prod"], 6, "app1", "cannot read", "does not")
    finally:
        os.rename(fleet.origin + ".away", fleet.origin)


def test_a_directory_with_the_nodes_name(fleet):
    """`dir: /x/{node}/srv` is each node's own; a name that stands for nothing is refused where it is written."""
    servers = "\n".join(f"    {n.id}: {{host: {n.host}, port: {n.port}, ssh: {{port: {n.ssh_port}}}}}"
                        for n in fleet.nodes)
    fleet.write_pillar(servers=servers)
    with_text(fleet, f"dir: {fleet.dir}/srv", f"dir: '{fleet.dir}/nodes/{{node}}/srv'")
    text = run(fleet, "status", "--probe", "prod", status=0).stdout
    assert text.count(fleet.revs["v1"][:7]) >= len(fleet.nodes), text
    with_text(fleet, "/nodes/{node}/srv", "/nodes/{nodde}/srv")
    assert refused(fleet, RUN, 2, "prod.sls:", "{nodde}").count("{nodde}") == 1
    fleet.write_pillar()


@pytest.mark.parametrize("args,status,words", ARGUMENTS, ids=[" ".join(a[0]) for a in ARGUMENTS])
def test_arguments(fleet, args, status, words):
    refused(fleet, args, status, *words)
