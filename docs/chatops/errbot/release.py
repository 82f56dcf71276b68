# SPDX-License-Identifier: MIT
"""Releases from the chat room, through the API of `release serve`.

Where the server is and the bot's token come from the environment (RELEASE_URL, RELEASE_TOKEN), so that the token is in no
file that Errbot shows: what `release token add errbot --role operator --bot` printed.
"""
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request

from errbot import BotPlugin, botcmd

URL = os.environ.get("RELEASE_URL", "http://127.0.0.1:8710").rstrip("/")
EVERY = float(os.environ.get("RELEASE_POLL_MS", "1000")) / 1000


class Refused(Exception):
    """What the server said no with."""


def ask(msg, path, body=None):
    """The token says which bot this is, the header for whom it speaks: the journal reads errbot:ann."""
    request = urllib.request.Request(URL + path, data=None if body is None else json.dumps(body).encode(), headers={
        "Authorization": f"Bearer {os.environ.get('RELEASE_TOKEN', '')}", "Content-Type": "application/json",
        "X-Release-On-Behalf-Of": msg.frm.person.lstrip("@")})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        try:
            raise Refused(json.load(e)["error"]["text"]) from e
        except (ValueError, KeyError):
            raise Refused(f"the server answered {e.code}") from e
    except OSError as e:
        raise Refused(f"{URL} does not answer: {e}") from e


def quiet(text):
    """Reasons, commits and output are other people's words: they shall call nobody (@here, <!channel>, <@U123>) and be
    read as no markup. An invisible space behind the sign takes its meaning away, and leaves it to be read."""
    return re.sub("[@<]", "\\g<0>\u200b", text.replace("`", "'"))


def env_path(env, verb=""):
    return f"/api/v1/envs/{urllib.parse.quote(env, safe='')}" + (f"/{verb}" if verb else "")


def line(e):
    busy = f"release {e['running']['release']} is running" if e["running"] else "nothing is running"
    return f"{e['env']}: {busy}; {e['lock']['text'] if e['lock'] else 'the lock is free'}"


def until_ended(msg, number):
    """The order as it is now, again and again; the last one has ended."""
    while True:
        o = ask(msg, f"/api/v1/orders/{number}")
        yield o
        if o["ended"]:
            return
        time.sleep(EVERY)


def last_lines(o, n):
    return "\n".join(o["output"].rstrip().split("\n")[-n:])


def pend(msg, verb, env, given):
    """It waits for a second person, who is asked when what was looked at can be done and changes something."""
    yield given["text"]
    if "look" not in given:
        return
    *_, o = until_ended(msg, given["look"])
    brief = [line for line in o["output"].split("\n") if line.startswith('{"kind":"brief"')]
    if o["exit"] != 0:
        yield f"{verb} {env}: exit status {o['exit']}, nobody is asked\n{last_lines(o, 3)}"
    elif brief and json.loads(brief[0])["nodes"] == 0:
        yield f"{verb} {env}: there is nothing to change, nobody is asked"


def order(msg, verb, env, **body):
    """Gives the order, waits for its end, and says both."""
    given, said = ask(msg, env_path(env, verb), dict(body, confirm=env)), False
    if "order" not in given:
        yield from pend(msg, verb, env, given)
        return
    for o in until_ended(msg, given["order"]):
        if o["release"] and not said:
            said = True
            yield f"{verb} {env}: release {o['release']} has started, {URL}/release/{o['release']}"
    last = last_lines(o, 30 if verb == "plan" else 3)
    yield f"{verb} {env}: " + ("done" if o["exit"] == 0 else f"exit status {o['exit']}") + (last and "\n" + last)


def command(*wanted, rest=False):
    """A bot command whose words are named: the wrong number of them, or a no of the server, is told to the person."""
    def wrap(handle):
        def run(self, msg, args):
            if len(args) < len(wanted) or len(args) > len(wanted) and not rest:
                yield handle.__doc__
                return
            try:
                for text in handle(self, msg, *args):
                    yield quiet(text)
            except Refused as e:
                yield quiet(f"release: {e}")
        run.__name__, run.__doc__ = handle.__name__, handle.__doc__
        return botcmd(split_args_with=None)(run)
    return wrap


class Release(BotPlugin):
    """Releases from the chat room."""

    @command(rest=True)
    def release_status(self, msg, env=None, *_):
        """What runs there, who holds the lock: release status [ENV]"""
        envs = [ask(msg, env_path(env))] if env else ask(msg, "/api/v1/envs")
        yield "\n".join(line(e) for e in envs) or "there is no environment"

    @command("env")
    def release_history(self, msg, env):
        """The last five releases: release history ENV"""
        releases = ask(msg, "/api/v1/releases?limit=5&env=" + urllib.parse.quote(env, safe=""))
        yield "\n".join(f"{r['release']} {r['what']} {r.get('rev', '')[:12]} by {r['who']}: "
                        f"{r.get('summary') or 'unfinished'}" for r in releases) or f"nothing was released to {env} yet"

    @command("rev", "env")
    def release_plan(self, msg, rev, env):
        """What a release would do; changes nothing: release plan REV ENV"""
        yield from order(msg, "plan", env, rev=rev)

    @command("rev", "env")
    def release_run(self, msg, rev, env):
        """Release a revision: release run REV ENV"""
        yield from order(msg, "run", env, rev=rev)

    @command("env", rest=True)
    def release_rollback(self, msg, env, *way):
        """Back to what each node ran before, to a revision, to before a release: release rollback ENV [to REV | before N]"""
        if way and (len(way) != 2 or way[0] not in ("to", "before") or way[0] == "before" and not way[1].isdecimal()):
            yield Release.release_rollback.__doc__
            return
        yield from order(msg, "rollback", env, **({way[0]: int(way[1]) if way[0] == "before" else way[1]} if way else {}))

    @command("env")
    def release_resume(self, msg, env):
        """Go on with an interrupted release: release resume ENV"""
        yield from order(msg, "resume", env)

    @command("env")
    def release_pause(self, msg, env):
        """Finish the nodes in hand, start no other: release pause ENV"""
        yield from order(msg, "pause", env)

    @command("env")
    def release_abort(self, msg, env):
        """Stop now: release abort ENV"""
        yield from order(msg, "abort", env)

    @command("env", "reason", rest=True)
    def release_lock(self, msg, env, *reason):
        """Hold the lock by hand: release lock ENV REASON"""
        yield from order(msg, "lock", env, reason=" ".join(reason))

    @command("env")
    def release_unlock(self, msg, env):
        """Give the lock back: release unlock ENV"""
        yield from order(msg, "unlock", env)
