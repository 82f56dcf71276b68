# SPDX-License-Identifier: MIT
# needs: lib gitlib dirlib
# The link `current`, and what may be removed.
#   switch|switched DIR TARGET REV   clean DIR KEEP BEFORE
act=$1
shift

do_switch() {
    dir=$1 release_dir=$2 rev=$3
    [ -n "$release_dir" ] || refuse state 'it is not known what this node ran before, so there is nothing to go back to'
    switch_rev=$(marker_rev "$release_dir") || refuse state "$release_dir is not a complete release directory (no .release-complete); it is never a target"
    [ "$switch_rev" = "$rev" ] || refuse state "$release_dir holds $switch_rev, wanted $rev"
    if [ -e "$dir/current" ] && [ ! -L "$dir/current" ]; then
        refuse state "$dir/current is not a symbolic link; move it away, \`current\` belongs to release"
    fi
    switch_now=$(current_target)
    report "fact current $release_dir"
    if [ "$switch_now" = "$release_dir" ]; then
        report 'changed no'
        return 0
    fi
    case $release_dir in
    "$dir/"*) switch_link=${release_dir#"$dir/"} ;;
    *) switch_link=$release_dir ;;
    esac
    rm -f "$dir/.current.new"
    switch_out=$(ln -s "$switch_link" "$dir/.current.new" 2>&1) || say_space "$switch_out" "cannot write in $dir"
    rename_over "$dir/.current.new" "$dir/current"
    sync "$dir" 2>/dev/null || sync
    [ "$(current_target)" = "$release_dir" ] || refuse state "$dir/current leads to $(current_target) after the switch, wanted $release_dir"
}
# One rename. mv -T is in GNU coreutils and busybox; a POSIX mv would move the link *into* the directory it leads to.
rename_over() {
    rename_out=$(mv -T -f "$1" "$2" 2>&1) && return 0
    if [ ! -d "$2" ] && [ ! -L "$2" ]; then
        rename_out=$(mv -f "$1" "$2" 2>&1) && return 0
    elif command -v python3 >/dev/null; then
        rename_out=$(python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$1" "$2" 2>&1) && return 0
    elif command -v perl >/dev/null; then
        rename_out=$(perl -e 'rename $ARGV[0], $ARGV[1] or die $!' "$1" "$2" 2>&1) && return 0
    fi
    rm -f "$1"
    refuse io "cannot rename $1 to $2: $(printf '%s\n' "$rename_out" | tail_line)"
}
do_switched() {
    dir=$1 release_dir=$2
    switched_now=$(current_target)
    report "fact current $switched_now"
    [ -n "$release_dir" ] && [ "$switched_now" = "$release_dir" ] || wait_more "$dir/current leads to ${switched_now:-nothing}"
}
# Our names for commits (git.fetch) of which no release directory is left: git's own housekeeping may then drop them.
prune_refs() {
    [ -d "$dir/repo.git" ] || return 0
    prune_keep=$(for prune_one in "$dir"/releases/*; do
        marker_rev "$prune_one" && echo
    done; marker_rev "$(current_target)" && echo)
    prune_gone=$(g --git-dir="$dir/repo.git" for-each-ref --format='%(refname)' refs/release/ 2>/dev/null | while IFS= read -r prune_ref; do
        printf '%s\n' "$prune_keep" | grep -qxF -e "${prune_ref##*/}" || printf 'delete %s\n' "$prune_ref"
    done)
    [ -n "$prune_gone" ] || return 0
    # Names that stay cost only space: no release fails for them.
    prune_out=$(printf '%s\n' "$prune_gone" | g --git-dir="$dir/repo.git" update-ref --stdin 2>&1) ||
        report "say old names of commits stay in $dir/repo.git: $(printf '%s\n' "$prune_out" | tail_line)"
}
do_clean() {
    dir=$1
    clean_releases "$dir" "$2" "$3" ''
    rm -f "$dir/.current.new"
    prune_refs
    report "fact removed ${clean_gone# }"
    [ -n "$clean_gone$clean_failed" ] || report 'changed no'
    [ -z "$clean_failed" ] || refuse io "could not remove$clean_failed in $dir/releases; whose files are in there?"
}

case $act in
switch) do_switch "$@" ;;
switched) do_switched "$@" ;;
clean) do_clean "$@" ;;
esac
finish
