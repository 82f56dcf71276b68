# SPDX-License-Identifier: MIT
"""The node must be the machine that the plan means."""
from scene import refused

FLEET = {"varnish": None, "balancers": 1, "n_nodes": 2}


def test_wrong_identity(fleet):
    one, two = fleet.nodes
    fleet.write_pillar(servers=(
        f"    app1: {{host: {one.host}, port: {one.port}, dir: {one.srv}, ssh: {{port: {one.ssh_port}}}}}\n"
        f"    app2: {{host: {two.host}, port: {two.port}, dir: {two.srv}, ssh: {{port: {two.ssh_port}}}, "
        "identity: 'other-host:0123456789abcdef0123456789abcdef'}"))
    refused(fleet, ["run", "--rev", "v2", "--yes", "prod"], 6, "app2", "identity", "other-host")
