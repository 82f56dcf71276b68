# SPDX-License-Identifier: MIT
"""Random pillar trees: what people write, what they mistype, and the corners of YAML where readers differ. The same seed makes the
same tree. Files are made so that most trees can be read: one tree has few corners."""
import os
import random

NODES = ["web1", "web2", "web10", "db1", "app-1.example.org", "db1-dev"]
SCALARS = ["1", "0", "x", "yes", "No", "off", "~", "null", "''", "1.10", "1.0", "0644", "-0644", "+0644", "0o17", "08", "0x1F", "0b11",
           "12:30", "1:2:3", "12:99", "1_000", "-.5", ".5", "1e5", "1.5e+3", "12e4567", "2026-11-20", "2026-11-20 10:00:00",
           "99999999999999999999", "-99999999999999999999", "!!str 0644", "!!int 12", "'0644'", '"a\\tb"', "f5d9859", "a b", "a#b",
           "http://x:80/", "{}", "[]", "[1, a]", "{k: v, 2: w}", "190:20:30.15", "-0", "0_7", "1__0", "on", "y", "n", "TRUE", "Null",
           "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1.", "0.1", "1e-7", "1.e-7", "123456789.123456789",
           "100000000000000000.0", "-0.0", "\xe9\xe8", "=x", "<", "!!float 1.5"]
BAD_SCALARS = ["- x", "'{{'", "!!int abc", "=", ".inf", "-.inf", ".nan", "0x_", "*nowhere", "!foo x", "!!binary aGk=", "!!float 1", "<<", "0_", "!!set {a}",
               "!!bool y", "{{ pillar }}", "'{% if x %}'", "! 12", "1.0e+400", "0xffffffffffffffffffff", "[a", "@x", "%x", "&x 1"]
KEYS = ["a", "b", "c", "d", "release", "dir", "yes", "no", "0644", "644", "1.10", "1.1", "1", "true", "~", "null", "x y", "08", "1:30", "90",
        "'yes'", "'1'", "1.0", "off", "k-1", "a.b", "=", "2026-11-20", "-1", "0x10", "16"]
PLAIN_KEYS = ["a", "b", "c", "d", "e", "f", "g"]
TARGETS = ["*", "web*", "db*", "web1", "web2", "web?", "web[0-9]", "web[!1]", "*1", "web1 or web2", "* and not db*", "web1,web2", "not web1",
           "( web* or db* ) and not *-dev", "L@web1,db1", "E@web[0-9]+$", "E@^(?!db).*", "E@web(1|2)", "G@roles:web",
           "G@roles:*", "P@roles:(web|db)", "G@os:Debian and web*", "G@id:web1", "not G@id:*-dev", "N@web", "N@all and not N@web",
           "N@nested", "not N@either", "S@10.0.0.1", "S@10.0.0.0/8", "G|@roles|web", "G@datacenter:rack:1", "G@deep:a:b:c",
           "*.example.org", "web1 or ( db1 and not db1-dev )", "E@w\\D+1", "E@(?i)WEB1",
           "J@a:b", "P@os:deb.*", "G@ports:80", "G@empty:x", "G@flag:True", "E@web\\w", "app-1.example.org", "L@web1", "E@.*\\.org",
           "web1 and not ( db1 or web2 )", "web1 not db1", "G@deep:*:c", "E@web{1}1", "[w]eb1",
           "web1 or", "G@deep:a:*", "*:*"]
BAD_TARGETS = ["web1, web2", "web1 and", "web1 web2", "I@a:b", "N@nowhere", "(web1)", "web[^1]", "not not web1", "J@a:b", "T@x", "and web1", "G@roles",
               "E@web1++", "web1 or", "R@web1", "S@fe80::1", "E@(web", "G@nope:x", "( web1", "web1 ( db1 )", "S@10.0.0.1/24"]
MATCHED = [("glob", ["web*", "web1", "*", "web1 or web2", "web[12]", "roles:web"]), ("list", ["web1,web2", "web1", "web1, db1", "db1,web1,", "web"]),
           ("pcre", ["web[12]", "web1|db1", ".*-dev$", "(?:web|db)1$", "^db", "web\\d+"]), ("compound", ["G@roles:web or db1", "web* and not web1", "E@db.*"]),
           ("grain", ["roles:web", "os:Deb*", "os:debian", "roles:w[ae]b", "id:web1", "deep:a:b:c", "deep:a", "ports:80"] ),
           ("grain_pcre", ["roles:(web|db)", "os:deb.*", "id:web.*", "os:DEB", "roles:w\\w+$"]), ("nodegroup", ["web", "all", "either", "nested", "plain", "listed", "expr", "twice"]),
           ("ipcidr", ["10.0.0.1", "10.0.0.0/24", "10.0.0.0/8", "192.168.0.0/16"]), ("nodegroup", ["nowhere"]), ("grain", ["nope:x"]), ("ipcidr", ["10.0.0.1/24"]), ("pillar", ["a:b"]), ("range", ["x"]),
           ("pillar_pcre", ["a:b"]), ("golb", ["*"])]
