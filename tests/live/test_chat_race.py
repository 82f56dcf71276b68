# SPDX-License-Identifier: MIT
"""40 at once over command line, Slack and API: one release starts, every other one is told who holds the lock.

RACES=50 runs more races of releases than the suite's one; races for the lock alone are cheap, LOCK_RACES=500 runs more."""
import concurrent.futures
import json
import os
import threading
import time

import pytest
from rooms import Room
from scene import run, wait_for
from serving import Serving

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}
RACES, LOCK_RACES = int(os.environ.get("RACES", 1)), int(os.environ.get("LOCK_RACES", 5))


@pytest.fixture(scope="module")
def room(fleet):
    r = Room(fleet.dir)
    yield r
    r.stop()


@pytest.fixture(scope="module")
def server(fleet, room):
    fleet.write_pillar(soak="10m", extra="  confirm: no\n")
    room.write_config(fleet.root)
    with Serving(fleet) as s:
        yield s


class Racers:
    """40 who want the same at the same moment; what each was told in the end."""

    def __init__(self, fleet, room, server, token, cli, slack, api):
        self.fleet, self.room, self.server, self.token = fleet, room, server, token
        self.n = (cli, slack, api)
        self.orders_before = max([o["id"] for o in self.orders()], default=0)
        self.before = len(self.history())
        self.gate = threading.Barrier(cli + slack + api)
        self.processes, self.told = {}, {}

    def orders(self):
        return self.server.get("/api/v1/orders?env=prod&limit=200", self.token)[1]

    def history(self):
        return [json.loads(line) for line in run(self.fleet, "history", "prod", "--json").stdout.splitlines()]

    def new_orders(self):
        return [o for o in self.orders() if o["id"] > self.orders_before]

    def type(self, n):
        self.gate.wait()
        self.told[f"slack:s{n}"] = self.room.type(self.server, f"run {self.fleet.revs['v2']} prod", user=f"s{n}")

    def post(self, n):
        self.gate.wait()
        status, answer = self.server.post("/api/v1/envs/prod/run", self.token, rev=self.fleet.revs["v2"], confirm="prod")
        assert status == 202, answer

    def start(self, n):
        self.gate.wait()
        self.processes[f"cli{n}"] = self.fleet.release_start("run", "--rev", self.fleet.revs["v2"], "--yes", "--operator",
                                                             f"cli{n}", "prod", name=f"race{n}")

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(sum(self.n)) as pool:
            jobs = [pool.submit(go, n) for go, count in zip((self.start, self.type, self.post), self.n) for n in range(count)]
            for job in jobs:
                job.result()

    def losers(self):
        """Who was refused -> what they were told. The winner goes on for ten minutes."""
        lost = {who: self.fleet.log(f"race{who[3:]}.err") for who, p in self.processes.items() if p.poll() is not None}
        lost.update({who: text for who, text in self.told.items() if "held by" in text})
        for o in self.new_orders():
            if o["verb"] == "run" and o["ended"] is not None:
                assert o["exit"] == 3, o
                lost[f"{o['who']} order {o['id']}"] = self.server.get(f"/api/v1/orders/{o['id']}", self.token)[1]["output"]
        return lost

    def end(self):
        for p in self.processes.values():
            p.wait(timeout=120)


def one_race(fleet, room, server, token):
    room.forget()
    racers = Racers(fleet, room, server, token, cli=13, slack=13, api=14)
    racers.run()
    wait_for("39 are refused", lambda: len(racers.losers()) >= 39, seconds=180, every=0.2)
    wait_for("one has begun", lambda: len(racers.history()) > racers.before, seconds=60)
    lost, history = racers.losers(), racers.history()
    assert len(lost) == 39 and len(history) == racers.before + 1, (len(lost), history)
    winner = history[0]
    wrong = {who: text for who, text in lost.items() if f"held by {winner['who']}@" not in text.replace("\u200b", "")}
    assert not wrong, (winner["who"], wrong)
    # Whose order lost hears it in the room, too.
    late = [o for o in racers.new_orders() if o["via"] == "slack" and o["exit"] == 3]
    wait_for("the room's losers are told", lambda: len([m for m in room.said if "was not begun" in m["text"]]) >= len(late))
    server.post("/api/v1/envs/prod/pause", token)
    wait_for("the winner has stopped", lambda: "prod is not locked" in fleet.release("unlock", "prod").stdout, seconds=60)
    racers.end()
    run(fleet, "unlock", "prod", "--force", "--reason", "next race")
    return winner["who"]


def test_one_release_starts(fleet, room, server):
    token = server.token("ci", "operator")
    winners = [one_race(fleet, room, server, token) for _ in range(RACES)]
    print(f"{len(winners)} races of 40 for a release, each won by exactly one: {winners}")


def test_one_holds_the_lock(fleet, room, server):
    """40 in the room lock by hand; with 39 in the queue, it is always the first one's turn."""
    for n in range(LOCK_RACES):
        gate = threading.Barrier(40)

        def lock(k):
            gate.wait()
            return room.type(server, f"lock prod race {n}", user=f"r{k}")
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            said = list(pool.map(lock, range(40)))
        won = [k for k, text in enumerate(said) if "is locked by" in text]
        assert len(won) == 1, said
        assert all(f"held by slack:r{won[0]}" in text.replace("\u200b", "") for k, text in enumerate(said) if k != won[0])
        room.type(server, "unlock prod", user=f"r{won[0]}")
    print(f"{LOCK_RACES} races of 40 for the lock, each won by exactly one")
