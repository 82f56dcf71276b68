# SPDX-License-Identifier: MIT
"""Windows and freezes: nothing begins outside of them without a reason, a release that is told to pauses when they close, and
the way back never waits."""
import datetime
import os
import signal
import time

from daemons import wait_for
from scene import expect_world, refused, release, run, told

FLEET = {"varnish": None, "n_nodes": 2}


def day(days):
    return (datetime.date.today() + datetime.timedelta(days=days)).isoformat()


def freeze(fleet, begin, end, **more):
    lines = f'  freeze: {{from: "{begin}", to: "{end}", why: stocktaking}}\n  window_closes: pause\n'
    fleet.write_pillar(extra=lines, **more)


def test_a_frozen_environment_is_not_released(fleet):
    freeze(fleet, day(-1), day(2))
    why = f"frozen from {day(-1)} to {day(2)}: stocktaking"
    args = "run", "--rev", fleet.revs["v2"], "--yes", "prod"
    refused(fleet, args, 6, "prod is not released now", why, "it opens", f"{day(3)} 00:00", "--override-window --reason TEXT prod")
    refused(fleet, ("plan", "--brief", "--rev", fleet.revs["v2"], "prod"), 6, why, "run --override-window")
    refused(fleet, args + ("--override-window",), 2, "needs --reason TEXT")
    looks = run(fleet, "check", "--rev", fleet.revs["v2"], "prod")
    assert why in looks.stdout + looks.stderr, told(looks)


def test_with_a_reason_it_is(fleet):
    done = release(fleet, "v2", "--override-window", "--reason", "the shop burns")
    assert "prod is not released now" in done.stderr and "the shop burns" in done.stderr, told(done)
    expect_world(fleet, "v2")
    assert run(fleet, "log", "prod").stdout.startswith("overridden: window: the shop burns\n")
    frozen = run(fleet, "plan", "--json", "--rev", fleet.revs["v1"], "prod").stdout
    assert '"times":' in frozen and "override" not in frozen
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v1")


def test_a_revision_must_be_as_git_wants_it(fleet):
    fleet.write_pillar(extra='  git: {allow: ["release/*"], max_age: 1s}\n')
    args = "run", "--rev", fleet.revs["v2"], "--yes", "prod"
    refused(fleet, args, 6, "is on main and on none of 'release/*'", "hours old (committed 2026-01-01",
            "--override allow --reason TEXT", "--override max_age --reason TEXT")
    refused(fleet, (*args, "--override", "alow", "--reason", "x"), 2, "there is no 'alow'")
    refused(fleet, (*args, "--override", "allow", "--reason", "it burns"), 6, "--override max_age --reason TEXT")
    override = "--override", "allow,max_age", "--reason", "it burns"
    run(fleet, *args, "--only", "app1", *override)
    goes = run(fleet, *args, "--only-outdated", *override, "--dry-run")
    assert "is on main and on none of 'release/*'" in goes.stderr and "--override max_age, because 'it burns'" in goes.stderr, told(goes)
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v1")


def test_a_way_back_does_not_wait(fleet):
    """The controller dies on the way back, and a day later, by its clock, the environment is frozen."""
    freeze(fleet, day(1), day(3))
    release(fleet, "v3", status=-signal.SIGKILL, env={"RELEASE_FAIL": "release.switch:2"})
    back = run(fleet, "resume", "prod", status=1, env={"TZ": "TST-24"})
    assert "is not released now" not in back.stderr, told(back)
    expect_world(fleet, "v1")


def test_a_release_pauses_when_it_closes(fleet):
    """The machine's clock is set so that the minute is over in 8 seconds; until then the build waits."""
    gate = f"{fleet.dir}/gate"
    open(gate, "w").close()
    ahead = int((52 - time.time()) % 60)
    env = {"TZ": f"TST-00:00:{ahead:02d}"}
    at = datetime.datetime.fromtimestamp(time.time() + ahead + 60, datetime.timezone.utc)
    begin, end = at.strftime("%Y-%m-%d %H:%M"), (at + datetime.timedelta(days=3)).strftime("%Y-%m-%d")
    build = f"while [ -e {gate} ]; do sleep 0.1; done; sh build.sh"
    freeze(fleet, begin, end, build=f'[{{cmd.run: {{cmd: "{build}", timeout: 60s}}}}]')
    going = fleet.release_start("run", "--rev", fleet.revs["v2"], "--yes", "prod", env=env)
    wait_for("the release is told to stop", lambda: "order: stop" in fleet.log("release.out"), seconds=90)
    os.remove(gate)
    assert going.wait(60) == 4, fleet.log("release.err")
    assert "prod is not released now (frozen from" in fleet.log("release.err")
    expect_world(fleet, "v1")
    still = run(fleet, "resume", "prod", status=6, env=env)
    assert "release resume --override-window" in still.stderr, told(still)
    run(fleet, "resume", "--override-window", "--reason", "two versions are worse", "prod", env=env)
    expect_world(fleet, "v2")
