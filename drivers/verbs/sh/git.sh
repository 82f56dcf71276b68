# SPDX-License-Identifier: MIT
# needs: lib gitlib builtlib
# git on the node: the bare repository DIR/repo.git of release directories, or the checkout DIR of in-place plans.
#   ACT LAYOUT DIR REPO REV FORCE VIA [PACK [FROM]]
# VIA: who reads the repository, this node or the controller. Then REPO is empty, and PACK is what the controller brings, by its
# SHA-256: `have` says what is here ("whole", "have COMMIT", "part PACK BYTES"), `take` puts stdin behind its first FROM bytes,
# `fetch` opens it.
act=$1 layout=$2 dir=$3 repo=$4 rev=$5 force=$6 via=$7 pack=${8:-} from=${9:-}

locate() {
    git_dir='' git_why="there is no $dir"
    if [ "$layout" = releases ]; then
        git_dir=$dir/repo.git
        [ -d "$git_dir" ] || git_dir=''
        return
    fi
    [ ! -e "$dir" ] || git_in "$dir"
    case $act in
    fetch | take | checkout) [ -z "$git_as" ] || refuse config "$dir belongs to $git_as, and release works there as $(id -un); give \`user: $git_as\`" ;;
    esac
}
# A repository is made under another name and renamed, so that half of one is never found.
create() {
    mkdir -p "$dir" || refuse io "cannot make $dir; give its parent to $(id -un) or create it"
    if [ "$layout" = releases ]; then
        rm -rf "$dir/.repo.git.new"
        create_out=$(g init -q --bare "$dir/.repo.git.new" 2>&1 && { sync -f "$dir/.repo.git.new" 2>/dev/null || sync; } && mv "$dir/.repo.git.new" "$dir/repo.git" 2>&1) ||
            git_failed "$create_out" "cannot make $dir/repo.git"
    else
        [ -z "$(ls -A "$dir")" ] || refuse state "$dir is not empty and not a git checkout ($git_why); move it away or point \`dir\` elsewhere"
        create_out=$(g init -q "$dir" 2>&1) || git_failed "$create_out" "cannot make a repository in $dir"
    fi
    locate
}
all_refs() {
    if [ "$layout" = releases ]; then
        g --git-dir="$git_dir" fetch --no-write-fetch-head -- "$repo" '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' 2>&1
    else
        g --git-dir="$git_dir" fetch --no-tags --no-write-fetch-head -- "$repo" '+refs/heads/*:refs/remotes/release/*' '+refs/tags/*:refs/release-tags/*' 2>&1
    fi
}
# The one commit and what it needs; servers that give no commit by its hash are asked for all branches and tags.
fetch_commit() {
    fetch_out=$(g --git-dir="$git_dir" fetch --no-tags --no-write-fetch-head -- "$repo" "+$rev:refs/release/$rev" 2>&1) && return 0
    case $fetch_out in
    *'not our ref'* | *'unadvertised object'* | *"couldn't find remote ref"*) ;;
    *) git_failed "$fetch_out" "cannot fetch ${rev%"${rev#????????????}"} from $repo" ;;
    esac
    fetch_out=$(all_refs) || git_failed "$fetch_out" "cannot fetch from $repo"
}
dirty_files() {
    changed_files "$git_dir" "$dir"
}
by_hand() {
    hand_all=$(dirty_files) && [ -n "$hand_all" ] || { printf '%s' "$hand_all"; return; }
    printf '%s\n' "$hand_all" | not_ours "$git_dir" "$dir"
}
# Files that git calls modified, though they are as it or our own build wrote them, make it refuse another revision: they may be
# overwritten, a file of somebody else's that a new one would fall upon may not.
may_overwrite() {
    overwrite_all=$(g --git-dir="$git_dir" diff --name-only --no-renames --diff-filter=A HEAD "$rev" -- 2>/dev/null | while IFS= read -r overwrite_one; do
        [ ! -e "$dir/$overwrite_one" ] && [ ! -L "$dir/$overwrite_one" ] || printf '%s\n' "$overwrite_one"
    done)
    overwrite_first=$(printf '%s\n' "$overwrite_all" | not_ours "$git_dir" "$dir" | head -n 1)
    if [ -z "$(g --git-dir="$git_dir" --work-tree="$dir" status --porcelain -uno --ignore-submodules=all 2>/dev/null)" ]; then
        [ -n "$overwrite_all" ] && [ -z "$overwrite_first" ]
        return
    fi
    [ -z "$overwrite_first" ] || refuse state "$dir/$overwrite_first is in the way: the revision brings a file of that name, and this one is not git's; move it away"
}
# Going back, from the commit that our own checkout of this release brought: a build that edits a tracked file (a lock
# file) is ours, and must not keep the node from going back.
made_by_us() {
    [ "$force" = ours ] || return 1
    made_rev=$(sed -n 's/^rev //p' "$git_dir/release-running" 2>/dev/null)
    [ -n "$made_rev" ] && [ "$made_rev" = "$(head_rev)" ] && [ "$made_rev" != "$rev" ]
}
# The files an operator changed; those of our own interrupted checkout do not count.
want_clean() {
    [ "$force" != yes ] || return 0
    [ ! -e "$git_dir/release-checkout" ] || return 0
    if made_by_us; then return 0; fi
    g --git-dir="$git_dir" rev-parse -q --verify HEAD >/dev/null || return 0
    clean_files=$(by_hand)
    [ -z "$clean_files" ] || refuse state "$dir has $(printf '%s\n' "$clean_files" | wc -l) files changed by hand: $(
        printf '%s\n' "$clean_files" | head -n 10 | tr '\n' ' '
    ); commit or undo them there, or give \`force: yes\` to lose them"
}
# What the controller need not bring: "whole", or the tips of what is here and how much of a pack that was cut off.
do_have() {
    locate
    [ -n "$git_dir" ] || return 0
    if has_whole "$git_dir" "$rev"; then
        report whole
        return 0
    fi
    {
        head_rev
        g --git-dir="$git_dir" for-each-ref --sort=-creatordate --count=60 --format='%(objectname) %(*objectname)'
    } 2>/dev/null | awk '{ tip = $NF } !seen[tip]++ { print "have", tip }'
    for have_part in "$git_dir"/release-pack-*; do
        [ ! -f "$have_part" ] || report "part ${have_part##*-} $(wc -c <"$have_part")"
    done
}
# Parts of packs but $1 that were not opened: nobody will ask for them any more.
drop_packs() {
    for drop_one in "$git_dir"/release-pack-*; do
        [ "$drop_one" = "$git_dir/release-pack-$1" ] || rm -f "$drop_one"
    done
}
# A writable repository that no killed git holds, and a tree that may be changed.
prepare() {
    locate
    [ -n "$git_dir" ] || create
    [ "$layout" = releases ] || want_clean
}
unlock() {
    case $layout in
    releases) unlock_stale "$git_dir" "$git_dir" ;;
    *) unlock_stale "$git_dir" "$dir" ;;
    esac
}
# Repeatable: what is there behind FROM came with an attempt that was cut off.
do_take() {
    if [ "$from" = 0 ]; then
        prepare
    else
        locate
        [ -n "$git_dir" ] || refuse state "the repository in $dir is gone: $git_why"
    fi
    drop_packs "$pack"
    take_file=$git_dir/release-pack-$pack
    true >>"$take_file" || refuse io "cannot write $take_file"
    take_there=$(wc -c <"$take_file")
    [ "$take_there" -ge "$from" ] || refuse state "$take_file has $take_there bytes, wanted $from or more: somebody cut it"
    truncate -s "$from" "$take_file" && cat >>"$take_file" || refuse no-space "cannot write $take_file; is the disk full?"
}
# What came is what was sent, or it is not used.
open_pack() {
    open_file=$git_dir/release-pack-$pack
    [ -f "$open_file" ] || refuse state "$open_file is gone; somebody removed it while it was being brought"
    open_sum=$(sha256sum <"$open_file")
    if [ "${open_sum%% *}" != "$pack" ]; then
        rm -f "$open_file"
        refuse protocol "what the controller sent arrived differently (SHA-256 ${open_sum%% *}, wanted $pack); it was removed, try again"
    fi
    open_out=$(g --git-dir="$git_dir" index-pack --stdin --fix-thin <"$open_file" 2>&1) || git_failed "$open_out" "cannot open what the controller sent"
    rm -f "$open_file"
}
do_fetch() {
    prepare
    if has_whole "$git_dir" "$rev"; then
        drop_packs none
        report 'changed no'
        return 0
    fi
    unlock
    if [ "$via" = controller ]; then
        open_pack
        has_whole "$git_dir" "$rev" || refuse protocol "the controller did not send all that $rev needs"
    else
        fetch_commit
        has_whole "$git_dir" "$rev" || refuse not-found "$repo has no commit $rev; was it pushed, or pushed away by force?"
    fi
    drop_packs none
    # Kept by a name of our own, so that no housekeeping drops a commit whose branch moved on.
    keep_out=$(g --git-dir="$git_dir" update-ref "refs/release/$rev" "$rev" 2>&1) || git_failed "$keep_out" "cannot keep $rev"
}
# Could this node fetch what it does not have? Asked before anything is touched.
do_readable() {
    locate
    if [ "$via" = controller ]; then
        for readable_tool in sha256sum truncate; do
            command -v $readable_tool >/dev/null || refuse not-found "$readable_tool is not installed there, and git: {via: controller} needs it"
        done
        return 0
    fi
    [ -z "$git_dir" ] || ! has_whole "$git_dir" "$rev" || return 0
    readable_out=$(g ls-remote -- "$repo" HEAD 2>&1) || git_failed "$readable_out" "cannot read $repo"
}
do_fetched() {
    locate
    [ -n "$git_dir" ] && has_whole "$git_dir" "$rev" || wait_more "$dir does not have commit $rev yet"
}
head_rev() {
    g --git-dir="$git_dir" rev-parse -q --verify 'HEAD^{commit}' 2>/dev/null
}
write_marker() {
    printf 'rev %s\nbefore %s\n' "$rev" "$1" >"$git_dir/release-running.new" &&
        sync "$git_dir/release-running.new" 2>/dev/null
    mv "$git_dir/release-running.new" "$git_dir/release-running" || refuse io "cannot write $git_dir/release-running"
    rm -f "$git_dir/release-checkout" "$git_dir/release-built" "$git_dir/release-building"
}
do_checkout() {
    locate
    [ -n "$git_dir" ] || refuse state "$dir is not a git checkout ($git_why); git.fetch makes it one"
    has_commit "$git_dir" "$rev" || refuse not-found "$dir does not have commit $rev; fetch it first (git.fetch)"
    unlock_stale "$git_dir" "$dir"
    want_clean
    checkout_before=$(head_rev)
    report "fact git.before $checkout_before"
    if [ "$checkout_before" = "$rev" ] && [ ! -e "$git_dir/release-checkout" ] && [ -z "$(dirty_files)" ]; then
        [ -e "$git_dir/release-running" ] || write_marker "$checkout_before"
        report 'changed no'
        return 0
    fi
    # From here to the marker the tree may be half of each: said in a file, so that the next attempt may overwrite it.
    checkout_force=''
    if [ "$force" = yes ] || made_by_us || [ -e "$git_dir/release-checkout" ] || may_overwrite; then
        checkout_force=-f
    fi
    printf '%s\n' "$rev" >"$git_dir/release-checkout" || refuse io "cannot write $git_dir/release-checkout"
    checkout_out=$(cd "$dir" && g checkout -q $checkout_force --detach "$rev" -- 2>&1) || {
        # A refusal before the first file leaves the old tree whole.
        [ -n "$checkout_force" ] || [ -n "$(dirty_files)" ] || rm -f "$git_dir/release-checkout"
        git_failed "$checkout_out" "cannot check out ${rev%"${rev#????????????}"} in $dir"
    }
    [ "$(head_rev)" = "$rev" ] || refuse state "$dir is at $(head_rev) after the checkout, wanted $rev"
    write_marker "$checkout_before"
}
do_checked_out() {
    locate
    [ -n "$git_dir" ] || refuse state "$dir is not a git checkout ($git_why)"
    if [ -e "$git_dir/release-checkout" ]; then
        wait_more "a checkout of $(cat "$git_dir/release-checkout") did not end"
    elif [ "$(head_rev)" != "$rev" ]; then
        wait_more "$dir is at $(head_rev)"
    elif [ -n "$(dirty_files)" ]; then
        wait_more "$dir has changed files"
    fi
}

case $act in
have) do_have ;;
take) do_take ;;
fetch) do_fetch ;;
readable) do_readable ;;
fetched) do_fetched ;;
checkout) do_checkout ;;
checked_out) do_checked_out ;;
esac
finish
