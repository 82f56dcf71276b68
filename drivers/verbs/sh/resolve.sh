# SPDX-License-Identifier: MIT
# needs: lib gitlib mirrorlib
# On the controller: what a typed revision means, and what lies between two revisions, out of a bare mirror in the
# user's cache.
#   resolve KEY REPO SECONDS TYPED SUBMODULES LFS SUBDIR ALLOW MAX_AGE KEYRING SIGNERS PATH... | log KEY REPO SECONDS FROM TO SUBDIR | pack KEY REPO SECONDS REV HAVE... | has KEY REPO SECONDS REV
# SUBMODULES, LFS: refuse or ignore. SUBDIR: the application is this directory of the repository; empty: all of it. PATHs: which of them does the revision hold?
# ALLOW: patterns of branches, one a line; MAX_AGE: seconds; KEYRING, SIGNERS: files. What the revision is not as they want is a
# fact (guard.NAME): the release decides. Empty: nothing is wanted.
# SECONDS: how long this may take.
act=$1 key=$2 repo=$3 seconds=$4
case $act in
pack) knob='git: {fetch_timeout: 30m}' ;;
*) knob='git: {resolve_timeout: 10m}' ;;
esac

# A fetch has a session of its own and keeps the lock: when whoever asked gives up, what came so far would be lost with it,
# and the next attempt would begin anew. The first one of a large repository takes as long as it takes.
refreshed=''
refresh() {
    case $repo in artifact:*) return ;; esac
    unlock_stale "$git_dir" "$git_dir"
    (
        git_alone=yes
        g --git-dir="$git_dir" fetch --progress --prune --no-write-fetch-head -- "$repo" '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*'
    ) >"$mirror_base/$key.fetch" 2>&1 </dev/null &
    refresh_pid=$! refreshed=yes
    trap : ALRM
    read -r refresh_self refresh_rest </proc/self/stat # $$ is another shell's, where this one is a part of it
    (
        trap 'kill "$refresh_sleep"; exit' TERM
        sleep "$seconds" &
        refresh_sleep=$!
        wait "$refresh_sleep"
        kill -ALRM "$refresh_self"
    ) >/dev/null 2>&1 9>&- &
    refresh_clock=$!
    wait "$refresh_pid"
    refresh_rc=$?
    # The shell's word for "a signal came": the time is up, and git is still at it.
    [ $refresh_rc -le 128 ] || ! kill -0 "$refresh_pid" 2>/dev/null ||
        refuse network "$repo did not come within $seconds s$(fetched_so_far "$key"); the fetch goes on by itself, and what it brings is kept: try again, or give it longer ($knob)"
    kill "$refresh_clock" 2>/dev/null
    [ $refresh_rc = 0 ] || git_failed "$(tr '\r' '\n' <"$mirror_base/$key.fetch" | grep -v '%')" "cannot read $repo"
}
# Brings all branches and tags, and the commit of that whole hash, if none of them leads to it.
by_itself() {
    refresh
    case $repo in
    artifact:*) has_commit "$git_dir" "$1" ||
        refuse not-found "the files of $1 are not in $git_dir any more, where an artifact is kept once it was read: 'release check --rev NAME' reads it again" ;;
    esac
    has_commit "$git_dir" "$1" ||
        g --git-dir="$git_dir" fetch --no-tags --no-write-fetch-head -- "$repo" "+$1:refs/release/$1" >/dev/null 2>&1 9>&- || true
}
by_name() {
    g --git-dir="$git_dir" rev-parse -q --verify "$1^{commit}" 2>/dev/null
}
# The commits whose hash begins with $1, one a line. Never through rev-parse NAME: a branch of that name would win.
by_hash() {
    for hash_one in $(g --git-dir="$git_dir" rev-parse --disambiguate="$1" 2>/dev/null); do
        [ "$(g --git-dir="$git_dir" cat-file -t "$hash_one" 2>/dev/null)" != commit ] || printf '%s\n' "$hash_one"
    done
}
one_line() {
    g --git-dir="$git_dir" log -1 --format='%h %an, %ad: %s' --date=short "$1" --
}
# What keeps commit $1 from having directory $subdir; nothing: it has it.
subdir_trouble() {
    subdir_entry=$(g --git-dir="$git_dir" ls-tree "$1" -- "$subdir")
    case $subdir_entry in
    '040000 '*) return ;;
    '160000 '*) echo 'is a submodule there, which is another repository: give the address of that one'; return ;;
    '120000 '*) echo 'is a symbolic link there; give the directory that it leads to'; return ;;
    ?*) echo 'is a file there, wanted a directory'; return ;;
    esac
    subdir_up=$subdir
    while :; do
        case $subdir_up in
        */*) subdir_up=${subdir_up%/*} ;;
        *) subdir_up='' ;;
        esac
        subdir_there=$(g --git-dir="$git_dir" ls-tree -d --name-only "$1${subdir_up:+:$subdir_up}" 2>/dev/null | head -n 8 | tr '\n' ' ')
        [ -z "$subdir_there" ] && [ -n "$subdir_up" ] || break
    done
    echo "is not there (directories${subdir_up:+ of $subdir_up}: ${subdir_there:-none })" | sed 's/ )$/)/'
}
# What the nodes would not bring is said before any is touched: they fetch the commit's own files and nothing else.
want_plain() {
    plain_links=$(g --git-dir="$git_dir" ls-tree -r "$1${subdir:+:$subdir}" | awk -F '\t' '/^160000 / { print $2 }' | head -n 3 | tr '\n' ' ')
    [ -z "$plain_links" ] || [ "$submodules" = ignore ] ||
        refuse config "this revision has submodules (${plain_links% }), which are not fetched: their directories would be empty. If the application does without, write \`git: {submodules: ignore}\`; else bring their files into the repository, or fetch them in a build step"
    [ "$lfs" != ignore ] || return 0
    plain_attributes=$(g --git-dir="$git_dir" grep -l 'filter=lfs' "$1" -- ':(glob)**/.gitattributes' 2>/dev/null) || return 0
    [ -n "$plain_attributes" ] || return 0
    plain_pointer=$(g --git-dir="$git_dir" grep -l '^version https://git-lfs[.]github[.]com/spec/v1$' "$1" -- ${subdir:+":(literal)$subdir"} 2>/dev/null | sed 's/^[^:]*://' | head -n 3 | tr '\n' ' ')
    [ -z "$plain_pointer" ] ||
        refuse config "this revision holds files by git-lfs (${plain_pointer% }), which are not fetched: pointers would stand in their place. If the application does without, write \`git: {lfs: ignore}\`; else fetch them in a build step (git lfs is then to be told the repository), or commit the files themselves"
}
branches_of() {
    g --git-dir="$git_dir" for-each-ref --contains="$1" --format='%(refname:lstrip=2)' refs/heads
}
on_allowed() {
    while IFS= read -r allowed_branch; do
        while IFS= read -r allowed_pattern; do
            # shellcheck disable=SC2254
            case $allowed_branch in $allowed_pattern) return 0 ;; esac
        done <<PATTERNS
