# Release directories: DIR/releases/NAME, complete when .release-complete is there, which is written last.

# The revision a complete directory holds; status 1 when it is not complete.
marker_rev() {
    { read -r marker_word marker_value <"$1/.release-complete"; } 2>/dev/null || return 1
    [ "$marker_word" = rev ] && [ -n "$marker_value" ] && printf '%s' "$marker_value"
}
# Everything under $1, or more, is on disk.
sync_all() {
    sync -f "$1" 2>/dev/null || sync
}
# pid DIRECTORY of every process that works inside directory $1, by the name that was given: the kernel says where links
# lead to.
inside() {
    inside_real=$(cd "$1" 2>/dev/null && pwd -P)
    # shellcheck disable=SC2012
    ls -ld /proc/[0-9]*/cwd 2>/dev/null | awk -v name="$1" -v dir="${inside_real:-$1}" '
        {
            i = index($0, " /proc/")
            line = substr($0, i + 7)
            j = index(line, "/cwd -> ")
            if (i == 0 || j == 0)
                next
            cwd = substr(line, j + 8)
            if (cwd == dir || index(cwd, dir "/") == 1 || index(cwd, dir " (deleted)") == 1)
                print substr(line, 1, j - 1), name substr(cwd, length(dir) + 1)
        }'
}
# Where DIR/current leads to, absolute; nothing when it is not a symbolic link.
current_target() {
    current_link=$(readlink "$dir/current" 2>/dev/null) || return 1
    case $current_link in
    /*) printf '%s' "$current_link" ;;
    *) printf '%s' "$dir/$current_link" ;;
    esac
}
say_space() {
    case $1 in
    *'No space left'* | *'Disk quota'*) refuse no-space "$2: $(printf '%s\n' "$1" | tail_line)" ;;
    esac
    refuse io "$2: $(printf '%s\n' "$1" | tail_line)"
}
