# SPDX-License-Identifier: MIT
"""The real chat bots, driven as a person would at their console: lines in, lines out."""
import os
import re
import shutil
import subprocess

from daemons import TIED, wait_for

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "chatops")
HUBOT = "hubot@14.1.0"
ERRBOT_CONFIG = """import logging
BACKEND = "Text"
STORAGE = "Memory"
BOT_DATA_DIR = "{dir}/data"
BOT_EXTRA_PLUGIN_DIR = "{dir}/plugins"
BOT_LOG_FILE = "{dir}/errbot.log"
BOT_LOG_LEVEL = logging.INFO
BOT_ADMINS = ("@ann",)
BOT_IDENTITY = {{"username": "@errbot"}}
BOT_PREFIX = "!"
CORE_PLUGINS = ("Help",)
"""


class Bot:
    """A process with a console. Its output is in DIR/NAME.out."""

    def __init__(self, fleet, name, argv, cwd, env):
        self.out = f"{fleet.dir}/log/{name}.out"
        with open(self.out, "wb") as out:
            # Hubot wants a pipe or a terminal.
            self.copier = subprocess.Popen(TIED + ["cat"], stdin=subprocess.PIPE, stdout=out)
        # Not marked as the fleet's: it watches, and is no leftover of a release.
        self.process = subprocess.Popen(TIED + argv, cwd=cwd, stdin=subprocess.PIPE, stdout=self.copier.stdin,
                                        stderr=self.copier.stdin, env=dict(os.environ, **env))
        self.copier.stdin.close()
        self.seen = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.copier.wait()

    def text(self):
        """What it said since the last expect, without colours."""
        with open(self.out, "rb") as f:
            f.seek(self.seen)
            return re.sub(r"\x1b\[[0-9;]*m", "", f.read().decode("utf-8", "replace"))

    def say(self, line):
        with open(self.out, "rb") as f:
            self.seen = f.seek(0, os.SEEK_END)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def expect(self, pattern, seconds=60):
        """Waits until it has said that since the last line we said; returns the match."""
        try:
            return wait_for(f"the bot says {pattern}", lambda: re.search(pattern, self.text()), seconds=seconds, every=0.05)
        except Exception as e:
            raise AssertionError(f"{e}; it said: {self.text()[-3000:]}") from e

    def ask(self, line, pattern, seconds=60):
        self.say(line)
        return self.expect(pattern, seconds)


def hubot_install(build):
    """The folder with hubot's node_modules, fetched once per build folder; or a reason why not."""
    home = f"{build}/npm/hubot"
    if not shutil.which("npm") or not shutil.which("node"):
        return None, "node and npm are not installed"
    if not os.path.exists(f"{home}/installed"):
        os.makedirs(home, exist_ok=True)
        try:
            done = subprocess.run(["npm", "install", "--prefix", home, "--no-audit", "--no-fund", "--ignore-scripts", HUBOT],
                                  capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, cwd=home)
        except subprocess.TimeoutExpired:
            return None, "npm did not fetch hubot within 90 s"
        if done.returncode:
            return None, "npm cannot fetch hubot: " + done.stderr.strip()[-300:]
        open(f"{home}/installed", "w").close()
    return home, ""


def hubot(fleet, home, port, env):
    """Hubot with its Shell adapter and our script; ann speaks."""
    cwd = f"{fleet.dir}/hubot"
    os.makedirs(f"{cwd}/scripts")
    shutil.copy(f"{DOCS}/hubot/release.mjs", f"{cwd}/scripts")
    bot = Bot(fleet, "hubot", ["node", f"{home}/node_modules/hubot/bin/Hubot.mjs", "-a", "Shell", "-n", "hubot"], cwd,
              dict(env, HUBOT_SHELL_USER_NAME="ann", EXPRESS_BIND_ADDRESS=f"{fleet.net}.7", EXPRESS_PORT=str(port)))
    bot.expect(r"No external-scripts\.json found")  # what it says last while it loads
    return bot


def errbot(fleet, env):
    """Errbot with its Text backend and our plugin; ann speaks."""
    cwd = f"{fleet.dir}/errbot"
    os.makedirs(f"{cwd}/data")
    shutil.copytree(f"{DOCS}/errbot", f"{cwd}/plugins")
    with open(f"{cwd}/config.py", "w") as f:
        f.write(ERRBOT_CONFIG.format(dir=cwd))
    # Its answers come from other threads than its prompts, which alone are flushed.
    bot = Bot(fleet, "errbot", ["errbot", "-c", f"{cwd}/config.py", "-T"], cwd, dict(env, PYTHONUNBUFFERED="1"))
    bot.expect(r">>> ")
    return bot
