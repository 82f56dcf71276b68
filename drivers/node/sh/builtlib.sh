# SPDX-License-Identifier: MIT
# What our own steps changed in a checkout is told apart from what a person changed. Both files hold for the commit in their
# first line, "rev REV", and go with the next checkout:
#   GIT_DIR/release-built     "MARK NAME" of each file as our last step left it; MARK is a digest, never a text
#   GIT_DIR/release-building  a step is at work, or was cut short: names of the files that others had changed before it began

# record_holds FILE GIT_DIR: is there such a record, of the commit that stands there?
record_holds() {
    { read -r record_word record_rev <"$1"; } 2>/dev/null && [ "$record_word" = rev ] && [ -n "$record_rev" ] &&
        [ "$record_rev" = "$(g --git-dir="$2" rev-parse -q --verify 'HEAD^{commit}' 2>/dev/null)" ]
}
# The mark of file $1; nothing for what has none (a directory, a name that git quotes).
mark_of() {
    case $1 in
    '"'*) return 0 ;;
    esac
    if [ -L "$1" ]; then
        mark_sum=$(readlink "$1" | sha256sum)
        printf 'link-%s' "${mark_sum%% *}"
    elif [ -f "$1" ]; then
        mark_sum=$(sha256sum <"$1" 2>/dev/null) || return 0
        [ ! -x "$1" ] || printf 'exec-'
        printf '%s' "${mark_sum%% *}"
    elif [ ! -e "$1" ]; then
        printf 'gone'
    fi
}
# not_ours GIT_DIR TREE: of the names on stdin, those that our own steps did not leave so.
not_ours() {
    if record_holds "$1/release-building" "$1"; then
        grep -xF -f "$1/release-building" || :
    elif record_holds "$1/release-built" "$1"; then
        (cd "$2" && while IFS= read -r ours_name; do
            ours_mark=$(mark_of "$ours_name")
            [ -n "$ours_mark" ] && grep -qxF -e "$ours_mark $ours_name" "$1/release-built" || printf '%s\n' "$ours_name"
        done)
    else
        cat
    fi
}
# touched_files GIT_DIR TREE: what a step may have changed: files of the commit, and new ones since our checkout.
touched_files() {
    changed_files "$1" "$2"
    (cd "$2" && g --git-dir="$1" --work-tree="$2" ls-files --others --exclude-standard 2>/dev/null | while IFS= read -r touched_one; do
        [ ! "$touched_one" -nt "$1/release-running" ] || printf '%s\n' "$touched_one"
    done)
}