$allow
PATTERNS
    done <<BRANCHES
$(branches_of "$1")
BRANCHES
    return 1
}
guard_allow() {
    # A whole hash may have been known without asking the repository: branches may have come to it, or gone from it, since.
    [ -n "$refreshed" ] || refresh
    ! on_allowed "$1" || return
    guard_wanted=$(printf '%s' "$allow" | tr '\n' ' ')
    guard_on=$(branches_of "$1" | head -n 5 | tr '\n' ' ')
    report "fact guard.allow is on ${guard_on:-no branch }and on none of '$guard_wanted'"
}
guard_age() {
    guard_old=$(($(date +%s) - $(g --git-dir="$git_dir" log -1 --format=%ct "$1" --)))
    [ "$guard_old" -le "$max_age" ] ||
        report "fact guard.max_age is $((guard_old / 86400)) days and $((guard_old % 86400 / 3600)) hours old (committed $(g --git-dir="$git_dir" log -1 --format=%cI "$1" --))"
}
signature_of() {
    g -c gpg.ssh.allowedSignersFile="${signers:-/dev/null}" --git-dir="$git_dir" "$@" 2>&1
}
# With a keyring of its own and no other: keys that whoever releases may have do not count.
guard_signed() {
    for guard_file in "$keyring" "$signers"; do
        [ -z "$guard_file" ] || [ -r "$guard_file" ] || refuse config "git: cannot read $guard_file, which says whose signatures count"
    done
    GNUPGHOME=$(mktemp -d) || refuse io 'cannot make a directory for the keyring'
    export GNUPGHOME
    trap 'rm -rf "$GNUPGHOME"' EXIT
    if [ -n "$keyring" ]; then
        command -v gpg >/dev/null || refuse not-found 'git: keyring: there is no gpg on this machine; install gnupg'
        guard_said=$(gpg --batch --quiet --no-autostart --import "$keyring" 2>&1) || refuse config "git: keyring: $keyring: $(printf '%s\n' "$guard_said" | tail_line)"
    fi
    guard_said=$(signature_of verify-commit "$1") && return
    # A tag vouches for its commit, whichever of the two was named: who said yes to the tag is given the commit.
    for guard_tag in $(g --git-dir="$git_dir" for-each-ref --points-at="$1" --format='%(objecttype) %(objectname)' refs/tags | sed -n 's/^tag //p'); do
        guard_said=$(signature_of verify-tag "$guard_tag") && return
    done
    report "fact guard.signed has no signature that counts: $(printf '%s\n' "${guard_said:-it is not signed}" | tail_line)"
}
guards() {
    [ -z "$allow" ] || guard_allow "$1"
    [ -z "$max_age" ] || guard_age "$1"
    [ -z "$keyring$signers" ] || guard_signed "$1"
}
found() {
    guards "$1"
    found_trouble=''
    [ -z "$subdir" ] || found_trouble=$(subdir_trouble "$1")
    if [ -n "$found_trouble" ]; then report "fact path_trouble $found_trouble"; else want_plain "$1"; fi
    found_n=0
    while IFS= read -r found_path; do
        [ -z "$found_path" ] || ! g --git-dir="$git_dir" cat-file -e "$1:${subdir:+$subdir/}$found_path" 2>/dev/null || report "fact holds.$found_n yes"
        found_n=$((found_n + 1))
    done <<END
$found_paths
END
    report "fact rev $1"
    report "fact rev_kind $2"
    report "fact subject $(g --git-dir="$git_dir" log -1 --format=%s "$1" --)"
    report "fact author $(g --git-dir="$git_dir" log -1 --format=%an "$1" --)"
    report "fact date $(g --git-dir="$git_dir" log -1 --format=%cI "$1" --)"
    finish
}
resolve_hash() {
    if [ ${#typed} -eq 40 ]; then
        # All of it is there already: no need of the network.
        ! has_commit "$git_dir" "$typed" || found "$typed" hash
        by_itself "$typed"
    else
        refresh
    fi
    hash_found=$(by_hash "$typed")
    case $hash_found in
    '')
        for hash_ref in "refs/heads/$typed" "refs/tags/$typed"; do
            hash_tip=$(by_name "$hash_ref") || continue
            refuse not-found "no commit of $repo begins with $typed, but $hash_ref has that name and is at $hash_tip; write --rev $hash_ref if you mean it"
        done
        refuse not-found "no commit of $repo begins with $typed; was it pushed, or pushed away by force?"
        ;;
    *[!0-9a-f]*)
        # More than one: a line feed between them.
        refuse refused "$typed is ambiguous in $repo: $(for hash_one in $hash_found; do one_line "$hash_one"; done | head -n 10 | tr '\n' ';') write more digits"
        ;;
    esac
    by_name "refs/heads/$typed" >/dev/null && report "say a branch is called $typed too; the commit was taken"
    found "$hash_found" hash
}
resolve_name() {
    refresh
    case $typed in
    refs/heads/* | refs/tags/*)
        name_tip=$(by_name "$typed") || refuse not-found "$repo has no $typed"
        found "$name_tip" "$(case $repo+$typed in artifact:*) echo artifact ;; *+refs/heads/*) echo branch ;; *) echo tag ;; esac)"
        ;;
    esac
    name_branch=$(by_name "refs/heads/$typed")
    name_tag=$(by_name "refs/tags/$typed")
    if [ -n "$name_branch" ] && [ -n "$name_tag" ] && [ "$name_branch" != "$name_tag" ]; then
        refuse refused "$typed is ambiguous in $repo: refs/heads/$typed is $(one_line "$name_branch"); refs/tags/$typed is $(one_line "$name_tag"); write one of the two full names"
    fi
    [ -z "$name_branch" ] || found "$name_branch" branch
    [ -z "$name_tag" ] || found "$name_tag" tag
    refuse not-found "$repo has no branch and no tag called $typed (branches: $(
        g --git-dir="$git_dir" for-each-ref --sort=-committerdate --count=8 --format='%(refname:lstrip=2)' refs/heads | tr '\n' ' ' | sed 's/ $//'
    ))"
}
do_log() {
    log_from=$1 log_to=$2 subdir=$3
    log_of() { g --git-dir="$git_dir" "$@" -- ${subdir:+":(literal)$subdir"}; }
    has_commit "$git_dir" "$log_from" && has_commit "$git_dir" "$log_to" || refresh
    for log_one in "$log_from" "$log_to"; do
        has_commit "$git_dir" "$log_one" || refuse not-found "$repo has no commit $log_one (pushed away by force?)"
    done
    log_range=$log_from..$log_to
    if [ "$log_from" = "$log_to" ]; then
        report 'fact direction same'
    elif g --git-dir="$git_dir" merge-base --is-ancestor "$log_from" "$log_to"; then
        report 'fact direction forward'
    elif g --git-dir="$git_dir" merge-base --is-ancestor "$log_to" "$log_from"; then
        # An older revision: what is listed are the commits that it takes away.
        report 'fact direction backward'
        log_range=$log_to..$log_from
    else
        report 'fact direction sideways'
        report "fact removed $(log_of rev-list --count "$log_to..$log_from")"
    fi
    report "fact count $(log_of rev-list --count "$log_range")"
    log_of log --format='%h %an %s' -n 50 "$log_range" | awk '{ printf "fact commit.%d %s\n", NR, $0 }'
}
# A file with all that REV needs beyond what a node has: "pack PATH SIZE SHA256". Nodes that have the same share it, and so
# does the next attempt; after a week without use it goes. The mirror's lock is held: who asks meanwhile finds it made.
do_pack() {
    pack_rev=$1
    shift
    has_commit "$git_dir" "$pack_rev" || by_itself "$pack_rev"
    has_commit "$git_dir" "$pack_rev" || refuse not-found "$repo has no commit $pack_rev; was it pushed, or pushed away by force?"
    pack_wanted=$(
        printf '%s\n' "$pack_rev"
        for pack_one in "$@"; do
            ! has_commit "$git_dir" "$pack_one" || printf '^%s\n' "$pack_one"
        done | sort -u
    )
    pack_base=$mirror_base/$key.packs
    pack_sum=$(printf '%s\n' "$pack_wanted" | sha256sum)
    pack_file=$pack_base/${pack_sum%% *}
    mkdir -p "$pack_base" || refuse io "cannot make $pack_base"
    find "$pack_base" -type f -mtime +7 -exec rm -f {} +
    pack_there() {
        read -r pack_digest pack_bytes <"$pack_file.sum" && [ -f "$pack_file" ] && [ "$pack_bytes" = "$(wc -c <"$pack_file")" ]
    } 2>/dev/null
    pack_there || {
        { printf '%s\n' "$pack_wanted" | g --git-dir="$git_dir" pack-objects --revs --thin --stdout --delta-base-offset -q >"$pack_file"; } 2>"$pack_file.said" ||
            git_failed "$(cat "$pack_file.said")" "cannot pack $pack_rev"
        rm -f "$pack_file.said"
        # Named by its digest only when it is on the disk: the digest vouches for it to every node.
        sync "$pack_file" 2>/dev/null || sync
        pack_sum=$(sha256sum <"$pack_file")
        printf '%s %s\n' "${pack_sum%% *}" "$(wc -c <"$pack_file")" >"$pack_file.new" && mv "$pack_file.new" "$pack_file.sum" && pack_there ||
            refuse io "cannot write $pack_base"
    }
    touch "$pack_file" "$pack_file.sum"
    report "pack $pack_bytes $pack_digest $pack_file"
}

mirror "$key" "$repo" "$seconds" "$knob"
case $act in
resolve)
    typed=$5 submodules=$6 lfs=$7 subdir=$8
    shift 8
    allow=$1 max_age=$2 keyring=$3 signers=$4
    shift 4
    found_paths=$(printf '%s\n' "$@")
    if printf '%s\n' "$typed" | grep -qxE '[0-9a-f]{4,40}'; then
        resolve_hash
    else
        resolve_name
    fi
    ;;
has) has_commit "$git_dir" "$5" || exit 1 ;;
log) do_log "$5" "$6" "$7" ;;
pack)
    shift 4
    do_pack "$@"
    ;;
esac
finish
