# SPDX-License-Identifier: MIT
"""The scripts of docs/chatops in the real Hubot and the real Errbot: a person releases from the room and back."""
import os
import shutil

import pytest

import bots
from scene import expect_world, run
from serving import Serving

FLEET = {"varnish": None, "n_nodes": 2, "balancers": 1}


@pytest.fixture(scope="module")
def server(fleet):
    with Serving(fleet) as s:
        yield s


def env_of(server, name):
    return {"RELEASE_URL": server.url, "RELEASE_TOKEN": server.token(name, "operator", bot=True), "RELEASE_POLL_MS": "100"}


def story(bot, fleet, say, name):
    """What a team does on a day; `say` makes the bot's command of it."""
    bot.ask(say("release status prod"), r"prod: nothing is running; the lock is free")
    bot.ask(say("release plan v2 prod"), r"plan prod: done\n(.*\n)*.*http\.check")
    bot.ask(say("release lock prod @here the <!channel> database `is` moving"), r"lock prod: done")
    quiet = "\u200b"  # behind each sign that calls people or marks up
    bot.ask(say("release status prod"),
            rf"prod: .*{name}:ann.*@{quiet}here the <{quiet}!channel> database 'is' moving")
    bot.ask(say("release run v2 prod"), rf"run prod: exit status 3\n(.*\n)*.*{name}:ann")
    bot.ask(say("release unlock prod"), r"unlock prod: done")
    bot.ask(say("release run v2 prod"), r"run prod: release \d+ has started, http")
    bot.expect(r"run prod: done", seconds=120)
    expect_world(fleet, "v2")
    bot.ask(say("release rollback prod"), r"rollback prod: done", seconds=120)
    expect_world(fleet, "v1")
    bot.ask(say("release rollback prod before 999"), r"release: rollback: there is no release 999")
    bot.ask(say("release rollback prod to v1"), r"rollback prod: done\n(.*\n)*.*nothing to change", seconds=60)
    bot.ask(say("release history prod"), rf"rollback .* by {name}:ann")
    bot.ask(say("release run --upload-pack=x prod"), r"release: .*upload-pack")
    bot.ask(say("release status nowhere"), r"release: .*nowhere")
    assert f"{name}:ann" in run(fleet, "history", "prod").stdout
    fleet.write_pillar(extra="  approval: other\n")
    bot.ask(say("release run v2 prod"), r"waits for a second person: approve [A-Z0-9]{4}")
    bot.ask(say("release rollback prod to v1"), r"waits for a second person")
    bot.expect(r"rollback prod: there is nothing to change, nobody is asked")
    bot.ask(say("release run nosuch prod"), r"waits for a second person")
    bot.expect(r"run prod: exit status \d+, nobody is asked\n(.*\n)*.*nosuch")
    fleet.write_pillar(extra="  approval: [\n")  # who knows what it asks for
    bot.ask(say("release rollback prod"), r"release: .*pillar of prod cannot be read")
    fleet.write_pillar()


def test_hubot(fleet, server):
    home, reason = bots.hubot_install(os.environ["BUILD_DIR"])
    if not home:
        pytest.skip(reason)
    with bots.hubot(fleet, home, fleet.base + 70, env_of(server, "hubot")) as bot:
        story(bot, fleet, lambda text: f"hubot {text}", "hubot")


def test_errbot(fleet, server):
    if not shutil.which("errbot"):
        pytest.skip("errbot is not installed")
    with bots.errbot(fleet, env_of(server, "errbot")) as bot:
        story(bot, fleet, lambda text: f"!{text}", "errbot")
