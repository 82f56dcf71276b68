"""On a terminal a live board, in a pipe plain lines: no escape sequence ever reaches a pipe."""
import os
import pty
import select
import subprocess
import time

from scene import expect_world, release

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
    assert "drain" in text
    expect_world(fleet, "v2")


def test_plain_lines_in_a_pipe(fleet):
    result = release(fleet, "v7")
    assert "\033" not in result.stdout + result.stderr and "\r" not in result.stdout
    assert len(result.stdout.splitlines()) > 5
    expect_world(fleet, "v7")
