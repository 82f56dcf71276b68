# needs: lib gitlib dirlib proc
# Which revision do the processes run? Not the disk: what a process has loaded.
#   LAYOUT DIR REV PORT ADDR STARTED STRICT
# STARTED: "name:pid ..." that this release started; empty when it started nothing, and then the disk must do.
layout=$1 dir=$2 rev=$3 started=$6 strict=$7
port_watch "$4" "$5"

proc_started_at() { # seconds since 1970
    { read -r at_line <"/proc/$1/stat"; } 2>/dev/null || return 1
    at_rest=${at_line##*) }
    # shellcheck disable=SC2086
    set -- $at_rest
    at_boot=$(awk '$1 == "btime" { print $2 }' /proc/stat)
    printf '%s' "$((at_boot + ${20} / $(getconf CLK_TCK 2>/dev/null || echo 100)))"
}
has_terminal() {
    { read -r tty_line <"/proc/$1/stat"; } 2>/dev/null || return 0
    tty_rest=${tty_line##*) }
    # shellcheck disable=SC2086
    set -- $tty_rest
    [ "$5" != 0 ]
}
# Processes that matter: those that listen on the port, and those that this release started.
servers() {
    servers_all=$(port_holders)
    for servers_one in $started; do
        servers_pid=${servers_one##*:}
        [ -d "/proc/$servers_pid" ] && servers_all="$servers_all $servers_pid"
    done
    # shellcheck disable=SC2086
    printf '%s\n' $servers_all | sort -un
}
is_ours() { # the runner's own processes and their parents
    [ "$1" = $$ ] || [ "$1" = "${PPID:-0}" ]
}

# Old code that still runs: any process without a terminal whose directory is another release.
find_old() {
    inside "$dir/releases" | while read -r old_pid old_dir; do
        old_base=${old_dir#"$dir/releases/"}
        old_base=${old_base%% *}
        old_base=${old_base%%/*}
        [ "$(marker_rev "$dir/releases/$old_base")" = "$rev" ] && continue
        is_ours "$old_pid" || has_terminal "$old_pid" || printf '%s ' "$old_pid"
    done
}
judge_rolling() {
    running_target=$(current_target)
    running_disk=$(marker_rev "$running_target")
    running_old=$(find_old)
    if [ -n "$running_old" ]; then
        # shellcheck disable=SC2086
        report "fact old_pids ${running_old% }"
        # shellcheck disable=SC2086
        running_text="old code still runs: $(proc_names $running_old)"
        if [ "$strict" = yes ]; then
            wait_more "$running_text"
        else
            report "say $running_text"
        fi
    fi
    running_since=$(stat -c %Z "$dir/current" 2>/dev/null)
    judge "$running_disk" "$dir/releases"
}
judge_in_place() {
    GIT_CEILING_DIRECTORIES=${dir%/*}
    export GIT_CEILING_DIRECTORIES
    git_dir=$(cd "$dir" 2>/dev/null && g rev-parse --absolute-git-dir 2>/dev/null) || cannot_tell state "$dir is not a git checkout"
    running_disk=$(g --git-dir="$git_dir" rev-parse -q --verify 'HEAD^{commit}' 2>/dev/null)
    [ ! -e "$git_dir/release-checkout" ] || running_disk=''
    running_since=$(stat -c %Y "$git_dir/release-running" 2>/dev/null)
    judge "$running_disk" ''
}
# $1 = revision on disk, $2 = where release directories are ("" = in place). By the directory a process works in; for one
# that works elsewhere, by its age: it must be younger than the switch.
judge() {
    judge_pids=$(servers)
    judge_how='' judge_rev=''
    for judge_pid in $judge_pids; do
        judge_cwd=$(readlink "/proc/$judge_pid/cwd" 2>/dev/null)
        if [ -n "$2" ] && [ "${judge_cwd#"$2/"}" != "$judge_cwd" ]; then
            judge_base=${judge_cwd#"$2/"}
            judge_one=$(marker_rev "$2/${judge_base%%/*}")
            judge_how=${judge_how:-cwd}
        else
            judge_at=$(proc_started_at "$judge_pid") || continue
            judge_how=age
            judge_one=$1
            # A second of grace: both times are rounded, and the old processes were seen to go.
            if [ -n "$running_since" ] && [ $((judge_at + 1)) -lt "$running_since" ]; then
                judge_one=''
                wait_more "$(proc_name "$judge_pid") is older than the switch"
            fi
        fi
        [ "$judge_one" = "$rev" ] || wait_more "$(proc_name "$judge_pid") runs ${judge_one:-what was there before}"
        [ -n "$judge_rev" ] && [ "$judge_rev" != "$judge_one" ] && judge_one=mixed
        judge_rev=${judge_one:-before}
    done
    if [ -z "$judge_how" ]; then
        if [ -n "$started" ]; then
            wait_more "none of what was started ($started) runs, and nothing listens on the port"
            judge_rev=none
        else
            judge_rev=$1
            judge_how=disk
            [ "$1" = "$rev" ] || wait_more "${1:-nothing} is there"
        fi
    fi
    report "fact running_rev $judge_rev"
    report "fact how ${judge_how:-none}"
    # shellcheck disable=SC2086
    [ -z "$judge_pids" ] || report "fact running_pids $(printf '%s ' $judge_pids | sed 's/ $//')"
}

if [ "$layout" = rolling ]; then
    judge_rolling
else
    judge_in_place
fi
finish
