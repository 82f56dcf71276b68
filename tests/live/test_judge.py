# SPDX-License-Identifier: MIT
"""A stage is judged by what clients got, as HAProxy counts it: a canary whose health check passes and whose answers are errors
goes back; a good one does not."""
import json
import os
import shutil
import urllib.request

import pytest

from daemons import spawn, wait_for
from load import Load
from oracle import open_journal
from origin import add_commit
from scene import expect_world, refused, release, run

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


def is_ready(url):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as r:
            return r.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def prometheus(fleet, tmp_path_factory):
    """The real one, on an address of the fleet. It scrapes nothing: what queries need, they make themselves."""
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed")
    place = str(tmp_path_factory.mktemp("prometheus"))  # not the fleet's: its judges know all that runs there
    with open(f"{place}/conf.yml", "w") as f:
        f.write("global: {}\n")
    address = f"{fleet.net}.11:{fleet.base + 90}"
    process = spawn(place, "prometheus", [shutil.which("prometheus"), f"--config.file={place}/conf.yml",
                                              f"--storage.tsdb.path={place}/data", f"--web.listen-address={address}"])
    wait_for("prometheus is ready", lambda: is_ready(f"http://{address}/-/ready"))
    yield f"http://{address}"
    process.terminate()
    process.wait(20)


def judged_also(fleet, url, query, program="/bin/true"):
    fleet.write_pillar(soak="1s", extra="  judge:\n    errors: 1%\n    min_requests: 200\n    deadline: 20s\n"
                       f"    cmd: [{program}, '{{rev}}']\n    prometheus: {{url: '{url}', max: 0.5, query: '{query}'}}\n")


def test_what_no_judge_could_be_is_refused(fleet, prometheus):
    place = "pillar/prod.sls:"
    args = "run", "--rev", fleet.revs["v2"], "--yes", "prod"
    two = 'label_replace(vector(1), "a", "b", "", "") or vector(2)'
    for url, query, program, words in (
            (prometheus, two, "/bin/true", "the query gives 2 series, wanted one"),
            (prometheus, "sum(", "/bin/true", "parse error"),
            (prometheus, "vector(1)[1m:]", "/bin/true", "the query gives a matrix, wanted one value now"),
            (f"http://{fleet.lbs[0].host}:{fleet.lbs[0].port}", "up", "/bin/true", "not what its API answers"),
            (prometheus, "vector(0)", "/bin/no-such-program", "/bin/no-such-program cannot be run here")):
        judged_also(fleet, url, query, program)
        refused(fleet, args, 6, words, place)


def test_a_good_one_passes(fleet, prometheus):
    """By all three judges: what HAProxy counted, a program, a query."""
    with open(os.open(f"{fleet.dir}/is-well", os.O_CREAT | os.O_WRONLY, 0o700), "w") as f:
        f.write("#!/bin/sh\necho carts are filled by $1\n")
    judged_also(fleet, prometheus, "vector(0.25)", f"{fleet.dir}/is-well")
    with Load(fleet, path="/slow?ms=10", rate=600) as load:
        release(fleet, "v2")
    assert load.problems() == []
    first, last = verdicts(fleet)
    assert first[1] == last[1] == 1 and first[2].startswith("stage 1: passed by its judge: 0% errors (0 of "), first
    assert "; the others 0% errors (0 of " in first[2] and "; no other node is left to hold it against" in last[2], last
    assert f"; cmd: status 0: carts are filled by {fleet.revs['v2']}; prometheus: 0.25, wanted at most 0.5" in last[2], last
    expect_world(fleet, "v2")
