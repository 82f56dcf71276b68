#!/usr/bin/python3 -IS
# SPDX-License-Identifier: MIT
"""A strict stand-in for ipvsadm where there is no ip_vs, or where a kernel of one's own (director.sh) is too slow: the options that
are used here, with ipvsadm 1.31's words, order and columns. unit/test_lvs gives the same commands to it and to the real one, and
wants the same answers. What it does not know it refuses, as status 99.

    IPVS_DIR=DIR ipvsadm ...      the table is DIR/table; connections are DIR/connections, lines of PROTOCOL STATE SOURCE VIRTUAL DESTINATION
                                  (state NONE: a template of persistence)
"""
import fcntl
import ipaddress
import json
import os
import sys

PROTOCOLS = {"-t": 6, "-u": 17}
NAMES = {6: "TCP", 17: "UDP"}
METHODS = {"-g": "Route", "-i": "Tunnel", "-m": "Masq"}
WORDS = {"-s", "-p", "-M", "-w", "-x", "-y", "-r", "-t", "-u", "-f"}  # have a value


class Refused(Exception):
    def __init__(self, text, status=255):
        super().__init__(text)
        self.status = status


def strange(what):
    raise Refused(f"the stand-in for ipvsadm does not know: {what}", 99)


def address(text, port=None):
    """The text of ADDRESS:PORT in ipvsadm's own form."""
    host, _, given = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") and "]:" in text else (text, "", "")
    at = ipaddress.ip_address((host or text).strip("[]"))
    number = int(given) if given else port
    return (f"[{at}]" if at.version == 6 else str(at)) + f":{number or 0}"


def order(text):
    host, _, port = text.rpartition(":")
    at = ipaddress.ip_address(host.strip("[]"))
    return at.version, int(at), int(port)


def parse(argv):
    act, options, rest = None, {}, list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("-A", "-D", "-a", "-e", "-d", "-C", "-L", "-S") and act is None:
            act = word
        elif word == "-Ln" and act is None:
            act, options["-n"] = "-L", True
        elif word in WORDS:
            if not rest:
                strange(f"{word} without its value")
            if word == "-p" and not rest[0].isdigit():
                strange("-p without seconds")
            options[word] = rest.pop(0)
        elif word in ("-n", "-c", "-6", "-g", "-i", "-m", "-o", "--persistent-conn", "--thresholds"):
            options[word] = True
        else:
            strange(word)
    if act in ("-L", "-S") and "-n" not in options:
        strange("a list with names instead of numbers")
    return act or strange("no command"), options


