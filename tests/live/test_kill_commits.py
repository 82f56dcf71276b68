# SPDX-License-Identifier: MIT
"""kill -9 just before and just after the n-th commit of the journal, over a whole release, on real servers; each time
one command ends it: resume and rollback in turn. Needs a build with failpoints."""
import signal

import pytest
from scene import end, expect_world, run, start_release, texts, told

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2, "pillar": {"stages": "[100%]"}}


def killed(fleet, version, where, n):
    """Runs a release that dies at that commit; False when it ended before there were so many."""
    process = start_release(fleet, version, env={"RELEASE_FAIL": f"{where}:{n}"})
    status = end(process, fleet)
    assert status in (0, -signal.SIGKILL), texts(fleet)
    return status != 0


@pytest.mark.parametrize("where", ["commit-before", "commit-after"])
@pytest.mark.parametrize("n", [1, 2, 4, 7, 11, 16, 22, 29, 37, 46])
def test_dies_at_commit(fleet, where, n):
    at = next(v for v, rev in fleet.revs.items() if rev == fleet.nodes[0].running_rev())
    to = "v2" if at == "v1" else "v1"
    if not killed(fleet, to, where, n):
        pytest.skip(f"a release has fewer than {n} commits")
    way, wanted = ("resume", to) if n % 2 else ("rollback", at)
    result = fleet.release(way, "--yes", "prod")
    if result.returncode == 2 and way == "resume":
        # Dead before the release was in the journal, or after its last row: all or nothing, and nobody needs to be told
        # that the lock's holder is gone.
        running = fleet.nodes[0].running_rev()
        wanted = at if running == fleet.revs[at] else to
        expect_unlocked_by_next(fleet, wanted)
    else:
        assert result.returncode == 0, told(result)
        expect_world(fleet, wanted, finished=False)


def expect_unlocked_by_next(fleet, version):
    run(fleet, "run", "--rev", fleet.revs[version], "--yes", "prod")
    expect_world(fleet, version, finished=False)
