# SPDX-License-Identifier: MIT
# git as release uses it: asks nobody, runs no hook, reads no configuration but the repository's, speaks only the
# protocols named here (docs/promises.md#s2), and never starts its own housekeeping. What it fetches comes as one pack, synced
# before it has its name: as single files a killed fetch would leave a commit without its trees, and a power cut empty ones.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR \
    GIT_NAMESPACE GIT_CONFIG GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS GIT_ALLOW_PROTOCOL GIT_PROXY_COMMAND GIT_SSH \
    GIT_EXTERNAL_DIFF GIT_TEMPLATE_DIR GIT_SHALLOW_FILE GIT_GRAFT_FILE GIT_REPLACE_REF_BASE GIT_TRACE
GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true SSH_ASKPASS=true GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
GIT_ATTR_NOSYSTEM=1 GIT_OPTIONAL_LOCKS=0 GIT_NO_REPLACE_OBJECTS=1 GIT_SSH_COMMAND='ssh -oBatchMode=yes' GIT_PAGER=cat
export GIT_TERMINAL_PROMPT GIT_ASKPASS SSH_ASKPASS GIT_CONFIG_NOSYSTEM GIT_CONFIG_GLOBAL GIT_ATTR_NOSYSTEM \
    GIT_OPTIONAL_LOCKS GIT_NO_REPLACE_OBJECTS GIT_SSH_COMMAND GIT_PAGER
# A tree is looked at as its owner: root may read everything, and git refuses all the same to trust another's tree. With
# git_alone it runs in a session of its own.
git_as='' git_alone=''
g() {
    ${git_alone:+setsid} ${git_as:+runuser -u "$git_as" --} git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.quotePath=false -c gc.auto=0 -c maintenance.auto=false \
        -c fetch.unpackLimit=1 -c core.fsync=committed,reference \
        -c protocol.allow=never -c protocol.https.allow=always -c protocol.ssh.allow=always \
        -c protocol.git.allow=always -c protocol.file.allow=always -c submodule.recurse=false \
        -c advice.detachedHead=false "$@"
}
command -v git >/dev/null || refuse not-found 'git is not installed there; install it'