class Table:
    """Services by (mark, six, protocol, address); each has a scheduler, flags, and real servers by address."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "table")
        self.connections = []
        try:
            with open(self.path, encoding="ascii") as f:
                self.services = {tuple(key): service for key, service in json.load(f)}
        except FileNotFoundError:
            self.services = {}
        try:
            with open(os.path.join(directory, "connections"), encoding="ascii") as f:
                self.connections = [line.split() for line in f]
        except FileNotFoundError:
            pass

    def save(self):
        with open(self.path + ".new", "w", encoding="ascii") as f:
            json.dump(list(self.services.items()), f)
        os.replace(self.path + ".new", self.path)

    def key(self, options):
        if "-f" in options:
            return int(options["-f"]), "-6" in options, 0, ""
        for option, protocol in PROTOCOLS.items():
            if option in options:
                at = address(options[option])
                return 0, at.startswith("["), protocol, at
        return strange("no service")

    def find(self, options):
        key = self.key(options)
        if key not in self.services:
            raise Refused("Service not defined")
        return key, self.services[key]

    def ordered(self):
        return sorted(self.services.items(), key=lambda s: (s[0][0], s[0][1], s[0][2], order(s[0][3]) if s[0][3] else ()))

    def count(self, key, server):
        """active, inactive, templates. A mark's server has port 0, its connections have the port that their client asked for; which mark
        they had is not listed, so those to a service that has an address are none of its."""
        host, _, port = server.rpartition(":")
        addressed = {(NAMES[k[2]], k[3]) for k in self.services if not k[0]}
        if key[0]:
            ours = [c for c in self.connections if (c[4] == server or port == "0" and c[4].rpartition(":")[0] == host)
                    and (c[0], c[3]) not in addressed]
        else:
            ours = [c for c in self.connections if c[4] == server and (c[0], c[3]) == (NAMES[key[2]], key[3])]
        states = [c[1] for c in ours]
        active, templates = states.count("ESTABLISHED"), states.count("NONE")
        return active, len(states) - active - templates, templates


def service_words(key, service):
    words = ["-f", str(key[0])] + (["-6"] if key[1] else []) if key[0] else [{6: "-t", 17: "-u"}[key[2]], key[3]]
    return words, service


def change(table, act, options):
    if act == "-C":
        table.services.clear()
    elif act == "-A":
        key = table.key(options)
        if key in table.services:
            raise Refused("Service already exists")
        table.services[key] = {"scheduler": options.get("-s", "wlc"), "persistent": int(options.get("-p", 0)),
                               "mask": options.get("-M", ""), "ops": "-o" in options, "servers": {}}
    elif act == "-D":
        if table.services.pop(table.key(options), None) is None:
            raise Refused("No such service")
    else:
        change_server(table, act, options)
    table.save()


def change_server(table, act, options):
    if "-r" not in options:
        strange("no real server")
    if "-w" in options and not 0 <= int(options["-w"]) <= 0x7FFFFFFF:
        strange("a weight that is none")
    key, service = table.find(options)
    method = next((m for m in METHODS if m in options), "-g")
    server = address(options["-r"], order(key[3])[2] if key[3] else 0)
    if method != "-m" and key[3]:
        server = server.rpartition(":")[0] + ":" + key[3].rpartition(":")[2]
    there = server in service["servers"]
    if act == "-a" and there:
        raise Refused("Destination already exists")
    if act != "-a" and not there:
        raise Refused("No such destination")
    if act == "-d":
        del service["servers"][server]
        return
    # An edit without a word for it makes it what a new one would be.
    service["servers"][server] = {"method": method, "weight": int(options.get("-w", 1)),
                                  "upper": int(options.get("-x", 0)), "lower": int(options.get("-y", 0))}


def list_services(table, options):
    persistent, thresholds = "--persistent-conn" in options, "--thresholds" in options
    print("IP Virtual Server version 1.2.1 (size=4096)")
    if persistent:
        print("%-33s %-9s %-11s %-10s %-10s" % ("Prot LocalAddress:Port", "Weight", "PersistConn", "ActiveConn", "InActConn"))
        print("  -> RemoteAddress:Port")
    elif thresholds:
        print("%-33s %-10s %-10s %-10s %-10s" % ("Prot LocalAddress:Port", "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"))
        print("  -> RemoteAddress:Port")
    else:
        print("Prot LocalAddress:Port Scheduler Flags")
        print("  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn")
    for key, s in table.ordered():
        head = f"FWM  {key[0]}" + (" IPv6" if key[1] else "") if key[0] else f"{NAMES[key[2]]}  {key[3]}"
        flags = (f" persistent {s['persistent']}" if s["persistent"] else "") + (f" mask {s['mask']}" if s["mask"] else "")
        print(f"{head} {s['scheduler']}{flags}{' ops' if s['ops'] else ''}")
        for server in sorted(s["servers"], key=order):
            r = s["servers"][server]
            active, inactive, templates = table.count(key, server)
            if persistent:
                print("  -> %-28s %-9d %-11d %-10d %-10d" % (server, r["weight"], templates, active, inactive))
            elif thresholds:
                print("  -> %-28s %-10d %-10d %-10d %-10d" % (server, r["upper"], r["lower"], active, inactive))
            else:
                print("  -> %-28s %-7s %-6d %-10d %-10d" % (server, METHODS[r["method"]], r["weight"], active, inactive))


def list_rules(table):
    for key, s in table.ordered():
        words, _ = service_words(key, s)
        flags = (f" -p {s['persistent']}" if s["persistent"] else "") + (f" -M {s['mask']}" if s["mask"] else "")
        print("-A", *words, "-s", s["scheduler"] + flags + (" -o" if s["ops"] else ""))
        for server in sorted(s["servers"], key=order):
            r = s["servers"][server]
            print("-a", *words, "-r", server, r["method"], "-w", r["weight"], *(["--tun-type ipip"] if r["method"] == "-i" else []))


def list_connections(table):
    print("IPVS connection entries")
    print("pro expire state       source             virtual            destination")
    for protocol, state, source, virtual, destination in table.connections:
        print(f"{protocol:3} 14:59  {state:11} {source:18} {virtual:18} {destination}")


def main():
    directory = os.environ["IPVS_DIR"]
    with open(os.path.join(directory, "lock"), "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        act, options = parse(sys.argv[1:])
        table = Table(directory)
        if act == "-S":
            list_rules(table)
        elif act == "-L":
            list_connections(table) if "-c" in options else list_services(table, options)
        else:
            change(table, act, options)


try:
    main()
except Refused as e:
    print(e, file=sys.stderr)
    sys.exit(e.status)
