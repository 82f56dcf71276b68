# SPDX-License-Identifier: MIT
"""Looks on while a scenario runs: the balancers' own words about who is out, over sockets that no fault reaches."""
import socket
import threading


class Watcher(threading.Thread):
    """The balancers' admin states for as long as it lives: how many nodes were out at once, by whose hand ever."""

    def __init__(self, fleet):
        super().__init__(daemon=True)
        self.fleet, self.most, self.over = fleet, 0, threading.Event()

    def run(self):
        ended = False
        while not ended:
            ended = self.over.wait(0.05)  # the last look is after the end
            self.look()

    def look(self):
        out = set()
        for lb in self.fleet.lbs:
            try:
                out |= {name for name, bits in ask_unix(lb).items() if bits & ~4}  # 4: the balancer's own
            except (OSError, StopIteration):
                continue
        self.most = max(self.most, len(out))


def ask_unix(lb):
    """admin_state over the balancer's own unix socket, which no fault of the network reaches."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(f"{lb.dir}/admin.sock")
        s.sendall(b"show servers state site\n")
        lines = b"".join(iter(lambda: s.recv(65536), b"")).decode().splitlines()
    header = next(line for line in lines if line.startswith("# ")).lstrip("# ").split()
    rows = [line.split() for line in lines if line[:1].isdigit() and " " in line]
    return {row[header.index("srv_name")]: int(row[header.index("srv_admin_state")]) for row in rows}