# git_in DIR: git_dir of the checkout DIR, which must be one itself; else nothing, and git_why says why.
git_in() {
    GIT_CEILING_DIRECTORIES=${1%/*} git_why='' git_as=''
    export GIT_CEILING_DIRECTORIES
    git_owner=$(stat -c %U "$1" 2>/dev/null)
    if [ -n "$git_owner" ] && [ "$git_owner" != UNKNOWN ] && [ "$git_owner" != root ] && [ "$(id -u)" = 0 ]; then
        git_as=$git_owner
    fi
    git_dir=$(cd "$1" 2>&1 && g rev-parse --absolute-git-dir 2>&1) && return 0
    git_why=$(printf '%s\n' "$git_dir" | tail_line)
    git_dir=''
}

has_commit() {
    g --git-dir="$1" cat-file -e "$2^{commit}" 2>/dev/null
}
# The commit and all that it needs: a ref vouches for what it leads to, the rest is walked.
has_whole() {
    has_commit "$1" "$2" && g --git-dir="$1" rev-list --objects --quiet "$2" --not --all 2>/dev/null
}
# Is file $3 of the tree that we stand in just what git writes for blob $2 of repository $1? A commit may hold line ends that
# its own .gitattributes speak against: git calls such a file modified for ever, however fresh it is.
as_git_writes() {
    case $3 in
    '"'*) return 1 ;; # a name that git quotes
    esac
    [ -f "$3" ] && [ ! -L "$3" ] && g --git-dir="$1" --work-tree=. -c core.bare=false cat-file --filters --path="$3" "$2" 2>/dev/null | cmp -s - "$3"
}
# Lines "MODE MODE BLOB NAME" of files that git calls modified, on stdin -> the names of those that are not as it would
# write them.
really_changed() {
    while IFS=' ' read -r changed_was changed_is changed_blob changed_name; do
        [ "$changed_was" = "$changed_is" ] && as_git_writes "$1" "$changed_blob" "$changed_name" </dev/null || printf '%s\n' "$changed_name"
    done
}
# changed_files GIT_DIR TREE: the files of a checkout that were changed since the commit it is at, one a line. Not 0: git could
# not tell, and said why.
changed_files() {
    changed_all=$(g --git-dir="$1" --work-tree="$2" status --porcelain=v2 -uno --ignore-submodules=all 2>&1) || {
        printf '%s\n' "$changed_all"
        return 1
    }
    # "1 XY SUB HEAD-MODE INDEX-MODE TREE-MODE HEAD-BLOB INDEX-BLOB NAME"; more fields for renames (2) and conflicts (u), and
    # behind a tab the old name. What is only modified in the tree (.M) is looked at; the rest certainly is a change.
    printf '%s\n' "$changed_all" | awk '
        $1 == "1" || $1 == "2" || $1 == "u" {
            sort = $1; state = $2; was = $5; is = $6; blob = $8
            for (n = sort == "1" ? 8 : sort == "2" ? 9 : 10; n > 0; n--)
                sub(/^[^ ]* /, "")
            sub(/\t.*/, "")
            print (sort == "1" && state == ".M" ? was " " is " " blob : "- + -"), $0
        }' | (cd "$2" && really_changed "$1")
}
# git_failed TEXT WHAT: refuses with the code that git's own words suggest.
git_failed() {
    printf '%s\n' "$1" >&2
    case $1 in
    *'dubious ownership'*)
        # git's own advice is about a configuration that is not read here.
        failed_repo=$(printf '%s\n' "$1" | sed -n "s/.*dubious ownership in repository at '\(.*\)'.*/\1/p" | head -n 1)
        refuse config "$2: the repository $failed_repo belongs to $(stat -c %U "$failed_repo" 2>/dev/null || echo somebody else), and git gives no other user's repository to $(id -un) by its path: give it by ssh (repo: ssh://HOST$failed_repo), or give the repository to $(id -un)"
        ;;
    esac
    failed_tail=$(printf '%s\n' "$1" | tail_line)
    case $1 in
    *'No space left'* | *'Disk quota'*) failed_code=no-space ;;
    *'Authentication failed'* | *'Permission denied ('* | *'could not read Username'* | *'prompts disabled'*) failed_code=auth ;;
    *'Could not resolve'* | *'Connection '* | *'Could not read from remote'* | *'unable to access'* | *'timed out'*) failed_code=network ;;
    *) failed_code=refused ;;
    esac
    refuse "$failed_code" "$2: $failed_tail"
}
# A git process that works in git directory $1 or tree $2: its pid, else nothing.
git_user() {
    for user_proc in /proc/[0-9]*; do
        { read -r user_comm <"$user_proc/comm"; } 2>/dev/null || continue
        case $user_comm in
        git | git-*) ;;
        *) continue ;;
        esac
        user_cwd=$(readlink "$user_proc/cwd")
        user_args=$(tr '\0' '\n' <"$user_proc/cmdline" 2>/dev/null)
        case "$user_cwd/" in
        "$1"/* | "$2"/*) ;;
        *)
            case "$user_args" in
            *"$1"*) ;;
            *) continue ;;
            esac
            ;;
        esac
        printf '%s' "${user_proc#/proc/}"
        return 0
    done
}
# Removes the locks and half-written packs that a killed git left in $1 (tree $2), unless a git works there now.
unlock_stale() {
    stale_locks=$(
        find "$1" -maxdepth 1 -type f -name '*.lock' 2>/dev/null
        find "$1/refs" "$1/objects/info" -type f -name '*.lock' 2>/dev/null
    )
    stale_junk=$(find "$1/objects" -maxdepth 2 \( -name 'tmp_objdir-*' -o -name 'incoming-*' -o -name 'tmp_pack_*' -o -name 'tmp_idx_*' \) 2>/dev/null)
    [ -n "$stale_locks$stale_junk" ] || return 0
    stale_pid=$(git_user "$1" "$2")
    [ -z "$stale_pid" ] || refuse state "git is at work in $1 as pid $stale_pid; wait for it or end it, then try again"
    printf '%s\n' "$stale_locks" "$stale_junk" | while IFS= read -r stale_one; do
        [ -z "$stale_one" ] || rm -rf "$stale_one"
    done
    [ -z "$stale_locks" ] || report "say removed what a killed git left: $(printf '%s\n' "$stale_locks" | sed 's|.*/||' | tr '\n' ' ')"
}
