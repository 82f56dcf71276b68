# SPDX-License-Identifier: MIT
"""Run-once steps run once per release, first on one node while the others wait, and are not repeated by a resume."""
import signal

import scene
from scene import end, expect_world, release, run, signal_when, start_release


def steps(fleet):
    mark = f"{fleet.dir}/once.log"
    return mark, (f"[{{cmd.run: {{cmd: sh build.sh}}}}, {{cmd.run: {{cmd: 'echo before {{node}} >> {mark}', once: before}}}}, "
                  f"{{cmd.run: {{cmd: 'echo first {{node}} >> {mark}', once: first}}}}, "
                  f"{{cmd.run: {{cmd: 'echo after {{node}} >> {mark}', once: after}}}}]")


def lines(mark):
    with open(mark) as f:
        return [line.split()[0] for line in f]


FLEET = {"varnish": None, "n_nodes": 3}


def test_each_once(fleet):
    mark, build = steps(fleet)
    fleet.write_pillar(build=build)
    release(fleet, "v2")
    expect_world(fleet, "v2")
    assert lines(mark) == ["before", "first", "after"]


def test_not_again_after_kill(fleet):
    mark, _ = steps(fleet)
    process = start_release(fleet, "v7")
    signal_when(fleet, process, "v7", "app2", scene.stopped, signal.SIGKILL)
    end(process, fleet)
    run(fleet, "resume", "--yes", "prod")
    expect_world(fleet, "v7", finished=False)
    assert lines(mark) == ["before", "first", "after"] * 2


def test_undo_runs_in_the_directory_of_its_release_when_all_are_back(fleet):
    """Both ways back run it with what the step had, and when no node serves any more what it takes away."""
    mark = f"{fleet.dir}/undo.log"
    what = "{rev} $(pwd)"
    fleet.write_pillar(build=f"[{{cmd.run: {{cmd: sh build.sh}}}}, {{cmd.run: {{cmd: 'echo {what} >> {mark}', once: first, "
                             f"label: migrate, undo: 'echo {what} >> {mark}'}}}}]")
    for rev, back in (("v2", "rollback"), ("v3", None)):
        open(mark, "w").close()
        release(fleet, rev, status=1 if back is None else 0)
        if back:
            run(fleet, back, "--yes", "prod")
        did, undid = lines_of(mark)
        assert did == undid and fleet.revs[rev] in did, (did, undid)
        log = run(fleet, "log", "--json").stdout
        assert log.rindex('"node-in"') < log.rindex("migrate"), log


def lines_of(mark):
    with open(mark) as f:
        return f.read().splitlines()
