# The conditions of cmd.run and npm.install. A step that need not run says so in its first line and ends with 0.
skip() {
    printf 'release: skipped: %s\n' "$*"
    exit 0
}
# already_built RELEASE_DIR REV: prepare steps of a directory that was completed earlier are not repeated.
already_built() {
    [ -n "$1" ] || return 0
    { read -r built_word built_rev <"$1/.release-complete"; } 2>/dev/null || return 0
    [ "$built_word" = rev ] && [ "$built_rev" = "$2" ] || return 0
    skip 'already built'
}
