# SPDX-License-Identifier: MIT
"""Two at a time, and never fewer up than the floor says, as the balancer itself sees it."""
import threading

from load import Load
from scene import expect_world, release


FLEET = {"varnish": None, "n_nodes": 5, "pillar": {"window": "2", "min_up": "3", "stages": "[1, 100%]"}}


def test_floor_holds_all_the_time(fleet):
    least, most_out, done = [99], [0], threading.Event()

    def watch():
        while not done.is_set():
            states = fleet.lbs[0].admin_state()
            out = sum(1 for bits in states.values() if bits)
            most_out[0], least[0] = max(most_out[0], out), min(least[0], len(states) - out)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with Load(fleet, rate=200) as load:
            release(fleet, "v2")
    finally:
        done.set()
        watcher.join()
    assert load.problems() == []
    assert least[0] >= 3, f"only {least[0]} were in rotation"
    assert most_out[0] == 2, f"the window of 2 was never used: {most_out[0]} out at most"
    expect_world(fleet, "v2")
