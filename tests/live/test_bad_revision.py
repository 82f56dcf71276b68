# SPDX-License-Identifier: MIT
"""Revisions that do not work: what was good goes on serving, and nobody fails a request."""
import json

import oracle
from load import Load
from origin import git
from scene import expect_world, release, run

FLEET = {"varnish": None}


def goes_back(fleet, version, good):
    with Load(fleet, rate=200) as load:
        result = release(fleet, version, status=1)
        load.run_on(0.5)
    assert load.problems() == []
    assert fleet.revs[version] not in load.report["revisions"], "clients were served by the bad revision"
    expect_world(fleet, good)
    return result.stdout + result.stderr


def test_health_check_fails(fleet):
    text = goes_back(fleet, "v3", "v1")
    assert "app1" in text and "500" in text
    last = text.splitlines()[-1]
    assert "failed, back on the old revision" in last and "app1: http.check" in last and "500" in last, last
    reported_as_it_was(fleet)


def reported_as_it_was(fleet):
    """For a post-mortem: what was recorded of the commits, who failed, how many were in rotation. And the figures."""
    told = json.loads(run(fleet, "report", "prod", "--json").stdout)
    about, failure = told["about"], told["failures"][0]
    date = git("log", "-1", "--format=%cI", fleet.revs["v3"], cwd=fleet.origin).strip()
    assert about["commit.date"] == date and about["change.1.from"] == fleet.revs["v1"], about
    assert about["change.1.direction"] == "forward" and about["change.1.commit.1"], about
    assert failure["node"] == "app1" and failure["step"] == "http.check" and "500" in failure["text"], failure
    n = len(fleet.nodes)
    assert (told["capacity"]["most_up"], told["capacity"]["least_up"]) == (n, n - 1), told["capacity"]
    text = run(fleet, "report", "prod").stdout
    assert "app1, http.check: " in text and about["commit.subject"] in text, text
    stats = json.loads(run(fleet, "stats", "prod", "--json").stdout)
    assert stats["broken"] >= 1 and stats["restore"]["n"] == stats["broken"] and 0 <= stats["restore"]["longest_ms"] < 600000, stats


def test_does_not_start(fleet):
    text = goes_back(fleet, "v4", "v1")
    assert "app1" in text


def test_does_not_build(fleet):
    """No balancer is touched: the nodes never leave."""
    before = [oracle.pid_listening(n.host, n.port) for n in fleet.nodes]
    text = goes_back(fleet, "v6", "v1")
    assert "module 'theme' not found" in text, "the build's own words are missing"
    assert before == [oracle.pid_listening(n.host, n.port) for n in fleet.nodes], "a process was restarted"
    assert "failed, nothing was switched" in text and "max_failed" not in text, text
    for verb in ("status", "history"):
        assert "failed, nothing was switched" in run(fleet, verb, "prod").stdout
    told = json.loads(run(fleet, "history", "prod", "--json").stdout.splitlines()[0])
    assert told["result"] == "failed, nothing was switched"
    assert "app" in told["summary"] and "module 'theme' not found" in told["summary"], told


def test_slow_start_is_waited_for(fleet):
    release(fleet, "v5")
    expect_world(fleet, "v5")


def test_bad_after_good_goes_back_to_good(fleet):
    release(fleet, "v2")
    goes_back(fleet, "v3", "v2")
