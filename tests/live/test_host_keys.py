# SPDX-License-Identifier: MIT
"""Host keys: only the right one goes on; unknown, changed and revoked are told apart; all hosts are told at once."""
from scene import expect_world, refused, release

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 3}
RUN = ["run", "--rev", "v2", "--yes", "prod"]


def known(fleet):
    with open(fleet.known_hosts) as f:
        return f.read().splitlines()


def write(fleet, lines):
    with open(fleet.known_hosts, "w") as f:
        f.write("\n".join(lines) + "\n")


def test_missing(fleet):
    lines = known(fleet)
    write(fleet, lines[:1] + lines[2:])
    refused(fleet, RUN, 6, "app2", "host key", "known_hosts")
    write(fleet, lines)


def test_changed(fleet):
    lines = known(fleet)
    other = fleet.keygen(f"{fleet.dir}/keys/other", "ed25519")
    write(fleet, [lines[0], lines[1].split()[0] + " " + other, lines[2]])
    refused(fleet, RUN, 6, "app2", "changed")
    write(fleet, lines)


def test_revoked(fleet):
    lines = known(fleet)
    write(fleet, lines + ["@revoked * " + " ".join(lines[2].split()[1:])])
    refused(fleet, RUN, 6, "app3", "revoked")
    write(fleet, lines)


def test_all_are_named_at_once(fleet):
    lines = known(fleet)
    write(fleet, lines[:1])
    refused(fleet, RUN, 6, "app2", "app3")
    write(fleet, lines)


def test_right_keys_go_on(fleet):
    release(fleet, "v2")
    expect_world(fleet, "v2")
