# SPDX-License-Identifier: MIT
"""The fault matrix on live fleets: every tests/live/faults/*.yml in a process and in namespaces of its own (tests/lib/matrix.py
has the words). Several run at once, because they mostly wait. RELEASE_MATRIX=all runs those too that are marked `suite: no`;
MATRIX_JOBS says how many at once."""
import concurrent.futures
import glob
import os

import pytest
import yaml
from matrix import run_scenario

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = sorted(glob.glob(f"{HERE}/faults/*.yml"))
pool = concurrent.futures.ThreadPoolExecutor(max_workers=int(os.environ.get("MATRIX_JOBS", "3")))
running = {}


def in_suite(path):
    with open(path) as f:
        return yaml.safe_load(f).get("suite", True) or os.environ.get("RELEASE_MATRIX") == "all"


@pytest.fixture(scope="module", autouse=True)
def started(request):
    """All that was selected, from the beginning on."""
    for item in request.session.items:
        path = getattr(item, "callspec", None) and item.callspec.params.get("path")
        if path and in_suite(path):
            running[path] = pool.submit(run_scenario, path)
    yield
    pool.shutdown(cancel_futures=True)


RIG = {
    "nodes were out at once": "{tell: lb1 set server site/app1 state drain}, {tell: lb1 set server site/app2 state drain}, "
                              "{out: [app1, app2]}",
    "changes without an intent": "{tell: lb1 set server site/app1 state drain}, {out: [app1]}",
}


@pytest.mark.parametrize("seen", RIG)
def test_the_witnesses_see(tmp_path, seen):
    """The rig first: two nodes out with a window of one, and a change that no journal knows of, must be noticed."""
    path = tmp_path / "rig.yml"
    path.write_text(f"fleet: {{n_nodes: 2, balancers: 1}}\ndo: [{RIG[seen]}]\n")
    status, text = run_scenario(str(path))
    assert status == 1 and seen in text, text


@pytest.mark.parametrize("path", FILES, ids=lambda p: os.path.basename(p)[:-4])
def test_row(path):
    if path not in running:
        pytest.skip("only with RELEASE_MATRIX=all")
    status, text = running[path].result()
    if status == 77:
        pytest.skip(text.strip())
    assert status == 0, text
