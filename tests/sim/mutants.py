#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the simulator and the explorer notice a broken rule? Each row breaks one rule of engine/core in a copy, builds the harnesses
with it, and wants at least one of them to fail; so do the rows of LOOP with engine/loop, for whose unit test it is that must fail. Each row
of PARTS breaks a driver, the plans or the journal, and wants its unit test to fail. Not part of ctest: it compiles what it breaks once
for each row.

    python3 tests/sim/mutants.py [--build FOLDER] [--only core|loop|parts] [FIRST ROW [LAST ROW]]    (a Release build with tests is the fastest)
    python3 tests/sim/mutants.py --rows    only whether each row still finds what it breaks (this is part of ctest)
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# what is broken, file, text, instead
MUTANTS = [
    ("the floor is not looked at", "roll.c", "if (!serves(core, i))\n        return true;", "if (1)\n        return true;"),
    ("a node counts one too many", "roll.c", "r->avail -= counted;", ""),
    ("nodes on their way out are not subtracted", "roll.c", "ev->gauge - r->undrained", "ev->gauge"),
    ("an unknown change is run again unseen", "apply.c", "k->unknown = true;", "k->unknown = false;"),
    ("a held node is not guarded", "guard.c", "return node_drained(n) && (held", "return false && (held"),
    ("a waiting step is never late", "node.c", "if (spent < def->timeout_ms ||", "if (spent < 0 ||"),
    ("sessions are not waited for", "outcome.c", "n->ready_count = ev->outcome == OUT_OK && ev->ready && !stale",
     "n->ready_count = ev->outcome == OUT_OK && (ev->ready || def->phase == PHASE_DRAIN) && !stale"),
    ("the check is believed whatever it says", "outcome.c", "n->ready_count = ev->outcome == OUT_OK && ev->ready && !stale",
     "n->ready_count = ev->outcome == OUT_OK && (ev->ready || def->phase == PHASE_CHECK) && !stale"),
    ("old answers are acted on", "outcome.c", "core->now - n->op_at > STALE_MS", "false"),
    ("a run-once step may run on each node", "node.c",
     "return def->back_only || (def->once != ONCE_NO && core->kept.once_state[step] == ONCE_DONE);", "return def->back_only;"),
    ("nobody waits for a run-once step", "node.c", "else if (!waits_for_other(core, i, step) && ", "else if ("),
    ("a touched node is given back unchanged", "failure.c",
     "else if (n->kept.touched)\n        emit_note(core, up, NOTE_NODE_TURN, i, CORE_NO_STEP, core->phase_first[PHASE_DRAIN], why);",
     "else if (n->kept.touched)\n        emit_note(core, up, NOTE_NODE_TURN, i, CORE_NO_STEP, core->phase_first[PHASE_ENABLE], why);"),
    ("verification is skipped", "life.c", "return core->phase_first[phase] < core->phase_first[phase + 1];",
     "return phase != PHASE_VERIFY && core->phase_first[phase] < core->phase_first[phase + 1];"),
    ("left nodes do not count in the exit status", "life.c",
     "if (counts[NODE_LEFT] + counts[NODE_OUT] + counts[NODE_BACK] > 0)", "if (counts[NODE_OUT] + counts[NODE_BACK] > 0)"),
    ("the window is one too wide", "roll.c", "return out < core->plan->groups[g].window", "return out <= core->plan->groups[g].window"),
    ("a resume takes left nodes out at once", "apply.c", "} else if (left && k->left_from == LEFT_FROM_ROTATION) {", "} else if (false) {"),
    ("walks have no number", "apply.c", "    k->walk++;\n    k->hold =", "    k->hold ="),
    ("a node that may be in rotation is drained unseen", "node.c", "return node_may_be_in(n) &&", "return false &&"),
    ("the soak asks the first check", "core.c", "def->waits && w->soak_step == CORE_NO_STEP)", "plan->steps[i].waits)"),
    ("a soak look loses the node", "roll.c", "if (n->kept.state == NODE_OUT || n->kept.state == NODE_BACK) { /* admitted", "if (false) { /* admitted"),
    ("a run-once step runs where nothing was prepared", "life.c", "(state != NODE_PENDING || host_is_prepared(core, i))", "true"),
    ("health is not asked while a judge waits", "roll.c", "bool judge_waits = stage_group(core)->judges && !core->kept.judged;", "bool judge_waits = false;"),
    ("a judge under way keeps the floor from being asked", "roll.c", "if (none->side_op || r->due > core->now)", "if (none->side_op || core->judge_op || r->due > core->now)"),
    ("a soak ends without its judge", "roll.c", " || (stage_group(core)->judges && !core->kept.judged))", ")"),
    ("a judge's first word is its last", "judge.c", "} else if (last && said == JUDGED_WELL) {", "} else if (said != JUDGED_BADLY) {\n        said = JUDGED_WELL;"),
    ("a judge that has seen too little passes", "apply.c", "row->b == JUDGED_WELL || (row->b == JUDGED_NOT", "row->b != JUDGED_BADLY || (row->b == JUDGED_NOT"),
    ("a judge that says no is not heard", "judge.c", "        life_fail(core, up, WHY_JUDGED);", "        judge_again(core);"),
    ("a judge waits for ever", "judge.c", "core->now >= core->soak_until + stage_group(core)->judge_wait_ms", "false"),
    ("an op runs without its intent", "node.c", "    if (!looks)\n        emit(core, up,", "    if (!looks && step % 5)\n        emit(core, up,"),
    ("ctrl-C goes on with the next node", "roll.c", "while (!core->kept.stop && has_room", "while (has_room"),
    ("the way back takes nothing else with it", "roll.c", "if (core->nodes[core->admit_hint - 1].kept.state == NODE_DONE &&", "if (false &&"),
    ("decisions depend on what is not in the journal", "apply.c", "    case NOTE_STOPPING:\n        c->stop = true;",
     "    case NOTE_STOPPING:\n        c->stop = core->now > 0;"),
    ("an admission of before a crash is kept", "apply.c", "    if (k->hold == HOLD_ADMITTED) {\n        k->suspect", "    if (false) {\n        k->suspect"),
    ("nodes left for a person are not guarded", "guard.c", "(held || left)", "held"),
    ("a resume believes what the journal says of a drain", "guard.c", "    if (!guarded(core, n) || n->guarded == GUARD_SAW_IT_OUT)\n        return false;", "    return false;"),
    ("a run-once step is undone while nodes are left", "life.c", "if (core->kept.counts[NODE_LEFT] > 0 || core->nodes[i].kept.given_up)", "if (core->nodes[i].kept.given_up)"),
    ("nobody undoes what no walk undid", "life.c", "each_node(core, i) if (owes_undo(core, i)) return true;", ""),
    ("an old look at the floor is good enough", "node.c", "core->now - n->judged_at > JUDGED_MS", "false"),
    ("the wait for the floor runs while nodes are out", "roll.c", "if (r->read != READ_FAILED && others_come(core, g))", "if (false)"),
    ("what was seen of a held node stays true", "node.c", "(n->seen_in == SEEN_SOMEWHERE || seen_long_ago(core, i))",
     "n->seen_in == SEEN_SOMEWHERE"),
    ("nodes that were out before make room", "roll.c", "r->most += was_up && !held;", "r->most += !held;"),
    ("sessions of a forgotten drain are not waited for", "node.c", "if (!n->lost_here ||", "if (true ||"),
    ("verification stops at the first that is wrong", "failure.c", "else if (core->plan->rollback_on_failure)\n            life_fail(core, up, WHY_VERIFY);",
     "else\n            life_fail(core, up, WHY_VERIFY);"),
    ("losses of before a crash count on", "apply.c", "k->attempt = k->losses = 0;", "k->attempt = 0;"),
    ("what ran nothing before is not stopped on its way back", "node.c", "return core->phase_first[PHASE_CHECK];",
     "return core->phase_first[PHASE_CHANGE];"),
    ("what ran nothing before is changed on its way back", "node.c",
     "if (node_stays_out(core, i) ? def->phase == PHASE_CHANGE && !def->stops : def->out_only)",
     "if (!node_stays_out(core, i) && def->out_only)"),
    ("a node given up is walked", "apply.c", "    if (k->given_up) {\n        let_go(core, n);", "    if (false) {\n        let_go(core, n);"),
    ("a hook that fails on the way back leaves its node out", "failure.c", "(def->warns_back && node_goes_back(core, n))", "false"),
    ("a node whose drain was refused is told as out", "failure.c", "step == way_of(core, i)->drain_step && step != CORE_NO_STEP", "false && step != CORE_NO_STEP"),
    ("who comes back is not counted", "roll.c", "(flags & CORE_NODE_COMES_BACK) && core->nodes[i].kept.returned", "false"),
    ("nodes of another role leave while one is out", "roll.c", " && out == nodes_out(core);", ";"),
    ("a way back begins with the first role", "roll.c", "while (g > 0 && core->kept.of_group[g][NODE_DONE] == 0)\n        g--;",
     "for (g = 0; g + 1 < core->plan->n_groups && core->kept.of_group[g][NODE_DONE] == 0;)\n        g++;"),
    ("a node walks the steps of other roles", "node.c", "if (!step_is_of(def, core_group_of(core->plan, i)))", "if (false)"),
    ("all roles have the window of the first", "roll.c", "return out < core->plan->groups[g].window", "return out < core->plan->groups[0].window"),
    ("all roles have the floor of the first", "roll.c", "if (group->min_up > 0 && r->avail - !uncounted < (int64_t)group->min_up)",
     "if (core->plan->groups[0].min_up > 0 && r->avail - !uncounted < (int64_t)core->plan->groups[0].min_up)"),
    ("the floor of another role is asked for", "roll.c", ".group = core->asks = (uint8_t)g;", ".group = core->asks = 0;"),
    ("what a role was to run once is forgotten with it", "life.c", "if (any_once_missed(core))", "if (false)"),
    ("what two roles run once overlaps", "node.c", "waits_its_turn(core, i) ||", ""),
    ("a role goes out without what the one before it was to run once", "roll.c", "&& life_once_failed(core, g)", "&& false"),
    ("a run-once step of a role is the first node's", "life.c", "has_any ? first_in_state(core, owner, state)", "has_any ? first_in_state(core, 0, state)"),
]
# Rules of engine/loop, by tests/unit/test_loop.c in milliseconds: what is broken, text, instead
LOOP = [
    ("a commit that failed dispatches all the same", "    if (!l->ports->commit(l->ctx))\n        return LOOP_BROKEN;",
     "    bool broken = !l->ports->commit(l->ctx);"),
    ("what was decided is dispatched before it is durable", "static enum loop_state commit_and_dispatch(struct loop *l)\n{\n",
     "static enum loop_state commit_and_dispatch(struct loop *l)\n{\n    for (size_t i = 0; i < l->room->n_ops; i++)\n"
     "        l->ports->dispatch(l->ctx, &l->room->ops[i]);\n    l->room->n_ops = 0;\n"),
    ("ops are dispatched twice", "    l->room->n_ops = 0;\n    return LOOP_GOES_ON;", "    return LOOP_GOES_ON;"),
    ("who stood still asks nobody", "    if (!l->paused)\n        return true;", "    return true;"),
    ("an answer to the question whose nodes they are is not heard", "    return ours;", "    return true;"),
    ("a standstill is asked about for ever", "    l->paused = false;\n    bool ours", "    bool ours"),
    ("the asking counts as a standstill", "    l->beat_at = now_of(l); /* the asking is no standstill */", ""),
    ("a slow commit is no standstill", "    beat(l);               /* a disk may keep us as long as a debugger does */", ""),
    ("a wait that took too long is no standstill", "    } while (!came && now_of(l) < until);\n    beat(l);", "    } while (!came && now_of(l) < until);\n    l->beat_at = now_of(l);"),
    ("a long wait is one sleep", "next < until ? next : until", "until"),
    ("a release that is over asks whose its nodes are", "    if (core_ended(l->core, &status, &why))\n        return LOOP_ENDED;",
     "    if (core_ended(l->core, &status, &why)) {\n        beat(l);\n        return still_ours(l) ? LOOP_ENDED : LOOP_LOST;\n    }"),
    ("a lost lock is not noticed", "case NEWS_LOST: return false;", "case NEWS_LOST: break;"),
    ("a second signal is nothing", "    } else if (l->signals == 2) {", "    } else if (false) {"),
    ("each signal after the second aborts again", "    } else if (l->signals == 2) {", "    } else {"),
    ("who is asked to terminate waits for ever", "        if (terminate)\n            l->abort_at = now_of(l) + LOOP_TERM_ABORT_MS;", ""),
    ("timers come early", "if (now_of(l) >= core_due(l->core))", "if (true)"),
    ("nobody wakes for the end of a termination", "    if (l->abort_at < until)\n        until = l->abort_at;", ""),
    ("what comes with a signal is taken a turn later", "        case NEWS_INTERRUPT: take_signal(l, false); break;",
     "        case NEWS_INTERRUPT: take_signal(l, false); return true;"),
    ("a signal that changed nothing is in the exit status", "l->signals > 0 && why == WHY_OPERATOR && (status", "l->signals > 0 && (status"),
    ("a termination exits as an interrupt", "l->terminated ? EXIT_SIGTERM : EXIT_SIGINT", "EXIT_SIGINT"),
]
# The same for other parts, by their unit tests: what is broken, file, text, instead, test
PARTS = [
    ("a limit is broken when it is so by the numbers seen", "verdict.c", "rate_above(t->released, (double)j->errors_ppm / 1e6) >= at.level", "rate_above(t->released, (double)j->errors_ppm / 1e6) >= 0.5", "test_judge"),
    ("a judge that lets pass is told as what failed", "run/ledger.c", "return !role.judge || !role.judge->passes;", "return role.judge != NULL;", "test_run_ledger"),
    ("what was allowed to fail is told as the reason", "run/ledger.c", "(decided && !l->decided)", "false", "test_run_ledger"),
    ("what fails on the way back is told as the reason", "run/ledger.c", "record->a == LIFE_BACK", "record->a == LIFE_END", "test_run_ledger"),
    ("many looks are as good as one", "verdict.c", "{VERDICT_LEVEL_EARLY, VERDICT_LEAST_EARLY}", "{VERDICT_LEVEL, VERDICT_LEAST}", "test_judge"),
    ("a balancer that counts anew is believed", "run/judge.c", "json_object_set_new(anew, text_of(row, \"balancer\"), json_true());", "(void)row;", "test_judge"),
    ("what came before the soak counts", "run/judge.c", 'number_of(row, "requests") - number_of(before, "requests")', 'number_of(row, "requests")', "test_judge"),
    ("a server is up whatever its operational state", "haproxy/parse.c",
     "if (hap_is_out(s) || (s->op_state != 1 && s->op_state != 2) || !s->status)", "if (hap_is_out(s) || !s->status)", "test_haproxy_parse"),
    ("a server that is starting is not up", "haproxy/parse.c", "(s->op_state != 1 && s->op_state != 2)", "(s->op_state != 2)",
     "test_haproxy_parse"),
    ("a revision of 39 digits will do", "node/report.c", "strlen(rev) == 40 && is_hex(rev, 40)", "strlen(rev) >= 39 && is_hex(rev, 39)",
     "test_drv_git"),
    ("a way out of the directory is a path", "node/report.c", 'strstr(p, "/../") == NULL && ', "", "test_drv_git"),
    ("a hand-made change is lost on the way forward", "git.c", 'op_going_back(op) ? "ours" : "no"', '"ours"', "test_drv_git"),
    ("what a step changes in a checkout is not noted", "jobrun.c", "strcmp(place, dir) == 0 ? dir", "strcmp(place, dir) != 0 ? dir",
     "test_drv_git"),
    ("a hook's failure on the way back is one", "plans/words.c", "step->warns_back = step->warns ||", "step->warns_back = step->warns &&",
     "test_plans_compile"),
    ("a step that runs once may say its way", "plans/words.c", "if (step->once != ONCE_NO && (w->way != NULL || w->if_fails != NULL))",
     "if (false)", "test_plans_compile"),
    ("each role runs what is written once", "roles_join.c", "(step.once != ONCE_NO && runs_already(plan, &step, step.role))", "false", "test_plans_roles"),
    ("one cache of a role is banned", "roles_join.c", "other->role != role && ", "", "test_plans_roles"),
    ("the cache of the next role is not banned", "roles_join.c", "same_text(other->one_of, step->one_of)", "true", "test_plans_roles"),
    ("a role's nodes have the recipe of the first", "roles_join.c", 'names[] = {"recipe", "dir", "user"}', 'names[] = {"repo", "dir", "user"}', "test_plans_roles"),
    ("a plan with roles is frozen in the form of one without", "freeze.c", 'put_int(o, "format", FREEZE_FORMAT_OF(p));', 'put_int(o, "format", 1);', "test_plans_roles"),
    ("a frozen plan forgets that a failure is a warning", "freeze.c", 'put_flag(o, "warns_back", s->warns_back);', "",
     "test_plans_freeze"),
    ("a grant has the number of the one before it", "lock.c", "    l.fence++;\n", "", "test_state_lock"),
    ("a rung of the ladder does not write its number", "sqlite/schema.c", " && run_text(db, number, err)", "", "test_state_schema"),
    ("a rung and its number are two transactions", "sqlite/schema.c", "run_text(db, ladder[from], err) && run_text(db, number, err)",
     'run_text(db, ladder[from], err) && run_text(db, "COMMIT; BEGIN", err) && run_text(db, number, err)', "test_state_cuts"),
]
SETS = {
    "seeds": ["tests/sim/seeds.c", "tests/sim/scenario.c"],
    "crashes": ["tests/sim/crashes.c", "tests/sim/scenario.c"],
    "scenarios": ["tests/sim/scenarios.c", "tests/sim/scenario.c"],
    "explore": ["tests/model/explore.c"],
}


