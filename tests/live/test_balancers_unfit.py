# SPDX-License-Identifier: MIT
"""Balancers that do not fit the plan are found before anything is touched."""
from scene import refused

FLEET = {"varnish": None, "n_nodes": 3}
RUN = ["run", "--rev", "v2", "--yes", "prod"]


def test_unknown_server_on_one_balancer(fleet):
    lb = fleet.lbs[1]
    full = list(lb.servers)
    lb.servers = full[:2]
    lb.write_config()
    lb.reload()
    refused(fleet, RUN, 6, "app3", f"{lb.host}")
    lb.servers = full
    lb.write_config()
    lb.reload()


def test_balancers_disagree(fleet):
    fleet.lbs[0].set_state("app2", "maint")
    refused(fleet, RUN, 6, "app2", "maint")
    fleet.lbs[0].set_state("app2", "ready")


def test_balancer_does_not_answer(fleet):
    fleet.write_pillar(sockets=[fleet.lbs[0].tcp_socket, f"tcp://{fleet.net}.77:{fleet.base + 99}"])
    refused(fleet, RUN, 6, f"{fleet.net}.77")
    fleet.write_pillar()


def test_floor_that_cannot_hold(fleet):
    fleet.write_pillar(min_up="3")
    text = fleet.release(*RUN)
    assert text.returncode in (2, 6), text
    refused(fleet, RUN, text.returncode, "min_up")
    fleet.write_pillar()


def test_too_few_up_already(fleet):
    for lb in fleet.lbs:
        for node in ("app2", "app3"):
            lb.set_state(node, "maint")
    refused(fleet, RUN, 6, "up")
