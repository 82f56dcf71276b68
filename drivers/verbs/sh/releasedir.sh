# SPDX-License-Identifier: MIT
# needs: lib gitlib dirlib proc
# Making release directories.
#   unpack DIR RELEASE_DIR REV KEEP BEFORE SUBDIR SHARED...   unpacked DIR RELEASE_DIR REV SHARED...
#   seal DIR RELEASE_DIR REV SUBDIR   sealed DIR RELEASE_DIR REV
# SUBDIR: the directory of the repository that is the application; empty: all of it.
act=$1
shift

want_place() {
    place_name=${release_dir#"$dir/releases/"}
    case $place_name in
    "$release_dir" | '' | */* | .*) refuse config "$release_dir is not a directory of $dir/releases" ;;
    esac
    for place_one in "$dir/releases" "$release_dir"; do
        [ ! -L "$place_one" ] || refuse state "$place_one is a symbolic link; release directories are real ones, move it away"
    done
}
# What an incomplete directory holds is synced only by `seal`. So it names the boot of the machine that it was begun in:
# after another one nobody can tell what is left of it, and it is built anew.
this_boot() {
    cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown
}
begun_in_this_boot() {
    begun_boot=''
    { read -r begun_boot <"$release_dir/.incomplete"; } 2>/dev/null
    [ "$begun_boot" = "$(this_boot)" ]
}
in_use() {
    use_first=$(inside "$1" | head -n 1)
    printf '%s' "${use_first%% *}"
}

# shared_begin WORD: $shared_there, which is missing, gets its first content under another name, and its own name when it is
# whole: what bears the name is never looked at again. The content is what the pillar says, or what the revision itself
# brings; else it is empty where an empty one does no harm and the pillar says what it is (a directory, a file that need not
# be there), else refused: an empty .env in rotation is worse than a release that does not begin.
shared_begin() {
    begin_new=$shared_there.release-new
    rm -rf "$begin_new"
    case $shared_flags in
    *c*)
        begin_as='with what the pillar says'
        (umask 077 && printf '%s\n' "$shared_content" >"$begin_new")
        ;;
    *)
        if [ -e "$shared_here" ] && [ ! -L "$shared_here" ]; then
            begin_as='as a copy of what this revision holds'
            cp -a "$shared_here" "$begin_new"
        else
            begin_as=empty
            case $shared_flags in
            *r*) refuse state "$shared_there is missing, and the pillar says that it is required: put it there" ;;
            *d*) mkdir "$begin_new" ;;
            *f*) true >"$begin_new" ;;
            *) refuse state "$shared_there is missing, and the revision does not bring it: put it there, or say in the pillar what may begin empty: '$shared_path/' is a directory, {path: $shared_path, file: yes, required: no} a file" ;;
            esac
        fi
        ;;
    esac || refuse io "cannot make $shared_there, which is to begin $begin_as"
    if [ -n "$shared_owner" ]; then
        begin_out=$(may_give "$shared_owner")
        [ -z "$begin_out" ] || refuse auth "cannot make $shared_there: $begin_out"
        begin_out=$(chown -R "$shared_owner" -- "$begin_new" 2>&1) || refuse io "cannot give $shared_there to $shared_owner: $begin_out"
    fi
    # After chown, which takes set-group-ID bits away.
    [ -z "$shared_mode" ] || chmod "$shared_mode" -- "$begin_new" || refuse io "cannot give $shared_there the mode $shared_mode"
    sync_all "$begin_new" && mv "$begin_new" "$shared_there" || refuse io "cannot make $shared_there"
    report "say shared/$shared_path begins $begin_as"
}

# link_shared WORD CONTENT: DIR/shared/PATH linked into the release.
link_shared() {
    shared_split "$1"
    shared_content=$2
    case /$shared_path/ in
    *//* | */../* | */./* | */.git/*) refuse config "shared path '$1' must be relative and without '..'" ;;
    esac
    shared_up=$shared_path
    while :; do
        case $shared_up in
        */*) shared_up=${shared_up%/*} ;;
        *) break ;;
        esac
        [ ! -L "$release_dir/$shared_up" ] || refuse state "shared path '$1': $shared_up is a symbolic link in this revision"
    done
    shared_here=$release_dir/$shared_path shared_there=$dir/shared/$shared_path
    mkdir -p "${shared_here%/*}" "${shared_there%/*}" || refuse io "cannot make the parents of shared path '$1'"
    [ -e "$shared_there" ] || [ -L "$shared_there" ] || shared_begin
    shared_wrong=$(shared_trouble "$1" | head -n 1)
    [ -z "$shared_wrong" ] || refuse state "$shared_there $shared_wrong"
    rm -rf "$shared_here"
    ln -s "$shared_there" "$shared_here" || refuse io "cannot link $shared_here"
}

# What was built elsewhere (source.sh) is written byte for byte, whatever .gitattributes lie in it: a file that ranks above them all
# says so, and is there for such commits alone.
attributes_for() {
    attributes_file=$git_dir/info/attributes
    if g --git-dir="$git_dir" cat-file commit "$1" | grep -q '^committer release <artifact> '; then
        mkdir -p "$git_dir/info" && printf '# release\n* -text -ident -filter -working-tree-encoding\n' >"$attributes_file" || refuse io "cannot write $attributes_file"
    elif [ "$(head -n 1 "$attributes_file" 2>/dev/null)" = '# release' ]; then
        rm -f "$attributes_file"
    fi
}
do_unpack() {
    dir=$1 release_dir=$2 rev=$3 keep=$4 before=$5 subdir=$6
    shift 6
    want_place
    if unpack_has=$(marker_rev "$release_dir"); then
        [ "$unpack_has" = "$rev" ] || refuse state "$release_dir is complete, but for $unpack_has; remove it by hand if nothing uses it"
        report 'fact complete yes'
        report 'changed no'
        return 0
    fi
    report 'fact complete no'
    git_dir=$dir/repo.git
    has_commit "$git_dir" "$rev" || refuse not-found "$git_dir does not have commit $rev; fetch it first (git.fetch)"
    unpack_tree=$rev${subdir:+:$subdir}
    [ -z "$subdir" ] || [ "$(g --git-dir="$git_dir" cat-file -t "$unpack_tree" 2>/dev/null)" = tree ] ||
        refuse not-found "commit $rev holds no directory $subdir (git: path)"
    [ -z "$(g --git-dir="$git_dir" ls-tree --name-only "$unpack_tree" -- .release-complete .incomplete .release-index)" ] ||
        refuse state 'this revision holds a file called .release-complete, .incomplete or .release-index; those names are ours'
    if [ -d "$release_dir" ]; then
        unpack_user=$(in_use "$release_dir")
        [ -z "$unpack_user" ] || refuse state "$release_dir is not complete, yet $(proc_name "$unpack_user") works in it; end it"
        [ "$(current_target)" != "$release_dir" ] || refuse state "$dir/current leads to $release_dir, which is not complete; correct it by hand"
        rm -rf "$release_dir" || refuse io "cannot remove the incomplete $release_dir"
        report 'say removed an incomplete directory of an earlier attempt'
    fi
    # What failed attempts left does not wait for the next success to be removed: disks fill up.
    (clean_releases "$dir" "$keep" "$before" "$release_dir")
    unpack_out=$(mkdir -p "$release_dir" 2>&1 && this_boot >"$release_dir/.incomplete") || say_space "$unpack_out" "cannot make $release_dir"
    attributes_for "$rev"
    # Through an index of its own, not `git archive`, which would leave out what .gitattributes calls export-ignore; and
    # the index can then tell whether every file is there.
    GIT_INDEX_FILE=$release_dir/.release-index
    export GIT_INDEX_FILE
    unpack_out=$(cd "$release_dir" && g --git-dir="$git_dir" --work-tree="$release_dir" -c core.bare=false read-tree -u --reset "$unpack_tree" 2>&1) ||
        say_space "$unpack_out" "cannot unpack into $release_dir"
    unpack_out=$(cd "$release_dir" && g --git-dir="$git_dir" --work-tree="$release_dir" -c core.bare=false diff-files --ignore-submodules=all 2>&1 |
        awk -F '\t' '{ split(substr($1, 2), f, " "); print f[1], f[2], f[3], $2 }' | (cd "$release_dir" && really_changed "$git_dir"))
    [ -z "$unpack_out" ] || refuse io "files of $release_dir are not as committed: $(printf '%s\n' "$unpack_out" | tail_line)"
    rm -f "$GIT_INDEX_FILE"
    unset GIT_INDEX_FILE
    ! g --git-dir="$git_dir" ls-tree -r "$unpack_tree" | grep -q '^160000 ' || report 'say this revision has submodules; they are not fetched (git: {submodules: ignore})'
    unpack_n=0
    for unpack_one in "$@"; do
        eval "unpack_content=\${RELEASE_SHARED_$unpack_n-}"
        link_shared "$unpack_one" "$unpack_content"
        unpack_n=$((unpack_n + 1))
    done
}
do_unpacked() {
    dir=$1 release_dir=$2 rev=$3
    if [ "$(marker_rev "$release_dir")" = "$rev" ]; then
        report 'fact complete yes'
    elif [ ! -d "$release_dir" ] || [ -e "$release_dir/.release-index" ] || ! begun_in_this_boot; then
        wait_more "$release_dir is not unpacked"
    else
        # The index is gone, so the files are all there; the shared links come last, and making them again is cheap.
        shift 3
        for unpacked_one in "$@"; do
            shared_split "$unpacked_one"
            [ -L "$release_dir/$shared_path" ] || wait_more "$shared_path is not linked yet"
        done
    fi
}
# The marker is on disk only after everything it stands for.
do_seal() {
    dir=$1 release_dir=$2 rev=$3 subdir=$4
    want_place
    if seal_has=$(marker_rev "$release_dir"); then
        [ "$seal_has" = "$rev" ] || refuse state "$release_dir is complete, but for $seal_has"
        rm -f "$release_dir/.incomplete"
        report 'changed no'
        return 0
    fi
    [ -e "$release_dir/.incomplete" ] || refuse state "$release_dir was not unpacked (release.unpack)"
    begun_in_this_boot || refuse state "this machine was started anew while $release_dir was built, and what was built may be lost; start the release again, it is built anew"
    sync_all "$release_dir"
    seal_out=$(printf 'rev %s\nrecipe %s\n%s' "$rev" "${release_dir##*-}" "${subdir:+path $subdir
}" 2>&1 >"$release_dir/.release-complete.new" &&
        { sync "$release_dir/.release-complete.new" 2>/dev/null || sync; } &&
        mv "$release_dir/.release-complete.new" "$release_dir/.release-complete" 2>&1 &&
        rm -f "$release_dir/.incomplete" 2>&1) || say_space "$seal_out" "cannot mark $release_dir complete"
    sync "$release_dir" 2>/dev/null || sync
}
do_sealed() {
    [ "$(marker_rev "$2")" = "$3" ] || wait_more "$2 is not marked complete for $3"
}

case $act in
unpack) do_unpack "$@" ;;
unpacked) do_unpacked "$@" ;;
seal) do_seal "$@" ;;
sealed) do_sealed "$@" ;;
esac
finish
