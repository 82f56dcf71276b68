#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One dialect: every C file is as clang-format writes it (.clang-format), a struct or enum has its name alone, each file its licence, and what
travels together through calls is a struct.
To mend: clang-format -i FILE. Exit status 77: nothing is wrong, but there is no clang-format here."""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "drivers", "plans", "state", "tests")
LICENCE = "MIT"  # LICENSE has its text
# code, whatever it is written in; what starts with #! is, too. Data (plans, scenarios, schemas, units, manuals) has the licence of the whole
SOURCES = {".c", ".h", ".sh", ".bash", ".py", ".js", ".mjs", ".cjs", ".css", ".html", ".pml", ".cmake"}
NAMED = {"CMakeLists.txt", "_release"}
VERSION = "14"  # others write a few things otherwise: the one of Debian 12 decides


# a type that others see only as a pointer, and each of them fills in its own way
EACH_ITS_OWN = {"struct call": "drivers/transport"}


def names_twice():
    """Whoever looks for a struct or an enum finds one."""
    where = {}
    for folder in FOLDERS[:-1]:
        for source in sorted((ROOT / folder).rglob("*.[ch]")):
            name = source.relative_to(ROOT).as_posix()
            for found in re.findall(r"^(?:static |const )*((?:struct|enum) \w+) \{", source.read_text(), re.M):
                if not name.startswith(EACH_ITS_OWN.get(found, "/")):
                    where.setdefault(found, []).append(name)
    return [f"{found}: stands in {' and '.join(names)}; name each for what it is" for found, names in sorted(where.items()) if len(names) > 1]


# A function has at most five parameters: more of them are a struct that wants its name. Those with more, and why.
PARAMETERS = 5
EXCUSED = {
    "a library calls it": {
        "engine/serve/http.c:http_on_request": 8, "drivers/transport/ssh/agent.c:agent_sign_cb": 6, "tests/lib/cut_calls.c:copy_file_range": 6},
    "a text with its length, the memory for what it says, the result and the reason": {
        "plans/yaml.c:yaml_read": 6, "plans/json.c:json_read": 6, "drivers/balancer/netscaler/parse.c:nitro_parse": 6,
        "drivers/balancer/nginx/config.c:nginx_config_parse": 6, "drivers/balancer/command/parse.c:command_parse_list": 6,
        "drivers/balancer/nginx_plus/parse.c:plus_servers": 6,
        "drivers/op/redact.c:redact_pass": 6, "engine/chat/signatures.c:slack_check": 6},
    "one row of a counterpart's answer, and what it is read by": {
        "drivers/balancer/netscaler/parse.c:row_of": 6, "drivers/balancer/command/parse.c:server_of": 6, "plans/inventory.c:take": 6,
        "drivers/balancer/nginx_plus/parse.c:row_of": 6, "drivers/balancer/aws/cloudwatch.c:dimension": 6,
        "drivers/balancer/aws/parse.c:parse_target_health": 8, "drivers/balancer/aws/parse.c:target_take": 7,
        "drivers/balancer/aws/parse.c:parse_scaling_groups": 7},
    "the columns of a row: a note, an event, a state before": {
        "engine/core/emit.c:emit_note": 7, "engine/base/notes.c:note_text": 6, "engine/base/lb.c:lb_before_add": 6,
        "engine/core/node.c:node_dispatch": 6, "engine/sim/sim.c:event_push": 6, "engine/sim/stock.c:add": 6, "engine/cli/cmd_lb.c:put_row": 6,
        "engine/serve/metrics.c:put_gauge": 6, "tests/unit/test_state_journal.c:step": 8, "tests/unit/watch_fixture.h:fixture_row": 8,
        "tests/unit/test_drv_release.c:step_with": 6, "tests/unit/state_help.h:refused_at": 6, "tests/sim/crashes.c:same_world": 6},
    "a value of the pillar, what it is called, its bounds and where it goes": {
        "plans/schema.c:int_read": 6, "plans/release_yml.c:texts_read": 6, "plans/nodes.c:check_named": 6},
    "a floor's door: what it works on, what is asked of it, and two answers (the result, the reasons)": {
        "plans/pillar.c:pillar_load": 6, "plans/compile.c:plan_compile_with": 6, "plans/expand.c:plan_args": 6, "plans/render.c:ask": 6,
        "plans/inventory.c:inventory_ask": 6, "plans/inventory_driver.c:inventory_driver_ask": 6, "engine/run/ports.c:run_release": 6, "engine/cli/session.c:freeze": 6,
        "engine/cli/context.c:compile_as_said": 6, "engine/watch/board.c:board_render": 6, "engine/serve/orders.c:waiter_start": 6,
        "engine/chat/chat.c:hold": 6, "engine/chat/asks.c:ask_open": 6, "engine/chat/asks.c:ask_look": 6},
    "a call of a balancer: by whom, of whom, what, and what it said": {
        "drivers/balancer/nginx_plus/nginx_plus.c:request": 6, "drivers/balancer/nginx_plus/nginx_plus.c:change_one": 6},
    "a connection on its way: the op that waits, what leads there, what is reached, and why not": {
        "drivers/op/op_io.c:connect_wait": 6, "drivers/node/node.c:node_call": 6, "drivers/transport/ssh/session.c:way_open": 6,
        "drivers/transport/ssh/session.c:tunnel": 6, "drivers/transport/ssh/hop.c:way_join": 6, "drivers/transport/ssh/hop.c:hop_get": 6,
        "drivers/transport/ssh/hostkey.c:host_key_message": 6, "drivers/balancer/nginx/host.c:nginx_put": 6},
}
DEFINED = re.compile(r"^[A-Za-z_][\w \*]*?\b(\w+)\(([^;{}()]*(?:\([^()]*\)[^;{}()]*)*)\)\s*\{", re.M)


def parameters(text):
    """How many there are in what stands between the brackets; a pointer to a function is one."""
    depth, n = 0, 1
    for sign in text:
        depth += (sign in "([") - (sign in ")]")
        n += sign == "," and depth == 0
    return n


def many_parameters():
    excused = {where: most for functions in EXCUSED.values() for where, most in functions.items()}
    for folder in FOLDERS:
        for source in sorted((ROOT / folder).rglob("*.[ch]")):
            name = source.relative_to(ROOT).as_posix()
            for function, text in DEFINED.findall(source.read_text()):
                n, most = parameters(text), excused.get(f"{name}:{function}", PARAMETERS)
                if n > most:
                    yield f"{name}: {function} has {n} parameters, wanted at most {most}: what travels together is a struct with a name of its own"


def is_code(f):
    return f.suffix in SOURCES or f.name in NAMED or (f.is_file() and f.read_bytes().startswith(b"#!"))


def unlicensed():
    """The licence goes with each file, wherever it is copied to."""
    line = f"SPDX-License-Identifier: {LICENCE}"
    sources = [ROOT / "CMakeLists.txt"] + [f for folder in (*FOLDERS, "cmake", "completion", "docs", "packaging")
                                          for f in (ROOT / folder).rglob("*") if is_code(f)]
    return [f"{f.relative_to(ROOT)}: wanted '{line}' in a comment on its first line (behind #!)"
            for f in sorted(sources) if not any(line in first for first in f.read_text().split("\n")[:2])]


def not_formatted():
    """[problem]; None: there is no formatter here that could tell."""
    formatter = next((path for path in map(shutil.which, (f"clang-format-{VERSION}", "clang-format")) if path), None)
    if not formatter:
        print("no clang-format here (apt-get install clang-format)")
        return None
    version = subprocess.run([formatter, "--version"], check=True, capture_output=True, text=True).stdout
    if f"version {VERSION}." not in version:
        print(f"{version.strip()}; wanted {VERSION}")
        return None
    files = sorted(str(f.relative_to(ROOT)) for folder in FOLDERS for f in (ROOT / folder).rglob("*.[ch]"))
    done = subprocess.run([formatter, "--dry-run", "-Werror", *files], cwd=ROOT, capture_output=True, text=True)
    wrong = sorted(set(re.findall(r"^(\S+\.[ch]):\d+:\d+: error: code should be clang-formatted", done.stderr, re.M)))
    problems = [f"{name}: not as clang-format writes it; 'clang-format -i {name}'" for name in wrong]
    if done.returncode != 0 and not wrong:
        problems.append(done.stderr.strip())
    return problems


def main():
    problems, format_problems = names_twice() + unlicensed() + list(many_parameters()), not_formatted()
    problems += format_problems or []
    print("\n".join(problems + [f"{len(problems)} problems"]))
    if problems:
        return 1
    return 77 if format_problems is None else 0


if __name__ == "__main__":
    sys.exit(main())