def found(name):
    """The one file of that name; folders move, rows need not follow."""
    paths = [p for room in ("engine", "drivers", "plans", "state") for p in (ROOT / room).rglob("*.c") if str(p).endswith(f"/{name}")]
    if len(paths) != 1:
        sys.exit(f"{name}: {len(paths)} files of that name; adapt the row")
    return paths[0]


def compiled(build, sources, out, include):
    """Links the sources before the libraries of the build: what they define is then not taken from those."""
    flags = (build / "CMakeCache.txt").read_text()
    sanitize = ["-fsanitize=address,undefined"] if "RELEASE_SANITIZE:STRING=address,undefined" in flags else []
    libs = sorted(str(p) for p in build.glob("librelease_*.a"))
    packages = subprocess.run(["pkg-config", "--cflags", "--libs", "cmocka", "jansson", "sqlite3", "libcurl", "libssh2", "yaml-0.1",
                               "libpcre2-8", "openssl", "libmicrohttpd", "expat"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["gcc", "-std=gnu17", "-O1", "-D_GNU_SOURCE", "-w", *sanitize, *[f"-I{i}" for i in include], f"-I{ROOT}",
                    f"-I{ROOT}/engine", f"-I{ROOT}/tests", f'-DSOURCE_DIR="{ROOT}"', f'-DBINARY_DIR="{build}"',
                    *[str(s) for s in sources], "-Wl,--start-group", *libs, "-Wl,--end-group", *packages,
                    "-lpthread", "-lm", "-o", str(out)], check=True)


def build_harnesses(build, core, out):
    for name, sources in SETS.items():
        compiled(build, [*core.glob("*.c"), *[ROOT / s for s in sources]], out / name, [core.parent])


def caught_by(out):
    scenarios = sorted(str(p) for p in (ROOT / "tests/sim").glob("*.sim"))
    runs = {
        "scenarios": [out / "scenarios", *scenarios],
        "seeds": [out / "seeds", "--seconds", "6", "--wrong", "1"],
        "crashes": [out / "crashes"],
        "explore": [out / "explore", "--budget", "2", "--seconds", "6"],
    }
    for name, command in runs.items():
        try:
            done = subprocess.run([str(c) for c in command], capture_output=True, timeout=120).returncode == 0
        except subprocess.TimeoutExpired:
            done = False
        if not done:
            yield name


def part_caught(build, path, test, source, scratch):
    broken = scratch / path.name
    broken.write_text(source)
    compiled(build, [ROOT / f"tests/unit/{test}.c", broken], scratch / "test", [path.parent])
    try:
        return subprocess.run([str(scratch / "test")], capture_output=True, timeout=300, cwd=ROOT).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def broken_text(path, text, instead):
    source = path.read_text()
    if source.count(text) != 1:
        sys.exit(f"{path}: '{text}' occurs {source.count(text)} times; adapt the row")
    return source.replace(text, instead)


def parts(build, rows):
    survivors = 0
    for what, name, text, instead, test in rows:
        source = broken_text(found(name), text, instead)
        with tempfile.TemporaryDirectory() as scratch:
            caught = part_caught(build, found(name), test, source, pathlib.Path(scratch))
        survivors += not caught
        print(f"{'caught by ' + test if caught else 'SURVIVES':45} {what}", flush=True)
    print(f"{len(rows)} broken parts, {survivors} not noticed")
    return survivors


def rules(build, rows):
    survivors = 0
    for what, name, text, instead in rows:
        with tempfile.TemporaryDirectory() as scratch:
            core = pathlib.Path(scratch) / "engine" / "core"
            shutil.copytree(ROOT / "engine/core", core)
            (core / name).write_text(broken_text(core / name, text, instead))
            build_harnesses(build, core, pathlib.Path(scratch))
            by = list(caught_by(pathlib.Path(scratch)))
            survivors += not by
            print(f"{'caught by ' + ', '.join(by) if by else 'SURVIVES':45} {what}", flush=True)
    print(f"{len(rows)} broken rules, {survivors} not noticed")
    return survivors


def loop_rules(build, rows):
    survivors, path = 0, ROOT / "engine/loop/loop.c"
    for what, text, instead in rows:
        with tempfile.TemporaryDirectory() as scratch:
            caught = part_caught(build, path, "test_loop", broken_text(path, text, instead), pathlib.Path(scratch))
        survivors += not caught
        print(f"{'caught by test_loop' if caught else 'SURVIVES':45} {what}", flush=True)
    print(f"{len(rows)} broken rules of the loop, {survivors} not noticed")
    return survivors


def rows_fit():
    for _, name, text, instead in MUTANTS:
        broken_text(ROOT / "engine/core" / name, text, instead)
    for _, text, instead in LOOP:
        broken_text(ROOT / "engine/loop/loop.c", text, instead)
    for _, name, text, instead, test in PARTS:
        broken_text(found(name), text, instead)
        if not (ROOT / f"tests/unit/{test}.c").exists():
            sys.exit(f"{test}: no such test; adapt the row")
    return 0


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", type=pathlib.Path, default=ROOT / "build/asan")
    args.add_argument("--rows", action="store_true")
    args.add_argument("--only", choices=["core", "loop", "parts"])
    args.add_argument("first", type=int, nargs="?", default=0)
    args.add_argument("last", type=int, nargs="?", help="the row behind the last one")
    want = args.parse_args()
    if want.rows:
        return rows_fit()
    groups = {"core": (rules, MUTANTS), "loop": (loop_rules, LOOP), "parts": (parts, PARTS)}
    survivors = 0
    for name, (run, rows) in groups.items():
        if want.only in (None, name):
            survivors += run(want.build.resolve(), rows[want.first:want.last])
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
