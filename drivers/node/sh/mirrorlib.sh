# SPDX-License-Identifier: MIT
# On the controller: the bare mirror of a repository, or of the versions of an artifact, in the user's cache. Behind gitlib.
# In place of a repository's address `artifact:PATTERN` stands for the files of that pattern (drivers/verbs/sh/source.sh): nobody
# can be asked for what is not there.

# mirror KEY REPO SECONDS KNOB: git_dir and mirror_base, under the mirror's lock (fd 9). KNOB: what gives it longer.
mirror() {
    umask 077
    mirror_base=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/release/mirrors
    mkdir -p "$mirror_base" || refuse io "cannot make $mirror_base; set XDG_CACHE_HOME to a directory of yours"
    git_dir=$mirror_base/$1.git
    true >>"$mirror_base/$1.lock" || refuse io "cannot write $mirror_base"
    exec 9>>"$mirror_base/$1.lock"
    ! command -v flock >/dev/null || flock -w "$3" 9 ||
        refuse network "$2: a fetch that an earlier attempt began is still going on, or somebody else is at work on its mirror$(fetched_so_far "$1"); try again, or give it longer ($4)"
    [ -d "$git_dir" ] || {
        rm -rf "$git_dir.new"
        mirror_out=$(g init -q --bare "$git_dir.new" 2>&1 && mv "$git_dir.new" "$git_dir" 2>&1) || git_failed "$mirror_out" "cannot make $git_dir"
    }
}
# How far the fetch of mirror KEY is, in git's own words.
fetched_so_far() {
    fetched_line=$(tr '\r' '\n' <"$mirror_base/$1.fetch" 2>/dev/null | grep '%' | tail -n 1)
    [ -z "$fetched_line" ] || printf ' (%s)' "$fetched_line"
}
