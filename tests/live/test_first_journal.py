# SPDX-License-Identifier: MIT
"""A release that the first version of this program began, and that stopped half-way, is gone on with by this one: its journal is read, its frozen
plan thaws and means what it meant. tests/unit/fixtures/journal-first.sql is what that version's `run` left (n1 done, n2 left with its way
back failed, n3 untouched); only where it ran and on which machine is put in here, and the plan's digest with it."""
import hashlib
import os
import pathlib
import re
import sqlite3
import subprocess

FIXTURE = pathlib.Path(__file__).resolve().parents[1] / "unit" / "fixtures" / "journal-first.sql"
PILLAR = "release:\n  app: site\n  plan: own\n  dir: {0}/n0\n  ssh: {{transport: local}}\n  app_servers:\n" + "".join(
    f"    n{i}: {{{{host: localhost, dir: {{0}}/n{i}}}}}\n" for i in (1, 2, 3))


def put_journal(path, place):
    sql = FIXTURE.read_text().replace("@DIR@", str(place))
    plan = re.search(r"INSERT INTO \"?plans\"? VALUES\(1,'(.*)'\);", sql).group(1).replace("''", "'")
    sql = sql.replace("@DIGEST@", hashlib.sha256(plan.encode()).hexdigest())
    db = sqlite3.connect(path)
    db.executescript("pragma journal_mode = wal;" + sql)
    db.close()
    os.chmod(path, 0o600)


def test_the_first_versions_release_is_gone_on_with(tmp_path):
    home = tmp_path / "home"
    for name in ("home", "n1", "n2", "n3", "pillar"):
        (tmp_path / name).mkdir()
    os.chmod(home, 0o700)
    (tmp_path / "n1" / "walked").write_text("done\n")
    (tmp_path / "pillar" / "top.sls").write_text("prod:\n  '*': [prod]\n")
    (tmp_path / "pillar" / "prod.sls").write_text(PILLAR.format(tmp_path))
    put_journal(home / "j.db", tmp_path)
    env = {**os.environ, "HOME": str(home), "RELEASE_STATE": str(home / "j.db")}

    def release(*words):
        return subprocess.run([os.environ["RELEASE_BIN"], *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)

    shown = release("status", "prod")
    assert shown.returncode == 7 and "brings it up to date" in shown.stderr, "a command that only looks leaves it as it is, and says what to do"
    (tmp_path / "mended").touch()  # what made it fail on n2
    done = release("resume", "prod", "--yes")
    assert done.returncode == 0, done
    assert "3 on the new revision" in done.stdout + done.stderr, done
    assert [(tmp_path / n / "walked").read_text() for n in ("n1", "n2", "n3")] == ["done\n"] * 3, "n1 was done, and is not done again"
    rows = sqlite3.connect(home / "j.db").execute("select node from journal where code = 'node-in' order by seq").fetchall()
    assert [r[0] for r in rows] == ["n1", "n2", "n3"], rows
    assert release("resume", "prod", "--yes").returncode != 0, "there is nothing left to go on with"
