# SPDX-License-Identifier: MIT
"""A stage is judged by what clients got, as HAProxy counts it: a canary whose health check passes and whose answers are errors
goes back; a good one does not."""
import json

from load import Load
from oracle import open_journal
from origin import add_commit
from scene import expect_world, release, run

FLEET = {"varnish": None, "n_nodes": 2}
JUDGE = "  judge: {errors: 1%, worse_than_others: 2x, min_requests: 200, deadline: 20s}\n"


def verdicts(fleet):
    rows = open_journal(fleet.state).execute(
        "select at_ms, b, text, facts from journal where kind = 'note' and code = 'judged' and release = "
        "(select max(release) from journal) order by seq")
    return [(at, b, text, json.loads(facts)) for at, b, text, facts in rows]


def soak_began(fleet):
    return open_journal(fleet.state).execute(
        "select min(at_ms) from journal where code = 'soak' and release = (select max(release) from journal)").fetchone()[0]


def test_a_canary_that_fails_3_percent_goes_back(fleet):
    fleet.revs["v8"] = add_commit(fleet.dir, "v8", "errors-3")
    fleet.write_pillar(soak="4s", extra=JUDGE)
    with Load(fleet, path="/slow?ms=10", rate=600) as load:
        load.run_on(0.5)
        told = release(fleet, "v8", status=1)
    (at, said, text, facts), = verdicts(fleet)
    assert said == 2 and text.startswith("stage 1: failed by its judge: "), text
    assert "; wanted at most " in text and text in told.stdout + told.stderr, text
    assert int(facts["judge.errors"]) >= 5 and int(facts["judge.others_errors"]) == 0, facts
    assert load.report["failed"] < load.report["sent"] / 50, load.report
    assert "failed by its judge" in run(fleet, "log", "prod").stdout
    expect_world(fleet, "v1")
    print(f"3 %: {(at - soak_began(fleet)) / 1000:.1f} s after it began, {facts}")


def test_a_good_one_passes(fleet):
    fleet.write_pillar(soak="1s", extra=JUDGE)
    with Load(fleet, path="/slow?ms=10", rate=600) as load:
        release(fleet, "v2")
    assert load.problems() == []
    first, last = verdicts(fleet)
    assert first[1] == last[1] == 1 and first[2].startswith("stage 1: passed by its judge: 0% errors (0 of "), first
    assert "; the others 0% errors (0 of " in first[2] and "; no other node is left to hold it against" in last[2], last
    expect_world(fleet, "v2")