NODEGROUPS = {"web": "L@web1,web2", "all": "*", "either": "web1 or db1", "nested": "N@web and not web2", "plain": "web1 db1",
              "listed": ["web1", "or", "db*"], "expr": "web[12]", "twice": "N@either or N@plain"}
ROLES = [["web"], ["db"], ["web", "db"], [], "web"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.odd = self.r.random() < 0.6  # corners of YAML
        self.fault = self.r.random() < 0.25  # mistakes, and what only Salt itself can do
        self.sls = []
        self.anchors = 0

    def chance(self, p):
        return self.r.random() < p

    def scalar(self):
        if self.fault and self.chance(0.01):
            return self.r.choice(BAD_SCALARS)
        return self.r.choice(SCALARS if self.odd else SCALARS[:30])

    def key(self):
        return self.r.choice(KEYS if self.odd and self.chance(0.4) else PLAIN_KEYS)

    def flow(self, depth):
        if depth == 0 or self.chance(0.5):
            s = self.scalar()
            return "x" if any(c in s for c in ",[]{}#:-") and s[0] not in "'\"" else s
        if self.chance(0.4):
            return "[" + ", ".join(self.flow(depth - 1) for _ in range(self.r.randrange(4))) + "]"
        keys = self.some_keys(3)
        return "{" + ", ".join(f"{k}: {self.flow(depth - 1)}" for k in keys) + "}"

    def some_keys(self, most):
        keys = []
        for _ in range(self.r.randrange(1, most + 1)):
            k = self.key()
            if k not in keys or (self.fault and self.chance(0.05)):
                keys.append(k)
        return keys

    def text_block(self, pad):
        lines = [self.r.choice(["one", "two words", "# no comment", "x: y", "  deeper", "it's", "last #"]) for _ in range(self.r.randrange(1, 4))]
        if self.fault and self.chance(0.1):
            lines.append(self.r.choice(["a # {{ x }}", "{% raw %}", "{# gone #}"]))
        head = self.r.choice(["|", ">", "|-", "|+", ">-"])
        return [f" {head}"] + [f"{pad}  {line}" for line in lines]

    def value(self, pad, depth, names):
        """What stands behind `key:`, as lines, the first of them on the key's own line."""
        x = self.r.random()
        if names and x < 0.12:
            return [f" *{self.r.choice(names)}"]
        if depth > 0 and x < 0.5:
            head = ""
            if self.chance(0.25):
                self.anchors += 1
                name = f"n{self.anchors}"
                head = f" &{name}"
            body = self.mapping(pad + "  ", depth - 1, list(names))
            if head:
                names.append(head[2:])
            return [head] + body
        if depth > 0 and x < 0.62:
            items = []
            for _ in range(self.r.randrange(1, 4)):
                if self.chance(0.3):
                    body = self.mapping(pad + "    ", 0, [])
                    items.append(pad + "  - " + body[0].strip())
                    items += body[1:]
                else:
                    items.append(f"{pad}  - {self.flow(1)}")
            return [""] + items
        if x < 0.7:
            return [" " + self.flow(2)]
        if x < 0.76:
            return self.text_block(pad)
        return [" " + self.scalar() + (" # note" if self.chance(0.1) else "")]

    def mapping(self, pad, depth, names):
        lines, before = [], list(names)
        for k in self.some_keys(4):
            body = self.value(pad, depth, names)
            lines.append(f"{pad}{k}:{body[0]}")
            lines += body[1:]
        first = self.chance(0.5)
        known = before if first else names
        if known and self.chance(0.4):
            many = self.chance(0.3) and len(known) > 1
            what = "[" + ", ".join("*" + n for n in self.r.sample(known, 2)) + "]" if many else "*" + self.r.choice(known)
            lines.insert(0 if first else len(lines), f"{pad}<<: {what}")
        return lines

    def includes(self, own):
        out = []
        for _ in range(self.r.randrange(1, 3)):
            later = [n for n in self.sls if n > own]
            if not later and not self.fault:
                break
            name = self.r.choice(self.sls + ["nowhere"] if not later or (self.fault and self.chance(0.1)) else later)
            if "." in name and own.split(".")[0] == name.split(".")[0] and self.chance(0.6):
                name = "." + name.split(".", 1)[1]
            elif self.chance(0.05):
                name = name.replace(".", "/")
            elif self.fault and self.chance(0.05):
                name = self.r.choice(["*", "m.*", "..x", "12"])
            if self.chance(0.25):
                opts = self.r.choice(["key: k", "key: a", "key: 'a:b'", "defaults: {v: 1}", "key: c, defaults: {v: 1}", "key: ''", "defaults: {sls: x}"][: 7 if self.fault else 5])
                out.append(f"  - {name}: {{{opts}}}")
            else:
                out.append(f"  - {name}")
        return ["include:"] + out if out else []

    def file(self, name):
        lines, x = [], self.r.random()
        if self.odd:
            lines += ["#!yaml"] if x < 0.1 else ["#!jinja|yaml"] if x < 0.2 else ["#! yaml"] if x < 0.22 else ["#!yaml|gpg"] if x < 0.24 else \
                ["#!/usr/bin/env x"] if x < 0.25 else ["#!py"] if self.fault and x < 0.27 else ["#jinja2: {}"] if self.fault and x < 0.28 else ["---"] if x < 0.3 else []
            if self.fault and self.chance(0.1):
                lines.append(self.r.choice(["# {{ x }}", "# {% if False %}", "# {# note #}", "# }} %} #}"]))
        body = self.mapping("", 2, [])
        if self.chance(0.4):
            inc = self.includes(name)
            body = inc + body if self.chance(0.7) else body + inc
        if self.chance(0.02):
            body = self.r.choice([[], ["# nothing"], ["{}"], ["[]"], ["- a"], ["text"]][: 6 if self.fault else 3])
        return "\n".join(lines + body) + ("\n" if self.chance(0.95) else "")

    def target(self):
        if self.fault and self.chance(0.1):
            return self.r.choice(BAD_TARGETS), []
        if self.chance(0.3):
            kind, targets = self.r.choice(MATCHED if self.fault and self.chance(0.1) else MATCHED[:8])
            return self.r.choice(targets), [f"match: {kind}"]
        return self.r.choice(TARGETS[:12] if self.chance(0.5) else TARGETS), []

    def section(self, pad):
        lines, seen = [], set()
        for _ in range(self.r.randrange(1, 5)):
            target, options = self.target()
            if target in seen:
                continue
            seen.add(target)
            lines.append(f"{pad}'{target}':")
            if self.chance(0.06):
                options.append("ignore_missing: True")
            if self.chance(0.06):
                options.append(f"order: {self.r.randrange(-2, 12)}")
            files = [self.r.choice(self.sls) if not self.fault or self.chance(0.95) else "nowhere" for _ in range(self.r.randrange(1, 4))]
            items = [f"{pad}  - {o}" for o in options] + [f"{pad}  - {n}" for n in files]
            if self.chance(0.3):
                self.r.shuffle(items)
            lines += items
        return lines

    def tree(self):
        """{path: text}, grains, the name of the environment"""
        env = self.r.choice(["base", "prod", "staging"])
        shape = ["a", "b", "c", "common", "m.one", "m.two", "m.three", "n", "near", "z", "m.near", "m"]
        self.sls = sorted(self.r.sample(shape, self.r.randrange(2, 8)))
        files = {}
        for name in self.sls:
            path = name.replace(".", "/") + ("/init.sls" if name == "m" or self.chance(0.1) else ".sls")
            files[path] = self.file(name)
        top = [f"{env}:"] + self.section("  ")
        if self.chance(0.3):
            top += ["other:"] + (["  '*':", "    - elsewhere"] if not self.fault or self.chance(0.7) else self.r.choice([["  x"], ["  - y"], ["  '*': n"]]))
        if self.chance(0.08):
            top += ["include:", "  - more"]
            if not self.fault or self.chance(0.7):
                files["more.sls"] = "\n".join([f"{env}:"] + self.section("  ")) + "\n"
        files["top.sls"] = "\n".join(top) + "\n"
        return env, files

    def grains(self, node):
        full = {"roles": self.r.choice(ROLES), "os": self.r.choice(["Debian", "Ubuntu"]), "datacenter": {"rack": self.r.choice([1, "1", 2])},
                "deep": {"a": {"b": ["c", {"d": "e"}]}, "l": [1, 2]}, "ipv4": ["10.0.0." + self.r.choice("12"), "127.0.0.1"], "ports": [80, "443"],
                "empty": {}, "flag": True}
        return {k: v for k, v in full.items() if self.chance(0.98)}


def make(seed, folder):
    """Writes tree number `seed` under folder; what to ask about it."""
    import json
    m = Maker(seed)
    env, files = m.tree()
    for path, text in files.items():
        full = f"{folder}/pillar/{path}"
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8", newline="") as f:
            f.write(text)
    nodes = m.r.sample(NODES, 2)
    grains = {n: m.grains(n) for n in nodes}
    with open(f"{folder}/release.yml", "w", encoding="utf-8") as f:
        f.write(json.dumps({"nodegroups": NODEGROUPS, "grains": grains}))
    return {"root": folder, "env": env, "roots": [f"{folder}/pillar"], "grains": grains, "nodegroups": NODEGROUPS}
