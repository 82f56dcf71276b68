# SPDX-License-Identifier: MIT
"""Revisions that are unknown, ambiguous or hostile: refused, said why, nothing touched, nothing executed."""
import os

import pytest
from origin import git
from scene import expect_world, refused, run

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}
HOSTILE = ["-x", "--upload-pack=touch canary", "--output=canary", "ext::sh -c touch% canary", "v2;touch canary",
           "$(touch canary)", "v2\ntouch canary", "@{-1}", "v2^{/x}", "../v2", "refs/heads/../../x", "a" * 4096, "",
           "v2..v3", ":/x", "main@{yesterday}"]


@pytest.mark.parametrize("rev", HOSTILE, ids=lambda r: repr(r)[:20])
def test_hostile(fleet, rev):
    before = fleet.release("run", f"--rev={rev}", "--yes", "prod").returncode
    assert before in (2, 6)
    refused(fleet, ["run", f"--rev={rev}", "--yes", "prod"], before)
    for d, _, files in os.walk(fleet.dir):
        assert "canary" not in files, f"{d}/canary was made"


@pytest.mark.parametrize("rev", ["nosuch", "deadbeef", "0" * 40])
def test_unknown(fleet, rev):
    refused(fleet, ["run", "--rev", rev, "--yes", "prod"], 6, rev)


def test_branch_named_like_a_hash(fleet):
    """git itself would take the branch, with no more than a warning. The commit meant is v2; and a branch whose name is
    a hash of nothing is no revision."""
    short = fleet.revs["v2"][:8]
    git("branch", short, fleet.revs["v3"], cwd=fleet.origin)
    git("branch", "deadbeef", fleet.revs["v3"], cwd=fleet.origin)
    refused(fleet, ["run", "--rev", "deadbeef", "--yes", "prod"], 6, "deadbeef")
    text = run(fleet, "plan", "--rev", short, "prod").stdout
    assert fleet.revs["v2"][:12] in text and fleet.revs["v3"][:12] not in text, text
    git("branch", "-D", short, "deadbeef", cwd=fleet.origin)


def test_short_hash_branch_and_tag_work(fleet):
    for typed, version in ((fleet.revs["v2"][:9], "v2"), ("v7", "v7")):
        run(fleet, "run", "--rev", typed, "--yes", "prod")
        expect_world(fleet, version)
