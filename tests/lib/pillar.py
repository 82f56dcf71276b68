# SPDX-License-Identifier: MIT
"""The pillar that describes a fleet to the product: what a user would write for these servers, as YAML."""
import getpass
import os

TEMPLATE = """# A test fleet: loopback addresses, every node with its own sshd and supervisord.
release:
  app: site
  {what}
  dir: {dir}/srv   # each node says its own: they share one machine
  plan: {plan}
  app_servers:
{servers}
  ssh: {{{ssh_more}transport: {transport}, user: {user}, key: {key}, known_hosts: {known_hosts}}}
  balancer:
{balancer}
  supervisor: {{programs: [site], conf: "{dir}/nodes/{{node}}/supervisord.conf"}}
{extra}"""
DEFAULTS = {
    "build": '[{cmd.run: {cmd: sh build.sh, timeout: 60s}}]',
    "check": '{url: "http://{host}:{port}/health", status: 200, expect: "ok", stable: 2, within: 8s}',
    "stages": "[1, 100%]",
    "soak": "0s",
    "window": "1",
    "min_up": "50%",
    "max_failed": "0",
    "on_failure": "rollback",
    "keep": "5",
}


def balancer_lines(fleet, changes):
    if "balancer" in changes:
        return changes["balancer"]
    timeout = changes.get("drain_timeout", "20s")
    on_timeout = changes.get("on_timeout", "restore")
    sockets = ", ".join(f'"{s}"' for s in changes.get("sockets") or [lb.tcp_socket for lb in fleet.lbs])
    lines = []
    if fleet.node_varnish:
        return (f'    varnish-service: {{sockets: [{sockets}], backend: site, drain_timeout: {timeout}, '
                f'admin: "tcp://{{host}}:{fleet.base + 82}", '
                f'secret: "file:{fleet.dir}/lb/{fleet.nodes[0].id}-varnish/secret"}}')
    if fleet.lbs:
        lines.append(f"    haproxy: {{sockets: [{sockets}], backend: site, drain_timeout: {timeout}, "
                     f"on_timeout: {on_timeout}}}")
    if fleet.varnish_mode == "nodes":
        v = fleet.varnish
        lines.append(f'    varnish: {{admin: ["tcp://{v.host}:{v.cli_port}"], secret: "file:{v.secret}", '
                     f'stats: ["{v.dir}/wd"], drain_timeout: {timeout}, on_timeout: {on_timeout}}}')
    return "\n".join(lines)


def write_pillar(fleet, changes):
    """changes: any key of DEFAULTS (None leaves it out), plan, transport, sockets, drain_timeout, on_timeout,
    source (in the place of the repository), servers, balancer (the lines of app_servers and balancer), extra (more text), ssh_port (of hosts that are no node: nodes
    say their own)."""
    servers = changes.get("servers") or "\n".join(
        f"    {n.id}: {{host: {n.host}, port: {n.port}, dir: {n.srv}, ssh: {{port: {n.ssh_port}}}}}" for n in fleet.nodes)
    keys = {k: changes.get(k, v) for k, v in DEFAULTS.items()}
    extra = "".join(f"  {k}: {v}\n" for k, v in keys.items() if v is not None) + changes.get("extra", "")
    text = TEMPLATE.format(
        ssh_more=f"port: {changes['ssh_port']}, " if "ssh_port" in changes else "",
        what=f"source: {changes['source']}" if "source" in changes else f"repo: {fleet.origin}\n  branch: main", dir=fleet.dir, plan=changes.get("plan", fleet.mode), servers=servers,
        transport=changes.get("transport", fleet.ssh), user=getpass.getuser(), key=fleet.key,
        known_hosts=fleet.known_hosts, balancer=balancer_lines(fleet, changes), extra=extra)
    os.makedirs(f"{fleet.root}/pillar", mode=0o700, exist_ok=True)
    path = f"{fleet.root}/pillar/prod.sls"
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)
