#!/usr/bin/env python3
"""Do the simulator and the explorer notice a broken rule? Each row breaks one rule of engine/core in a copy, builds the harnesses
with it, and wants at least one of them to fail. Not part of ctest: it compiles the core once for each row.

    python3 tests/sim/mutants.py [FIRST ROW]
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# what is broken, file, text, instead
MUTANTS = [
    ("the floor is not looked at", "roll.c", "if (!serves(core, i))\n        return true;", "if (1)\n        return true;"),
    ("a node counts one too many", "roll.c", "core->cap_avail -= counted;", ""),
    ("nodes on their way out are not subtracted", "roll.c", "ev->gauge - core->cap_undrained", "ev->gauge"),
    ("an unknown change is run again unseen", "apply.c", "n->unknown = true;", "n->unknown = false;"),
    ("a held node is not guarded", "guard.c", "return core->plan->has_guard &&", "return false &&"),
    ("a waiting step is never late", "node.c", "if (spent < def->timeout_ms ||", "if (spent < 0 ||"),
    ("sessions are not waited for", "outcome.c", "n->ready_count = ev->outcome == OUT_OK && ev->ready && !stale",
     "n->ready_count = ev->outcome == OUT_OK && (ev->ready || def->phase == PHASE_DRAIN) && !stale"),
    ("the check is believed whatever it says", "outcome.c", "n->ready_count = ev->outcome == OUT_OK && ev->ready && !stale",
     "n->ready_count = ev->outcome == OUT_OK && (ev->ready || def->phase == PHASE_CHECK) && !stale"),
    ("old answers are acted on", "outcome.c", "core->now - n->op_at > STALE_MS", "false"),
    ("a run-once step may run on each node", "node.c",
     "return def->once != ONCE_NO && core->once_state[step] == ONCE_DONE;", "return false;"),
    ("nobody waits for a run-once step", "node.c", "else if (!waits_for_other(core, i, step))", "else if (true)"),
    ("a touched node is given back unchanged", "failure.c",
     "else if (n->touched)\n        emit_note(core, up, NOTE_NODE_TURN, i, CORE_NO_STEP, core->phase_first[PHASE_DRAIN], why);",
     "else if (n->touched)\n        emit_note(core, up, NOTE_NODE_TURN, i, CORE_NO_STEP, core->phase_first[PHASE_ENABLE], why);"),
    ("verification is skipped", "life.c", "return core->phase_first[phase] < core->phase_first[phase + 1];",
     "return phase != PHASE_VERIFY && core->phase_first[phase] < core->phase_first[phase + 1];"),
    ("left nodes do not count in the exit status", "life.c",
     "if (counts[NODE_LEFT] + counts[NODE_OUT] + counts[NODE_BACK] > 0)", "if (counts[NODE_OUT] + counts[NODE_BACK] > 0)"),
    ("the window is one too wide", "roll.c", "nodes_out(core) < core->plan->window", "nodes_out(core) <= core->plan->window"),
    ("a resume takes left nodes out at once", "apply.c", "} else if (n->state == NODE_LEFT && n->left_in) {", "} else if (false) {"),
    ("walks have no number", "apply.c", "    n->walk++;\n    n->may_be_in", "    n->may_be_in"),
    ("a node that may be in rotation is drained unseen", "node.c", "return node_may_be_in(n) &&", "return false &&"),
    ("the soak asks the first check", "core.c", "plan->steps[i].waits && core->soak_step == CORE_NO_STEP)", "plan->steps[i].waits)"),
    ("a soak look loses the node", "roll.c", "if (n->state == NODE_OUT || n->state == NODE_BACK) { /* admitted", "if (false) { /* admitted"),
    ("an op runs without its intent", "node.c", "    if (!looks)\n        emit(core, up,", "    if (!looks && step % 5)\n        emit(core, up,"),
    ("ctrl-C goes on with the next node", "roll.c", "while (!core->stop && nodes_out", "while (nodes_out"),
    ("the way back takes nothing else with it", "roll.c", "if (core->nodes[core->admit_hint - 1].state == NODE_DONE)", "if (false)"),
    ("decisions depend on what is not in the journal", "apply.c", "    case NOTE_STOPPING:\n        core->stop = true;",
     "    case NOTE_STOPPING:\n        core->stop = core->now > 0;"),
    ("an admission of before a crash is kept", "apply.c", "    if (n->fresh) {", "    if (false) {"),
    ("nodes left for a person are not guarded", "guard.c", "(held || left)", "held"),
    ("a resume believes what the journal says of a drain", "guard.c", "return guarded(core, n) && !n->seen_out && (stops || !n->asked_out);", "return stops && false;"),
    ("one node's way back undoes the run-once step", "node.c", "core->back && def->has_undo", "def->has_undo"),
    ("nobody undoes what no walk undid", "life.c", "each_node(core, i) if (owes_undo(core, i)) return true;", ""),
    ("an old look at the floor is good enough", "node.c", "core->now - n->judged_at > JUDGED_MS", "false"),
    ("the wait for the floor runs while nodes are out", "roll.c", "if (!core->cap_unknown && others_come(core))", "if (false)"),
    ("what was seen of a held node stays true", "node.c", "(n->seen_in == SEEN_SOMEWHERE || seen_long_ago(core, n))",
     "n->seen_in == SEEN_SOMEWHERE"),
    ("nodes that were out before make room", "roll.c", "core->cap_most += was_up && !held;", "core->cap_most += !held;"),
    ("sessions of a forgotten drain are not waited for", "node.c", "if (!n->lost_here ||", "if (true ||"),
    ("verification stops at the first that is wrong", "failure.c", "else if (core->plan->rollback_on_failure)\n            life_fail(core, up, WHY_VERIFY);",
     "else\n            life_fail(core, up, WHY_VERIFY);"),
    ("losses of before a crash count on", "apply.c", "n->attempt = n->losses = 0;", "n->attempt = 0;"),
    ("who comes back is not counted", "roll.c", "(flags & CORE_NODE_COMES_BACK) && core->nodes[i].returned", "false"),
]
SETS = {
    "seeds": ["tests/sim/seeds.c", "tests/sim/scenario.c"],
    "crashes": ["tests/sim/crashes.c", "tests/sim/scenario.c"],
    "scenarios": ["tests/sim/scenarios.c", "tests/sim/scenario.c"],
    "explore": ["tests/model/explore.c"],
}


def build(core, out):
    flags = ["gcc", "-std=gnu17", "-O1", "-D_GNU_SOURCE", "-w", f"-I{core.parent}", f"-I{ROOT}/engine", f"-I{ROOT}"]
    common = [str(p) for p in core.glob("*.c")] + [str(p) for p in (ROOT / "engine/base").glob("*.c") if p.name != "hash.c"]
    sim = [str(p) for p in (ROOT / "engine/sim").glob("*.c") if p.name != "from_plan.c"]
    for name, sources in SETS.items():
        more = sim if name != "explore" else []
        subprocess.run(flags + common + more + [str(ROOT / s) for s in sources] + ["-o", str(out / name)], check=True)


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


def main():
    survivors = 0
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    for what, name, text, instead in MUTANTS[first:]:
        with tempfile.TemporaryDirectory() as scratch:
            core = pathlib.Path(scratch) / "engine" / "core"
            shutil.copytree(ROOT / "engine/core", core)
            source = (core / name).read_text()
            if source.count(text) != 1:
                print(f"{name}: '{text}' occurs {source.count(text)} times; adapt the row")
                return 2
            (core / name).write_text(source.replace(text, instead))
            build(core, pathlib.Path(scratch))
            by = list(caught_by(pathlib.Path(scratch)))
            survivors += not by
            print(f"{'caught by ' + ', '.join(by) if by else 'SURVIVES':45} {what}", flush=True)
    print(f"{len(MUTANTS[first:])} broken rules, {survivors} not noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
