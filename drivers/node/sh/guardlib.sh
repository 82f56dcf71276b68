# SPDX-License-Identifier: MIT
# The conditions of cmd.run and npm.install. A step that need not run says so in its first line and ends with 0.
skip() {
    printf 'release: skipped: %s\n' "$*"
    exit 0
}
# in_checkout TREE_SCRIPT DIR COMMAND...: runs it and ends with its status; with a note of what it changed in the checkout DIR
# (drivers/node/sh/tree.sh, in a shell of its own: nothing of it is in the command's environment).
in_checkout() {
    checkout_tree=$1 checkout_dir=$2
    shift 2
    [ -n "$checkout_tree" ] || { "$@"; exit; }
    sh -c "$checkout_tree" sh begin "$checkout_dir" >&2 </dev/null
    "$@"
    checkout_status=$?
    sh -c "$checkout_tree" sh end "$checkout_dir" >&2 </dev/null
    exit "$checkout_status"
}
# already_built RELEASE_DIR REV: prepare steps of a directory that was completed earlier are not repeated.
already_built() {
    [ -n "$1" ] || return 0
    { read -r built_word built_rev <"$1/.release-complete"; } 2>/dev/null || return 0
    [ "$built_word" = rev ] && [ "$built_rev" = "$2" ] || return 0
    skip 'already built'
}
