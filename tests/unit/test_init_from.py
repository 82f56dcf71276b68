#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""release init --from reads the files of other tools: what they say stands in the pillar with its place, what is computed is told,
nothing is run, and what was written is a pillar that release itself reads without a mistake."""
import os
import pathlib
import subprocess
import sys
import tempfile

RELEASE = sys.argv[1]

CAPFILE = """require "capistrano/setup"
require 'capistrano/rails'
require "capistrano3/puma"
require "capistrano/honeybadger"
"""
DEPLOY = r"""
lock "~> 3.17"
set :application, 'shop'
set :repo_url, "git@git.example.org:shop/#{fetch(:application)}.git"
set :deploy_to, -> { "/srv/#{fetch :application}/#{fetch(:stage)}" }
set :branch, ENV['BRANCH'] || 'main'
append :linked_files, 'config/database.yml',
  'config/master.key'
set :linked_dirs, fetch(:linked_dirs, []).push(
  'log', 'tmp/pids') # and so on
set :linked_dirs, fetch(:linked_dirs) + %w{public/uploads ../../etc}
set :keep_releases, 3
set :api_password, 'SECRET'
set :rbenv_ruby, File.read('.ruby-version').strip
set :pty, `touch was-run`
=begin
set :application, 'wrong'
=end
namespace :deploy do
  after :restart, :clear_cache do
    on roles(:web), in: :groups, limit: 3, wait: 10 do
      set :application, 'wrong'
    end
  end
end
after 'deploy:publishing', 'deploy:restart'
set :branch, 'never' if ENV['NEVER']
"""
PRODUCTION = """server 'app1.example.org', user: 'deploy', roles: %w{app db web}, port: 2222, password: 'SECRET'
server "app2.example.org:22", user: 'other', roles: [:web], ssh_options: {
  forward_agent: true
}
server 'db.example.org', user: 'deploy', roles: %w[db]
role :app, %w{deploy@app3.example.org deploy@app1.example.org}
server ENV['MORE'], roles: :app
"""
# As Capistrano 2 is written.
OLD = """set :application, "old"
set :repository, "https://git.example.org/old.git"
set :user, "ubuntu"
set :deploy_to, "/var/www/#{application}/"
server "old1.example.org", :app, :web, :db, :primary => true
role :web, "old2.example.org", 'old3.example.org'
default_environment["X"] = "y"
"""


def init(root, *args, status=0):
    env = {**os.environ, "HOME": str(root), "RELEASE_STATE": str(root / "state" / "release.db")}
    done = subprocess.run([RELEASE, *args], cwd=root, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def pillar(root, env):
    init(root, "doctor", env)  # what was written is sound
    return (root / "pillar" / f"{env}.sls").read_text()


def has(text, *lines):
    for line in lines:
        assert line in text, f"{line!r} is not in:\n{text}"


def capistrano(root):
    write(root, {"Capfile": CAPFILE, "config/deploy.rb": DEPLOY, "config/deploy/production.rb": PRODUCTION,
                 "config/deploy/staging.rb": "role :web, 'stage.example.org'\n"})
    said = init(root, "init", "--from", "capistrano")
    text = pillar(root, "production")
    has(text, "app: 'shop'  # config/deploy.rb:3\n", "repo: 'git@git.example.org:shop/shop.git'  # config/deploy.rb:4\n",
        "dir: '/srv/shop/production'  # config/deploy.rb:5\n", "branch: 'main'  # config/deploy.rb:6\n", "keep: 3  #",
        "ssh: {user: 'deploy'}  # config/deploy/production.rb:1\n",
        "'app1.example.org': {host: 'app1.example.org', ssh: {port: 2222}}  # config/deploy/production.rb:1\n",
        "'app2.example.org': {host: 'app2.example.org', ssh: {user: 'other'}}  # config/deploy/production.rb:2\n",
        "'app3.example.org': {host: 'app3.example.org'}  # config/deploy/production.rb:6\n",
        "- {path: 'config/master.key', file: yes}  # config/deploy.rb:7\n", "- 'public/uploads/'  # config/deploy.rb:11\n",
        "rake db:migrate", "service: {name: 'puma'}  # Capfile:3: A GUESS")
    left = ("Capfile:4: require 'capistrano/honeybadger'", "config/deploy.rb:13: api_password", "config/deploy.rb:14: rbenv_ruby is computed",
            "config/deploy.rb:11: shared path '../../etc'", "config/deploy.rb:19: namespace deploy", "config/deploy.rb:26: after deploy:publishing",
            "config/deploy.rb:27: branch is set on a condition", "production.rb:5: server db.example.org, which is neither app nor web",
            "production.rb:7: a server whose name is computed")
    has(text, *left)
    for line in left:
        place, _, what = line.rpartition(": ")
        assert f"{place}: not taken along: {what}" in said or what in said, line
    assert "SECRET" not in text + said and "wrong" not in text and not (root / "was-run").exists()
    has(pillar(root, "staging"), "stage.example.org", "dir: '/srv/shop/staging'")
    assert "is there already" in init(root, "init", "--from", "capistrano", "staging", status=2)
    assert "there is no config/deploy/qa.rb" in init(root, "init", "--from", "capistrano", "qa", status=2)


def capistrano_2(root):
    write(root, {"config/deploy.rb": OLD})
    init(root, "init", "--from", "capistrano")
    has(pillar(root, "prod"), "app: 'old'", "dir: '/var/www/old'", "ssh: {user: 'ubuntu'}", "'old1.example.org'", "'old3.example.org'",
        "branch: 'master'  # Capistrano's default", "config/deploy.rb:7: default_environment")


def refusals(root):
    assert "are not read" in init(root, "init", "--from", "fabric", status=2)
    assert "there is no config/deploy.rb here" in init(root, "init", "--from", "capistrano", status=2)
    write(root, {"config/deploy.rb": "set :application, 'x'\n"})
    assert "names no repository" in init(root, "init", "--from", "capistrano", status=2)
    # Text that would be more than text: it stays a value, and the pillar stays sound.
    write(root, {"config/deploy.rb": "set :application, \"x'\\n  y: 1\"\nset :repo_url, \"/srv/it's # here\\nkeep: 9\"\n"
                                     "set :deploy_to, '/srv/{x}'\nrole :web, 'a b', '${x}', 'ok.example.org'\nset :linked_dirs, ((([\n"})
    init(root, "init", "--from", "capistrano")
    has(pillar(root, "prod"), "'ok.example.org'", "repo: '/srv/it''s # herekeep: 9'")


def main():
    for case in (capistrano, capistrano_2, refusals):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            root.chmod(0o700)
            case(root)
    print("init --from: fine")


main()
