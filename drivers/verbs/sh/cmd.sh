# SPDX-License-Identifier: MIT
# needs: guardlib
# One command of the pillar, as one word to a shell. Output is the command's own.
#   CMD SHELL CREATES UNLESS ONLYIF BUILT_DIR REV GIT_DIR REV_BEFORE BASE PREVIOUS TREE_SCRIPT TREE
#   SUBDIR N_PATHS PATH... OUTPUT...
# SUBDIR: the directory of the repository that is the application; paths begin there.
cmd=$1 shell=$2 creates=$3 unless=$4 onlyif=$5 built_dir=$6 rev=$7 git_dir=$8 rev_before=$9
shift 9
base=$1 previous=$2 tree_script=$3 tree=$4 subdir=$5 n_paths=$6
shift 6

# when_changed: does any of the paths differ between what the node ran before and the new revision? $unchanged = yes only
# when git said so for certain.
look_changed() {
    unchanged=''
    [ "$n_paths" -gt 0 ] && [ -n "$rev_before" ] && [ -n "$git_dir" ] || return 0
    changed_n=$n_paths
    changed_words=''
    for changed_one in "$@"; do
        [ "$changed_n" -gt 0 ] || break
        changed_n=$((changed_n - 1))
        # Each path on its own: no list can be built out of words without an array.
        git -c core.fsmonitor=false -c core.hooksPath=/dev/null --git-dir="$git_dir" diff --quiet --no-ext-diff "$rev_before" "$rev" -- ":(literal)${subdir:+$subdir/}$changed_one" >/dev/null 2>&1 ||
            return 0
        changed_words="$changed_words $changed_one"
    done
    unchanged=yes
}
# A fresh directory has none of what the skipped command made: it comes from the directory of before, where git tells
# that its sources were the same. Without that directory the command runs.
carry_over() {
    [ "$base" != "$previous" ] || return 0
    [ -n "$previous" ] && [ -e "$previous/.release-complete" ] || return 1
    # Of another directory of the repository, a path of that name is something else.
    [ "$(sed -n 's/^path //p' "$previous/.release-complete")" = "$subdir" ] || return 1
    carry_n=$n_paths
    carry_all=$#
    for carry_one in "$@"; do
        # Outputs when they are named, else the watched paths themselves.
        if [ "$carry_n" -gt 0 ]; then
            carry_n=$((carry_n - 1))
            [ "$carry_all" -eq "$n_paths" ] || continue
        fi
        case /$carry_one/ in
        */../*) return 1 ;;
        esac
        [ -e "$previous/$carry_one" ] || return 1
        if [ -d "$previous/$carry_one" ] && [ ! -L "$previous/$carry_one" ]; then
            mkdir -p "$base/$carry_one" && cp -af "$previous/$carry_one/." "$base/$carry_one/" || return 1
        else
            case $carry_one in
            */*) mkdir -p "$base/${carry_one%/*}" ;;
            esac
            cp -af "$previous/$carry_one" "$base/$carry_one" || return 1
        fi
    done
}

already_built "$built_dir" "$rev"
[ -z "$creates" ] || [ ! -e "$creates" ] || skip "$creates exists"
# A shell may come with options (`/bin/bash -l`): words, and nothing else of a shell's.
set -f
# shellcheck disable=SC2086
if [ -n "$onlyif" ] && ! $shell -c "$onlyif" >/dev/null 2>&1 </dev/null; then
    skip 'the onlyif command says no'
fi
# shellcheck disable=SC2086
if [ -n "$unless" ] && $shell -c "$unless" >/dev/null 2>&1 </dev/null; then
    skip 'the unless command says no'
fi
look_changed "$@"
if [ -n "$unchanged" ]; then
    if [ -z "$built_dir" ] || carry_over "$@" >&2; then
        skip "nothing changed in$changed_words"
    fi
fi
# shellcheck disable=SC2086
[ -n "$tree_script" ] || exec $shell -c "$cmd"
# shellcheck disable=SC2086
in_checkout "$tree_script" "$tree" $shell -c "$cmd"
