# SPDX-License-Identifier: MIT
"""The commands that only read, the small ones, and --json: each answers, on the terminal's way and the programs'."""
import json

from scene import expect_world, release, run, snapshot

FLEET = {"varnish": None, "n_nodes": 3}


def objects(result):
    """--json: one object per line, each of them JSON."""
    return [json.loads(line) for line in result.stdout.splitlines() if line.strip()]


def test_before_any_release(fleet):
    before = snapshot(fleet)
    for args in (["status", "prod"], ["history", "prod"], ["nodes", "prod"], ["pillar", "prod"], ["lb", "prod"],
                 ["check", "prod"]):
        result = run(fleet, *args)
        if args[0] in ("nodes", "lb"):
            assert all(n.id in result.stdout for n in fleet.nodes), result.stdout
    text = run(fleet, "nodes", "prod").stdout
    assert "prod.sls:" in text, "the place of a value is missing"
    assert snapshot(fleet) == before


def test_plan_changes_nothing_and_tells_all(fleet):
    before = snapshot(fleet)
    text = run(fleet, "plan", "--rev", "v2", "prod").stdout
    assert fleet.revs["v2"][:12] in text
    assert text.index("app1") < text.index("app2") < text.index("app3")
    assert "v2: good" in text, "the commits are missing: " + text
    for verb in ("haproxy.drain", "supervisord.stop", "release.switch", "http.check"):
        assert verb in text, text
    assert snapshot(fleet) == before


def test_dry_run_changes_nothing(fleet):
    before = snapshot(fleet)
    run(fleet, "run", "--rev", "v2", "--dry-run", "prod")
    assert snapshot(fleet) == before


def test_run_json(fleet):
    result = release(fleet, "v2", "--json")
    rows = objects(result)
    assert len(rows) > 20
    expect_world(fleet, "v2")


def test_after_a_release(fleet):
    status = run(fleet, "status", "prod").stdout
    assert fleet.revs["v2"][:7] in status
    assert fleet.revs["v2"][:7] in run(fleet, "history", "prod").stdout
    log = run(fleet, "log", "1").stdout
    assert "building v2" in log, "what the build printed is not in the log"
    one = run(fleet, "log", "1", "--node", "app2").stdout
    assert "app1" not in one.replace("app1/", ""), one


def test_json_everywhere(fleet):
    for args in (["status", "prod"], ["history", "prod"], ["nodes", "prod"], ["lb", "prod"], ["pillar", "prod"],
                 ["check", "prod"], ["log", "1"]):
        assert objects(run(fleet, *args, "--json")), args


def test_exec(fleet):
    result = run(fleet, "exec", "prod", "--", "echo", "one $HOME 'two'")
    assert result.stdout.count("one $HOME 'two'") == 3, result.stdout
    failing = fleet.release("exec", "prod", "--", "sh", "-c", "echo gone >&2; exit 3")
    assert failing.returncode not in (0, 2), failing
    assert "3" in failing.stdout + failing.stderr


def test_pillar_override(fleet):
    result = run(fleet, "pillar", "prod", "--pillar", '{"release": {"soak": "7s"}}', "--json")
    assert "7s" in result.stdout


def test_help_of_every_command(fleet):
    text = run(fleet, "--help").stdout
    for verb in ("run", "rollback", "resume", "plan", "check", "status", "history", "log", "lock", "unlock", "nodes",
                 "pillar", "lb", "exec"):
        assert verb in text
        page = run(fleet, verb, "--help").stdout
        assert f"release {verb}" in page, page
