# SPDX-License-Identifier: MIT
"""What live tests share. Each file is one scenario and starts its own fleet; each runs alone: `pytest test_x.py`."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
BUILD = os.environ.get("BUILD_DIR", "")
if BUILD:
    os.environ.setdefault("RELEASE_BIN", os.path.join(BUILD, "release"))
    os.environ.setdefault("RELEASE_LOAD", os.path.join(BUILD, "tests", "release-load"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failing test says where its fleet's logs are, and leaves them there."""
    outcome = yield
    if outcome.get_result().failed:
        fleet = item.funcargs.get("fleet")
        if fleet is not None:
            fleet.failed = True


@pytest.fixture
def make_fleet():
    """Starts fleets that end with the test; a failed test's directory stays for a look when KEEP_FAILED is set."""
    from fleet import Fleet
    started = []

    def make(**args):
        started.append(Fleet(**args).start())
        return started[-1]
    yield make
    for fleet in started:
        fleet.stop(keep=bool(os.environ.get("KEEP_FAILED")) and getattr(fleet, "failed", False))


@pytest.fixture(scope="module")
def fleet(request):
    """One fleet for the tests of a file, which go on from one another in order; FLEET = {...} in the file changes it."""
    from fleet import Fleet
    f = Fleet(**getattr(request.module, "FLEET", {})).start()
    yield f
    f.stop(keep=bool(os.environ.get("KEEP_FAILED")) and getattr(f, "failed", False))


def pytest_sessionfinish(session, exitstatus):
    """A file of which nothing could run counts as skipped (ctest: 77), not as passed."""
    stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
    if exitstatus == 0 and stats.get("skipped") and not stats.get("passed"):
        session.exitstatus = 77
