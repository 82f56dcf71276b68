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
