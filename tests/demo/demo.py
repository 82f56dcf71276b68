# SPDX-License-Identifier: MIT
"""The demonstration: a fleet of real servers, load on it, a release, a bad release that goes back, a rollback."""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import oracle  # noqa: E402
from daemons import TIED  # noqa: E402
from fleet import Fleet  # noqa: E402
from load import Load  # noqa: E402

BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
wrong = []


def say(text=""):
    print(text, flush=True)


def title(text):
    say(f"\n{BOLD}== {text}{PLAIN}")


def run(fleet, *args, want=0, show=True):
    """Runs the product on this terminal, so that a person sees the live board."""
    say(f"{BOLD}$ release {' '.join(args)}{PLAIN}")
    out = None if show else subprocess.DEVNULL
    status = subprocess.run(fleet.argv(*args), env=fleet.environ(), stdout=out, stdin=subprocess.DEVNULL).returncode
    say(f"(exit status {status})")
    if status != want:
        wrong.append(f"release {' '.join(args)}: exit status {status} (wanted {want})")
    return status


def judge(fleet, load, version):
    """What the clients saw, and what the oracle finds that asks the servers themselves."""
    problems = load.problems() + oracle.settle(fleet, fleet.revs[version])
    say(f"{BOLD}clients:{PLAIN} {load.summary()}")
    say("         revisions that answered: " + ", ".join(
        f"{name(fleet, rev)} {n}" for rev, n in load.report["revisions"].items()))
    if problems:
        say("PROBLEMS:\n  " + "\n  ".join(problems))
        wrong.extend(problems)
    else:
        say(f"         every node runs {version}, both balancers have every node up, nothing is left behind")


def name(fleet, rev):
    return next((v for v, full in fleet.revs.items() if full == rev), rev[:12])


def introduce(fleet):
    say(f"{len(fleet.nodes)} nodes, each with its own sshd and supervisord and a real web app from git:")
    for n in fleet.nodes:
        say(f"  {n.id}  http://{n.host}:{n.port}/  ssh port {n.ssh_port}  runs {name(fleet, n.running_rev())}")
    say("in front of them: " + ", ".join(f"HAProxy {b.host}:{b.port}" for b in fleet.lbs) +
        (f", Varnish {fleet.varnish.host}:{fleet.varnish.port}" if fleet.varnish else ""))
    say(f"up in {fleet.seconds_to_start:.1f} s, all under {fleet.dir}")


def story(fleet):
    title("The release of v2, with clients on all balancers (answers take 150 ms)")
    with Load(fleet) as load:
        load.run_on(1)
        run(fleet, "run", "--rev", "v2", "--yes", "prod")
        load.run_on(1)
    judge(fleet, load, "v2")
    title("v3, whose health check fails: it must go back by itself")
    with Load(fleet) as load:
        run(fleet, "run", "--rev", "v3", "--yes", "prod", want=1)
        load.run_on(1)
    judge(fleet, load, "v2")
    title("Second thoughts about v2: back to what each node ran before")
    with Load(fleet) as load:
        run(fleet, "rollback", "--yes", "prod")
        load.run_on(1)
    judge(fleet, load, "v1")
    title("What happened")
    run(fleet, "history", "prod")
    run(fleet, "log", "2")


def commands(fleet, build):
    """For --keep: what to try, ready to paste."""
    base = f"{os.path.abspath(build)}/release"
    options = f"--root {fleet.root} --state {fleet.state}"
    say(f"\nThe fleet stays up. Try:\n  export PATH={os.path.dirname(base)}:$PATH RELEASE_STATE={fleet.state}")
    say(f"  cd {fleet.root}")
    for line in ("release status prod", "release lb prod", "release plan --rev v7 prod", "release run --rev v7 prod",
                 "release run --rev v4 prod      # does not start", "release exec prod -- uptime",
                 "release log --node app1", "release history prod"):
        say(f"  {line}")
    for target in fleet.targets:
        say(f"  curl http://{target}/rev")
    say(f"(or from anywhere: release status {options} prod)")
    say(f"End it:\n  python3 {os.path.join(HERE, '..', 'lib', 'fleet.py')} down {fleet.dir}")


def main():
    parser = argparse.ArgumentParser(prog="demo.sh")
    parser.add_argument("--build", required=True)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    os.environ["RELEASE_BIN"] = os.path.abspath(f"{args.build}/release")
    os.environ["RELEASE_LOAD"] = os.path.abspath(f"{args.build}/tests/release-load")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    if args.keep:
        TIED.clear()
    fleet = Fleet(tempfile.mkdtemp(prefix="release-demo-"))
    keep = False
    try:
        title("Starting the fleet")
        fleet.start()
        introduce(fleet)
        story(fleet)
        if args.keep:
            fleet.save()
            keep = True
            commands(fleet, args.build)
    except KeyboardInterrupt:
        wrong.append("interrupted")
    finally:
        if not keep:
            fleet.stop()
    say(f"\n{time.monotonic() - began:.0f} s in all" + ("" if keep else "; every process has ended, the directory is gone"))
    if wrong:
        say("NOT as wanted:\n  " + "\n  ".join(wrong))
    return 1 if wrong else 0


sys.exit(main())
