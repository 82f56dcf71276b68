# SPDX-License-Identifier: MIT
# needs: lib gitlib dirlib proc origin
# Which revision do the processes run? Not the disk: what a process has loaded.
#   LAYOUT DIR REV PORT ADDR STARTED STRICT RELOADED UNSEEN...
# STARTED: "name:pid ..." that this release started; empty when it started nothing, and then the disk must do.
# RELOADED: "pid:start ..." that this release reloaded: their new processes were seen (workers.sh), they are older.
# UNSEEN: programs that may be judged by their age alone; "all" for every one.
layout=$1 dir=$2 rev=$3 started=$6 strict=$7 reloaded=$8
port_watch "$4" "$5"
shift 8
unseen=$*
origin_of_dir

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

# The same of the process or one of its descendants: what supervisord started may be a wrapper.
origin_of_tree() {
    tree_found=$(origin "$1")
    [ -n "$tree_found" ] || for tree_one in $(tree "$1"); do
        tree_found=$(origin "${tree_one%%:*}")
        [ -z "$tree_found" ] || break
    done
    printf '%s' "$tree_found"
}
# May this process be judged by its age?
may_be_unseen() {
    for unseen_one in $unseen; do
        [ "$unseen_one" != all ] || return 0
        for unseen_pair in $started; do
            [ "${unseen_pair##*:}" = "$1" ] || continue
            case ${unseen_pair%:*} in
            "$unseen_one" | "$unseen_one":* | *:"$unseen_one") return 0 ;;
            esac
        done
    done
    return 1
}
# A process that listens and belongs to a program that was started is judged with that program.
without_children() {
    without_trees=' '
    for without_one in $started; do
        without_pid=${without_one##*:}
        without_trees="$without_trees$(tree "$without_pid")"
    done
    for without_one in $1; do
        case "$started " in
        *:"$without_one "*) printf '%s ' "$without_one" ;;
        *)
            case $without_trees in
            *" $without_one:"*) ;;
            *) printf '%s ' "$without_one" ;;
            esac
            ;;
        esac
    done
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
judge_releases() {
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
    judge "$running_disk" "$dir/current"
}
judge_in_place() {
    git_in "$dir"
    [ -n "$git_dir" ] || cannot_tell state "$dir cannot be asked for its revision: $git_why"
    running_disk=$(g --git-dir="$git_dir" rev-parse -q --verify 'HEAD^{commit}' 2>/dev/null)
    [ ! -e "$git_dir/release-checkout" ] || running_disk=''
    running_since=$(stat -c %Y "$git_dir/release-running" 2>/dev/null)
    judge "$running_disk" "$dir"
}
# Is it younger than the switch? A second of grace: both times are rounded, and the old processes were seen to go.
old_enough() {
    old_at=$(proc_started_at "$1") || return 1
    [ -n "$running_since" ] && [ $((old_at + 1)) -lt "$running_since" ]
}
# A master is as young as its workers: a reload keeps the one and makes the others anew.
old_master() {
    old_enough "$1" || return 1
    old_mark=$(pid_marks "$1")
    case " $reloaded " in *" ${old_mark% } "*) return 1 ;; esac
    old_children=$(children "$1")
    for old_one in $old_children; do
        ! old_enough "$old_one" || return 0
    done
    [ -z "$old_children" ]
}
# Sets judge_one to the revision that process $1 runs ("" = what was before), $2 = that on disk. What cannot be seen to
# come from a release is known by its age only, and goes to judge_unseen.
judge_process() {
    judge_one=$2
    judge_seen=$(origin_of_tree "$1")
    case $judge_seen in
    '' | *' .' | *' current')
        [ -n "$judge_seen" ] || judge_unseen="$judge_unseen $1"
        if old_master "$1"; then
            judge_one=''
            wait_more "$(proc_name "$1") is older than the switch"
        fi
        ;;
    *) judge_one=$(marker_rev "$dir/releases/${judge_seen#* }") ;;
    esac
    [ -z "$judge_seen" ] || judge_how=${judge_how:-${judge_seen%% *}}
}
# $1 = revision on disk, $2 = where the application should be started.
judge() {
    # shellcheck disable=SC2046
    judge_all=$(printf '%s ' $(servers))
    judge_pids=$(without_children "$judge_all")
    judge_how='' judge_rev='' judge_unseen=''
    for judge_pid in $judge_pids; do
        [ -d "/proc/$judge_pid" ] || continue
        judge_process "$judge_pid" "$1"
        [ "$judge_one" = "$rev" ] || wait_more "$(proc_name "$judge_pid") runs ${judge_one:-what was there before}"
        [ -n "$judge_rev" ] && [ "$judge_rev" != "$judge_one" ] && judge_one=mixed
        judge_rev=${judge_one:-before}
    done
    if [ -z "$judge_rev" ]; then
        if [ -n "$started" ]; then
            wait_more "none of what was started ($started) runs, and nothing listens on the port"
            judge_rev=none
        else
            judge_rev=$1
            judge_how=disk
            [ "$1" = "$rev" ] || wait_more "${1:-nothing} is there"
        fi
    fi
    # shellcheck disable=SC2086
    [ -z "$judge_pids" ] || report "fact running_pids $(printf '%s ' $judge_all | sed 's/ $//')"
    judge_age "$2"
    report "fact running_rev $judge_rev"
    report "fact how ${judge_how:-none}"
}
# Age alone is never proof: a program that does not work out of the release directory is started anew by every release
# and runs the same code for ever.
judge_age() {
    [ -n "$judge_unseen" ] || return 0
    judge_how=age
    age_bad=''
    for age_pid in $judge_unseen; do
        may_be_unseen "$age_pid" || age_bad="$age_bad $age_pid"
    done
    [ -n "$age_bad" ] || { report 'say released, not verified beyond the age of the processes, as `unseen` allows'; return 0; }
    age_text=$(for age_pid in $age_bad; do
        printf '%s works in %s; ' "$(proc_name "$age_pid")" "$(readlink "/proc/$age_pid/cwd" 2>/dev/null || echo 'a directory that cannot be read')"
    done)
    age_text="${age_text}nothing of it (directory, program, command line, open files) comes from $1. Start it there (supervisord: directory=, systemd: WorkingDirectory=); a program that cannot be seen so (php-fpm) is named in \`unseen\`"
    report "fact unseen $age_text"
    report "fact how age"
    [ -z "$not_ready" ] || return 0
    cannot_tell state "released, not verified: $age_text"
}

if [ "$layout" = releases ]; then
    judge_releases
else
    judge_in_place
fi
finish
