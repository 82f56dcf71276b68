# SPDX-License-Identifier: MIT
"""On a terminal a live board, in a pipe plain lines: no escape sequence ever reaches a pipe. A person in front of the
terminal is asked wherever the output goes; where nobody can be asked, nothing is done."""
import os
import pty
import select
import subprocess
import time

from scene import expect_world, refused, release

FLEET = {"varnish": None, "n_nodes": 3}


def run_on_terminal(argv, env, seconds=120):
    """(exit status, all bytes) of argv with a terminal of 40 lines by 120 columns."""
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
    os.close(slave)
    seen, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
        elif process.poll() is not None:
            break
    os.close(master)
    return process.wait(timeout=10), seen


def test_board_on_a_terminal(fleet):
    argv = fleet.argv("run", "--rev", fleet.revs["v2"], "--yes", "prod")
    status, seen = run_on_terminal(argv, fleet.environ(TERM="xterm"))
    text = seen.decode("utf-8", "replace")
    assert status == 0, text[-3000:]
    assert "\033[" in text, "no cursor movement: this is no board"
    for n in fleet.nodes:
        assert n.id in text
    board = text[text.index('\x1b[?25l'):]
    assert any(step in board for step in ('wait_idle', 'check', 'fetch')), board
    expect_world(fleet, "v2")


def test_plain_lines_in_a_pipe(fleet):
    result = release(fleet, "v7")
    assert "\033" not in result.stdout + result.stderr and "\r" not in result.stdout
    assert len(result.stdout.splitlines()) > 5
    expect_world(fleet, "v7")


def answered(fleet, answer, *args):
    """(exit status, what the terminal saw, what the pipe got): stdin is /dev/null and stdout a pipe, as in `| tee log`;
    only the terminal that the command was started from can be asked."""
    out, into = os.pipe()
    argv, env = fleet.argv(*args), fleet.environ(TERM="xterm")
    pid, master = pty.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(into, 1)
        os.execve(argv[0], argv, env)
    os.close(into)
    seen, piped, end, said = b"", b"", time.monotonic() + 120, False
    while time.monotonic() < end:
        ready = select.select([master, out], [], [], 0.2)[0]
        if out in ready:
            chunk = os.read(out, 65536)
            if not chunk:
                break
            piped += chunk
        if master in ready:
            try:
                seen += os.read(master, 65536)
            except OSError:
                break
        if not said and b"to go on: " in seen:
            os.write(master, answer + b"\n")
            said = True
    _, status = os.waitpid(pid, 0)
    os.close(master)
    os.close(out)
    return os.waitstatus_to_exitcode(status), seen.decode("utf-8", "replace"), piped.decode("utf-8", "replace")


def test_nobody_can_be_asked(fleet):
    for args in (["rollback", "prod"], ["run", "--rev", fleet.revs["v2"], "prod"],
                 ["run", "--rev", fleet.revs["v2"], "--json", "prod"]):
        refused(fleet, args, 2, "--yes", "nothing was touched")


def test_asked_where_the_person_is(fleet):
    args = ("run", "--rev", fleet.revs["v2"], "prod")
    status, seen, piped = answered(fleet, b"no", *args)
    assert status == 2 and "nothing was touched" in seen, (seen, piped)
    question = seen[:seen.index("to go on: ")]
    assert len(question.splitlines()) <= 16, "too long to be read at 100x30: " + question
    for word in (fleet.revs["v7"][:12], fleet.revs["v2"][:12], "BACK to an ancestor", "app1, app2, app3",
                 "must stay in rotation"):
        assert word in question, (word, question)
    assert "supervisord.stop" not in question, "the steps are for --dry-run"
    assert "\033" not in piped
    status, seen, piped = answered(fleet, b"prod", *args)
    assert status == 0, (seen, piped)
    expect_world(fleet, "v2")


def test_a_rollback_says_what_it_takes_back(fleet):
    status, seen, piped = answered(fleet, b"prod", "rollback", "prod")
    assert status == 0, (seen, piped)
    question = seen[:seen.index("to go on: ")]
    assert "takes back release 3" in question and fleet.revs["v7"][:12] in question, question
    expect_world(fleet, "v7")
