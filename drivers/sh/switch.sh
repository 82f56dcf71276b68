# needs: lib dirlib
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
do_clean() {
    dir=$1 keep=$2 before=$3
    [ ! -L "$dir/releases" ] || refuse state "$dir/releases is a symbolic link; nothing was cleaned"
    cd "$dir/releases" 2>/dev/null || { report 'changed no'; return 0; }
    clean_current=$(current_target)
    clean_used=$(inside "$dir/releases" | sed 's/^[0-9]* //')
    # Complete ones, newest first, of which the first KEEP stay.
    # shellcheck disable=SC2012
    clean_keep=$(ls -dt -- */.release-complete 2>/dev/null | sed 's|/.release-complete$||' | head -n "$keep")
    clean_gone='' clean_failed=''
    for clean_one in *; do
        [ -d "$clean_one" ] && [ ! -L "$clean_one" ] || continue
        # Only what unpack made: nobody else's directory is ours to remove.
        [ -e "$clean_one/.release-complete" ] || [ -e "$clean_one/.incomplete" ] || continue
        clean_path=$dir/releases/$clean_one
        [ "$clean_path" != "$clean_current" ] && [ "$clean_path" != "$before" ] || continue
        printf '%s\n' "$clean_keep" | grep -qxF -e "$clean_one" && continue
        printf '%s\n' "$clean_used" | grep -qF -e "$clean_path" && continue
        # Without its marker first: cut short, it is an incomplete one, never a target, and known as ours to the end.
        true >"$clean_one/.incomplete" && rm -f "$clean_one/.release-complete" &&
            find "./$clean_one" -mindepth 1 -maxdepth 1 ! -name .incomplete -exec rm -rf {} + && rm -rf "./$clean_one"
        if [ -d "$clean_one" ]; then
            clean_failed="$clean_failed $clean_one"
        else
            clean_gone="$clean_gone $clean_one"
        fi
    done
    rm -f "$dir/.current.new"
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
