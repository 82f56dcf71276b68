# SPDX-License-Identifier: MIT
# needs: lib proc origin workers
# A service of systemd, or of commands that the pillar gives.
#   ACT PIDS_FACT BEFORE GRACE KILL PORT ADDR DIR REREAD LAYOUT TARGET BACK UNSEEN NAME STOP START STATUS RELOAD
act=$1 pids_fact=$2 before=$3 grace=$4 kill=$5 port=$6 dir=$8 reread=$9
port_watch "$6" "$7"
shift 9
layout=$1 target=$2 back=$3 unseen=$4
shift 4
name=$1 stop_cmd=$2 start_cmd=$3 status_cmd=$4 reload_cmd=$5

# One property per line, so that one call answers everything.
unit() {
    unit_text=$(systemctl show -p LoadState,ActiveState,SubState,Type,MainPID,ControlGroup,Result,ExecMainStatus,NeedDaemonReload,FragmentPath,DropInPaths,InvocationID -- "$name" 2>&1) ||
        cannot_tell state "systemctl show $name: $(printf '%s\n' "$unit_text" | tail_line)"
    [ "$(of LoadState)" != not-found ] || refuse not-found "systemd has no service $name; correct \`name\`"
}
of() {
    printf '%s\n' "$unit_text" | sed -n "s/^$1=//p"
}
unit_pids() {
    unit_main=$(of MainPID)
    unit_group=$(of ControlGroup)
    unit_all=''
    # Never the root group: that is every process of the machine.
    case $unit_group in
    '' | /) ;;
    *) unit_all=$(cat "/sys/fs/cgroup$unit_group/cgroup.procs" "/sys/fs/cgroup/systemd$unit_group/cgroup.procs" 2>/dev/null) ;;
    esac
    [ "${unit_main:-0}" = 0 ] || unit_all="$unit_all $unit_main"
    # shellcheck disable=SC2086
    [ -z "$unit_all" ] || tree $unit_all
}
# pid:start of what serves now: systemd's, or for commands whoever holds the port.
members() {
    if [ -n "$name" ]; then
        unit
        unit_pids
    else
        members_pids=$(port_holders)
        # shellcheck disable=SC2086
        [ -z "$members_pids" ] || tree $members_pids
    fi
}
# Commands end in status 0 for "running".
command_up() {
    if [ -n "$status_cmd" ]; then
        sh -c "$status_cmd" >&2 </dev/null
    else
        listening
    fi
}
# run_command WHAT COMMAND...
run_command() {
    run_what=$1
    shift
    run_out=$("$@" 2>&1 </dev/null 9>&-) || {
        run_status=$?
        printf '%s\n' "$run_out" >&2
        refuse exit-status "$run_what command ended with status $run_status: $(printf '%s\n' "$run_out" | tail_line)"
    }
    [ -z "$run_out" ] || printf '%s\n' "$run_out" >&2
}
is_down() {
    if [ -n "$name" ]; then
        unit
        case $(of ActiveState) in
        inactive | failed) return 0 ;;
        esac
        return 1
    fi
    ! command_up
}
do_stop() {
    service_pids=$(members)
    report "fact $pids_fact ${service_pids% }"
    if is_down && ! listening; then
        report 'changed no'
        return 0
    fi
    if [ -n "$name" ]; then
        run_command stop systemctl stop -- "$name"
    else
        run_command stop sh -c "$stop_cmd"
    fi
    # shellcheck disable=SC2086
    gone "$grace" "$kill" $service_pids
    is_down || wait_more "still up: $(state_text)"
}
state_text() {
    if [ -n "$name" ]; then
        printf '%s is %s (%s)' "$name" "$(of ActiveState)" "$(of SubState)"
    else
        printf 'the status command says so'
    fi
}
do_stopped() {
    is_down || wait_more "$(state_text)"
    # shellcheck disable=SC2086
    wait_gone 0 $before || left_over $before
}
log_tail() {
    journalctl -u "$name" -n 5 --no-pager -o cat 2>/dev/null | tail_line
}
judge_running() {
    if [ -z "$name" ]; then
        if ! command_up || { [ -n "$port_hex" ] && ! listening; }; then
            wait_more 'not up yet'
            return 0
        fi
    else
        unit
        case $(of ActiveState) in
        active) ;;
        failed)
            refuse state "$name failed ($(of Result), status $(of ExecMainStatus)); it wrote last: $(log_tail)"
            ;;
        *)
            wait_more "$(state_text)"
            return 0
            ;;
        esac
    fi
    judge_now=$(members)
    for judge_one in $before; do
        case " $judge_now" in
        *" $judge_one "*)
            wait_more "$(proc_name "${judge_one%%:*}") is still a process from before"
            return 0
            ;;
        esac
    done
    report "fact app.started $(for judge_one in $judge_now; do printf '%s:%s ' "${name:-service}" "${judge_one%%:*}"; done | sed 's/ $//')"
}
do_start() {
    if is_down; then
        if [ -n "$name" ]; then
            run_command start systemctl start -- "$name"
        else
            run_command start sh -c "$start_cmd"
        fi
    else
        report 'changed no'
    fi
    judge_running
}
do_restart() {
    do_stop
    [ -z "$not_ready" ] || refuse state 'not restarted: the old processes did not go (see the lines above)'
    before=$service_pids
    report 'changed yes'
    do_start
}
do_restarted() {
    if [ -n "$before" ]; then
        judge_running
    else
        report "fact $pids_fact $(members | sed 's/ $//')"
        wait_more
    fi
}
# Its main process, or who holds its port: pid:start. Of a master and its workers the master: workers are replaced.
main_process() {
    if [ -n "$name" ]; then
        unit
        # shellcheck disable=SC2046
        pid_marks $(of MainPID | grep -vx 0)
    else
        # shellcheck disable=SC2046
        pid_marks $(elders $(port_holders))
    fi
}
# By what it is known that who runs now was not started anew: systemd's number of that start, or the socket on the port.
same_run() {
    if [ -n "$name" ]; then
        printf 'run=%s\n' "$(of InvocationID)"
    else
        listening
        printf 'socket=%s\n' $listen_inodes
    fi
}
# Who was told may hand over to a master of its own making (a pid file, MAINPID=), when a revision is brought.
handed_over() {
    [ -n "$target" ] || return 1
    for over_one in $(same_run); do
        case $over_one in *=) continue ;; esac
        case " $before " in *" $over_one "*) return 0 ;; esac
    done
    return 1
}
judge_reloaded() {
    # What the new revision broke may end while it is told to go back: who comes after it counts.
    if [ -n "$target" ] && [ "$back" = yes ] && [ -n "$name" ] && unit && [ "$(of ActiveState)" = activating ]; then
        wait_more "$(state_text)"
        return
    fi
    ! is_down || refuse state "${name:-the service} is down after its reload${name:+; it wrote last: $(log_tail)}"
    [ -z "$name" ] || unit
    [ -z "$name" ] || [ "$(of ActiveState)" = active ] || [ "$(of ActiveState)" = reloading ] ||
        refuse state "$name is $(of ActiveState) after its reload; it wrote last: $(log_tail)"
    for judge_one in $(told); do
        alive "$judge_one" || handed_over || { [ -n "$target" ] && [ "$back" = yes ]; } ||
            refuse state "pid ${judge_one%%:*} of ${name:-the service}, which was told to reload, is gone: that was a restart"
    done
    [ -z "$target" ] || judge_workers "$(members)"
}
do_reloaded() {
    case $before in
    started) before='' && judge_running ;;
    *) judge_reloaded ;;
    esac
}
can_reload() {
    [ -n "$name" ] || return 0
    [ "$(systemctl show -p CanReload --value -- "$name" 2>/dev/null)" = yes ] ||
        refuse config "systemd cannot reload $name (its unit has no ExecReload); restart it"
}
# It stays up, under the same main process: who is down is not reloaded, and who went down by it is told. Whoever dies of a
# signal does so a moment later: the look behind it is the judge. Where a revision is brought, who is down is started.
do_reload() {
    if is_down; then
        [ -n "$target" ] || refuse state "${name:-the service} does not run, so it cannot be reloaded; start it"
        report "say ${name:-the service} does not run, so it is started"
        report "fact $pids_fact started"
        before=''
        do_start
        return
    fi
    before=$(main_process)
    [ -z "$target" ] || before="$(reload_marks "$before" "$(members)")$(same_run | tr '\n' ' ')"
    if [ -z "$name" ]; then
        [ -n "$reload_cmd" ] || refuse config 'how is it reloaded? give the command `reload`'
        run_command reload sh -c "$reload_cmd"
    else
        can_reload
        run_command reload systemctl reload -- "$name"
    fi
    report "fact $pids_fact ${before% }"
    judge_reloaded
    [ -z "$before" ] || wait_more
}
# Does the release bring the unit, and is what is on disk taken in with it?
brings() {
    [ "$reread" != no ] || return 1
    [ "$reread" != yes ] || return 0
    [ -n "$dir" ] || return 1
    brings_real=$(cd "$dir" 2>/dev/null && pwd -P) || brings_real=$dir
    for brings_one in $(of FragmentPath) $(of DropInPaths); do
        case $(readlink -f "$brings_one" 2>/dev/null) in "$brings_real"/*) return 0 ;; esac
    done
    return 1
}
# The unit that the release brought is taken in.
do_reread() {
    if [ -z "$name" ] || ! { unit && brings; } || [ "$(of NeedDaemonReload)" != yes ]; then
        report 'changed no'
        return 0
    fi
    run_command 'systemctl daemon-reload' systemctl daemon-reload
    do_reread_done
}
do_reread_done() {
    [ -n "$name" ] || return 0
    unit
    ! brings || [ "$(of NeedDaemonReload)" != yes ] || wait_more "systemd has not taken in the files of $name"
}
do_probe() {
    probe_members=$(members)
    if is_down; then
        report 'fact app.states down'
    else
        report 'fact app.states up'
        report "fact app.now $(for probe_one in $probe_members; do printf '%s:%s ' "${name:-service}" "${probe_one%%:*}"; done | sed 's/ $//')"
    fi
    [ -z "$target" ] || can_reload
    [ -n "$name" ] || return 0
    if brings; then
        report 'fact app.brings yes'
    elif [ "$(of NeedDaemonReload)" = yes ]; then
        report "fact app.config systemd runs $name by other files than those on disk, and a release leaves that so: \`systemctl daemon-reload\` there takes them in, or give \`service: reread: yes\`"
    fi
    # shellcheck disable=SC2086
    probe_others=$(others_on_port $probe_members)
    # shellcheck disable=SC2086
    [ -z "$probe_others" ] || foreign_port service "the processes of $name" "$probe_others" $probe_members
}

case $act in
stop) do_stop ;;
stopped) do_stopped ;;
start) do_start ;;
running) judge_running ;;
restart) do_restart ;;
restarted) do_restarted ;;
reload) do_reload ;;
reloaded) do_reloaded ;;
reread) do_reread ;;
reread_done) do_reread_done ;;
probe) do_probe ;;
esac
finish
