# needs: lib proc
# supervisord, judged by the states it shows, never by the exit status of supervisorctl (which is 0 for "not running",
# for "already started" and when it had to kill).
#   ACT PIDS_FACT BEFORE CTL CONF URL GRACE KILL PORT ADDR PROGRAM...
# BEFORE = pid:start of the processes before the stop, recorded as PIDS_FACT.
act=$1 pids_fact=$2 before=$3 ctl=$4 conf=$5 url=$6 grace=$7 kill=$8
port_watch "$9" "${10}"
shift 10

# Commands on stdin, all to one supervisorctl, since each start of it costs a tenth of a second. It shows the state of
# every program first.
session() {
    if [ -n "$url" ]; then
        session_dir=$(mktemp -d) || cannot_tell io 'no temporary directory'
        # User and password stay in the environment: the file names them only.
        printf '[supervisorctl]\nserverurl = %s\nusername = %%(ENV_RELEASE_SV_USER)s\npassword = %%(ENV_RELEASE_SV_PASSWORD)s\n' \
            "$(printf '%s' "$url" | sed 's/%/%%/g')" >"$session_dir/conf"
        "$ctl" -c "$session_dir/conf" 2>&1
        rm -rf "$session_dir"
    else
        "$ctl" ${conf:+-c "$conf"} 2>&1
    fi
}
# Session output -> "NAME STATE PID|- TEXT" of the wanted programs, `first` or `last` seen; "WANTED MISSING -".
states() {
    states_which=$1
    shift
    awk -v which="$states_which" -v wanted="$*" '
        { while (sub(/^supervisor> /, "")) ; }
        $2 ~ /^(STOPPED|STARTING|RUNNING|BACKOFF|STOPPING|EXITED|FATAL|UNKNOWN)$/ {
            if (!($1 in state))
                names[++n] = $1
            else if (which == "first")
                next
            state[$1] = $2
            pid[$1] = "-"
            if ($3 == "pid") {
                pid[$1] = $4
                sub(/,.*/, "", pid[$1])
            }
            text = $0
            sub(/^[^ ]+ +[A-Z]+ */, "", text)
            why[$1] = text
        }
        function matches(want, name) {
            if (want == "all" || name == want || index(name, want ":") == 1)
                return 1
            return want ~ /:\*$/ && index(name, substr(want, 1, length(want) - 1)) == 1
        }
        END {
            m = split(wanted, w, " ")
            for (i = 1; i <= m; i++) {
                found = 0
                for (j = 1; j <= n; j++)
                    if (matches(w[i], names[j])) {
                        found = 1
                        if (!(names[j] in done))
                            print names[j], state[names[j]], pid[names[j]], why[names[j]]
                        done[names[j]] = 1
                    }
                if (!found)
                    print w[i], "MISSING", "-"
            }
        }'
}
# Refuses when supervisord did not answer or does not know a program. $1 = session output, $2 = states.
answered() {
    case $1 in
    *' STOPPED '* | *' STARTING '* | *' RUNNING '* | *' BACKOFF '* | *' STOPPING '* | *' EXITED '* | *' FATAL '* | *' UNKNOWN '*) ;;
    *) no_answer "$(printf '%s\n' "$1" | sed 's/^\(supervisor> *\)*//' | tail_line)" ;;
    esac
    answered_missing=$(printf '%s\n' "$2" | awk '$2 == "MISSING" { printf "%s ", $1 }')
    [ -z "$answered_missing" ] || refuse not-found "supervisord has no program ${answered_missing% } (it has: $(
        printf '%s\n' "$1" | sed 's/^\(supervisor> \)*//' | awk '$2 ~ /^[A-Z]+$/ { print $1 }' | sort -u | tr '\n' ' ' | cut -c 1-200
    )); correct \`programs\`"
}
no_answer() {
    answer_holders=$(port_holders)
    # shellcheck disable=SC2086
    [ -z "$answer_holders" ] || refuse state "supervisord does not answer ($1), yet $(proc_names $answer_holders)still serves the port: an orphan of an earlier supervisord; stop it by hand (kill ${answer_holders% }), start supervisord, then try again"
    case $act in
    stopped | running | restarted) cannot_tell state "supervisord does not answer: $1" ;;
    esac
    refuse state "supervisord does not answer: $1"
}
# Processes that carry the marks supervisord gives to a program's processes: they show children that left the
# process group and the session, and orphans whose parents are gone. $1 = a living pid of the program.
marked() {
    marked_env=$(tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | grep '^SUPERVISOR_\(SERVER_URL\|GROUP_NAME\|PROCESS_NAME\)=')
    [ "$(printf '%s\n' "$marked_env" | wc -l)" -eq 3 ] || return 0
    marked_files=$(printf '%s\n' /proc/[0-9]*/environ)
    marked_ifs=$IFS
    IFS='
'
    for marked_line in $marked_env; do
        # shellcheck disable=SC2086
        marked_files=$(grep -lsxzF -e "$marked_line" $marked_files /dev/null)
    done
    IFS=$marked_ifs
    printf '%s\n' "$marked_files" | sed -n 's|^/proc/\([0-9]*\)/environ|\1|p' | tr '\n' ' '
}
# pid:start of everything that belongs to the programs in the states text $1.
members() {
    members_pids=$(printf '%s\n' "$1" | awk '$3 != "-" { printf "%s ", $3 }')
    members_all=$members_pids
    for members_one in $members_pids; do
        members_all="$members_all $(marked "$members_one")"
    done
    # shellcheck disable=SC2086
    [ -z "$members_pids" ] || tree $members_all
}
names_of() {
    printf '%s\n' "$1" | awk '{ printf "%s ", $1 }'
}
in_state() {
    printf '%s\n' "$1" | awk -v re="^($2)\$" '$2 ~ re { printf "%s ", $1 }'
}
show_states() {
    printf '%s\n' "$1" | awk '{ printf "%s%s %s", sep, $1, $2; sep = ", " }'
}
# Why a program did not come up: its state, its reason, the last lines it wrote.
why_down() {
    for why_name in $2; do
        why_text=$(printf '%s\n' "$1" | awk -v n="$why_name" '$1 == n { sub(/^[^ ]+ /, ""); sub(/ - /, " "); print }')
        why_out=$(printf 'tail -1500 %s stderr\n' "$why_name" | session | log_lines)
        [ -n "$why_out" ] || why_out=$(printf 'tail -1500 %s stdout\n' "$why_name" | session | log_lines)
        printf '%s %s%s; ' "$why_name" "$why_text" "${why_out:+; it wrote last: $why_out}"
    done
}
log_lines() {
    sed '1,/^supervisor> /{/^supervisor> /!d;}; s/^\(supervisor> \)*//' | grep -v -e ': ERROR (' -e '^[ ]*$' | tail -n 3 | tail_line
}

do_stop() {
    stop_out=$(session </dev/null)
    stop_before=$(printf '%s\n' "$stop_out" | states last "$@")
    answered "$stop_out" "$stop_before"
    stop_pids=$(members "$stop_before")
    report "fact $pids_fact ${stop_pids% }"
    stop_up=$(in_state "$stop_before" 'STARTING|RUNNING|BACKOFF|STOPPING|UNKNOWN')
    stop_down=yes
    if [ -n "$stop_up" ]; then
        stop_out=$(printf 'stop %s\nstatus\n' "$stop_up" | session)
        stop_now=$(printf '%s\n' "$stop_out" | states last "$@")
        stop_up=$(in_state "$stop_now" 'STARTING|RUNNING|BACKOFF|STOPPING|UNKNOWN')
        if [ -n "$stop_up" ]; then
            wait_more "not stopped yet: $(show_states "$stop_now")"
        fi
    else
        stop_down=no
    fi
    # shellcheck disable=SC2086
    gone "$grace" "$kill" $stop_pids
    [ "$stop_down" = yes ] || report 'changed no'
}
do_stopped() {
    stopped_out=$(session </dev/null)
    stopped_now=$(printf '%s\n' "$stopped_out" | states last "$@")
    answered "$stopped_out" "$stopped_now"
    # shellcheck disable=SC2086
    if [ -n "$(in_state "$stopped_now" 'STARTING|RUNNING|BACKOFF|STOPPING|UNKNOWN')" ]; then
        wait_more "$(show_states "$stopped_now")"
    elif ! wait_gone 0 $before; then
        left_over $before
    fi
}
# Judges the states $1 after a start, or in an observation: FATAL and EXITED are certain, BACKOFF may still come up.
judge_running() {
    judge_bad=$(in_state "$1" 'FATAL|EXITED')
    [ -z "$judge_bad" ] || refuse state "did not stay up: $(why_down "$1" "$judge_bad")correct it and try again"
    judge_slow=$(in_state "$1" 'STARTING|BACKOFF|STOPPING|STOPPED|UNKNOWN')
    if [ -n "$judge_slow" ]; then
        judge_back=$(in_state "$1" BACKOFF)
        wait_more "${judge_back:+$(why_down "$1" "$judge_back")}$(show_states "$1")"
        return 1
    fi
    report "fact app.started $(printf '%s\n' "$1" | awk '{ printf "%s%s:%s", sep, $1, $3; sep = " " }')"
}
do_start() {
    start_out=$(printf 'start %s\nstatus\n' "$*" | session)
    start_was=$(printf '%s\n' "$start_out" | states first "$@")
    answered "$start_out" "$start_was"
    start_now=$(printf '%s\n' "$start_out" | states last "$@")
    # A program named by its group only: supervisorctl wants the processes' names.
    start_left=$(in_state "$start_now" STOPPED)
    if [ -n "$start_left" ]; then
        start_out=$(printf 'start %s\nstatus\n' "$start_left" | session)
        start_now=$(printf '%s\n' "$start_out" | states last "$@")
    fi
    for start_pid in $(printf '%s\n' "$start_now" | awk '{ print $3 }'); do
        case " $before" in
        *" $start_pid:"*) refuse state "$(proc_name "$start_pid") is the process from before the stop; it still runs the old revision" ;;
        esac
    done
    [ -n "$(in_state "$start_was" 'STOPPED|EXITED|FATAL|BACKOFF|STARTING|STOPPING|UNKNOWN')" ] || report 'changed no'
    judge_running "$start_now" || true
}
do_running() {
    running_out=$(session </dev/null)
    running_now=$(printf '%s\n' "$running_out" | states last "$@")
    answered "$running_out" "$running_now"
    for running_pid in $(printf '%s\n' "$running_now" | awk '{ print $3 }'); do
        case " $before" in
        *" $running_pid:"*)
            wait_more "$(proc_name "$running_pid") is still the process from before"
            return 0
            ;;
        esac
    done
    judge_running "$running_now" || true
}
# Asked before the first touch it records the processes; asked again it wants others.
do_restarted() {
    if [ -n "$before" ]; then
        do_running "$@"
        return
    fi
    restarted_out=$(session </dev/null)
    restarted_now=$(printf '%s\n' "$restarted_out" | states last "$@")
    answered "$restarted_out" "$restarted_now"
    report "fact $pids_fact $(members "$restarted_now" | sed 's/ $//')"
    wait_more
}
do_restart() {
    do_stop "$@"
    [ -z "$not_ready" ] || refuse state 'not restarted: the old processes did not go (see the lines above)'
    report 'changed yes'
    before=''
    do_start "$@"
}

# For preflight: does supervisord answer, does it know the programs, what do they do now?
do_probe() {
    probe_out=$(session </dev/null)
    probe_now=$(printf '%s\n' "$probe_out" | states last "$@")
    answered "$probe_out" "$probe_now"
    report "fact app.states $(show_states "$probe_now")"
}

case $act in
probe) do_probe "$@" ;;
stop) do_stop "$@" ;;
stopped) do_stopped "$@" ;;
start) do_start "$@" ;;
running) do_running "$@" ;;
restart) do_restart "$@" ;;
restarted) do_restarted "$@" ;;
esac
finish
