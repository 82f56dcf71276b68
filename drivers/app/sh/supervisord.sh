# SPDX-License-Identifier: MIT
# needs: lib proc origin workers
# supervisord, judged by the states it shows, never by the exit status of supervisorctl (which is 0 for "not running",
# for "already started" and when it had to kill).
#   ACT PIDS_FACT BEFORE GRACE KILL PORT ADDR DIR REREAD LAYOUT TARGET BACK UNSEEN CTL CONF URL WERE SIGNAL PROGRAM...
# BEFORE = pid:start of the processes before the stop, recorded as PIDS_FACT. WERE = "NAME STATE, NAME STATE" before the
# release: what did not run then is given back so.
act=$1 pids_fact=$2 before=$3 grace=$4 kill=$5 port=$6 dir=$8 reread=$9
port_watch "$6" "$7"
shift 9
layout=$1 target=$2 back=$3 unseen=$4
shift 4
ctl=$1 conf=$2 url=$3 were=$4 signal=$5
shift 5

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
    *'No config updates to processes'* | *': available'* | *': changed'* | *': disappeared'*) ;; # it has no program at all
    *) no_answer "$(printf '%s\n' "$1" | sed 's/^\(supervisor> *\)*//' | tail_line)" ;;
    esac
    answered_missing=$(printf '%s\n' "$2" | awk '$2 == "MISSING" { printf "%s ", $1 }')
    [ -n "$answered_missing" ] || return 0
    # Where the revision brings the configuration, a program may be there only from this revision on.
    case $act$back in
    stop* | probe* | *yes) ! brings || return 0 ;;
    esac
    answered_way='correct `programs`'
    case " $(changes "$1" all | awk '$2 == "available" { printf "%s ", $1 }')" in
    *" ${answered_missing%% *} "*) answered_way='its file has it: `supervisorctl update` there takes it in' ;;
    esac
    answered_has=$(printf '%s\n' "$1" | sed 's/^\(supervisor> \)*//' | awk '$2 ~ /^[A-Z]+$/ { print $1 }' | sort -u | tr '\n' ' ' | cut -c 1-200)
    refuse not-found "supervisord has no program ${answered_missing% } (it has: ${answered_has:-none}); $answered_way"
}
# The supervisord that process $1 runs under: its pid, else nothing.
keeper() {
    keeper_pid=$1
    while [ "${keeper_pid:-0}" -gt 1 ]; do
        { read -r keeper_line <"/proc/$keeper_pid/stat"; } 2>/dev/null || return 0
        keeper_rest=${keeper_line##*) }
        keeper_rest=${keeper_rest#* }
        keeper_pid=${keeper_rest%% *}
        case $(tr '\0' ' ' <"/proc/$keeper_pid/cmdline" 2>/dev/null) in
        *supervisord*)
            printf '%s' "$keeper_pid"
            return 0
            ;;
        esac
    done
}
server_url() {
    tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | sed -n 's/^SUPERVISOR_SERVER_URL=//p' | head -n 1
}
# Who holds the port now that supervisord does not answer? "Orphan", and what to kill, is said only of what this very
# supervisord (the address in its answer $1) once started and no supervisord keeps any more.
no_answer() {
    answer_keeper='' answer_orphans='' answer_others=''
    for answer_one in $(port_holders); do
        answer_url=$(server_url "$answer_one")
        answer_pid=$(keeper "$answer_one")
        if [ -n "$answer_pid" ]; then
            answer_keeper="$(proc_name "$answer_one") on the port runs under supervisord, $(proc_name "$answer_pid"), so it is not that one that was asked; correct \`conf\` or \`url\`"
        else
            case " $1 " in
            *[!A-Za-z0-9/._-]"${answer_url:-none}"[!A-Za-z0-9/._-]*) answer_orphans="$answer_orphans$answer_one " ;;
            *) answer_others="$answer_others$answer_one " ;;
            esac
        fi
    done
    case $1 in
    *'could not find config file'* | *'.ini file does not include'*)
        refuse config "supervisorctl: $1; correct \`conf\`${answer_keeper:+. $answer_keeper}"
        ;;
    esac
    [ -z "$answer_keeper" ] || refuse state "supervisord does not answer: $1. $answer_keeper"
    # shellcheck disable=SC2086
    [ -z "$answer_orphans" ] || [ -n "$answer_others" ] || refuse state "supervisord does not answer ($1), yet $(proc_names $answer_orphans)still serves the port: an orphan of an earlier supervisord; stop it by hand (kill ${answer_orphans% }), start supervisord, then try again"
    # shellcheck disable=SC2086
    [ -z "$answer_others" ] || answer_others=", and $(proc_names $answer_others)serves the port; whether that is the application cannot be told"
    case $act in
    stopped | running | restarted | reloaded | reread_done) cannot_tell state "supervisord does not answer: $1$answer_others" ;;
    esac
    case $1 in
    *PermissionError* | *'ermission denied'*)
        refuse auth "supervisord does not let $(id -un) in: $1. Give its socket to that user's group ([unix_http_server]: chown=root:$(id -gn), chmod=0770; then restart supervisord), or give \`supervisor: runas: root\` and let sudo be asked for it"
        ;;
    esac
    refuse state "supervisord does not answer: $1$answer_others; start it, or correct \`conf\` or \`url\`"
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
# States, with the pids of programs that are starting: `status` does not show those, `pid` does.
with_starting() {
    printf '%s\n' "$1"
    for starting_one in $(in_state "$1" STARTING); do
        printf 'pid %s\n' "$starting_one" | session | sed 's/^\(supervisor> *\)*//' | grep -x '[1-9][0-9]*' |
            sed "s/^/$starting_one STARTING /"
    done
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
    [ -n "$were" ] || report "fact app.were $(show_states "$stop_before")"
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
# Reads WERE into was[name]; up: at least one ran.
was_awk='
    function was_read(    i, n, w, p) {
        n = split(ENVIRON["were"], w, ", ")
        for (i = 1; i <= n; i++) {
            split(w[i], p, " ")
            names[i] = p[1]
            was[p[1]] = p[2]
            if (p[2] ~ /^(RUNNING|STARTING|STOPPING)$/)
                up = 1
        }
        return n
    }'
# What to start: the programs $* as they were. Where all of it was down, all of it is wanted up.
to_start() {
    start_names=$(were=$were awk "$was_awk"'
        BEGIN {
            n = was_read()
            for (i = 1; up && i <= n; i++)
                if (was[names[i]] !~ /^(STOPPED|EXITED)$/)
                    printf "%s ", names[i]
        }' </dev/null)
    printf '%s' "${start_names:-$*}"
}
# The states that count after a start: not what was stopped, had ended or had failed before and is so again.
that_count() {
    printf '%s\n' "$1" | were=$were awk "$was_awk"'
        { line[NR] = $0; name[NR] = $1; now[NR] = $2; running += $2 == "RUNNING" }
        END {
            was_read()
            for (i = 1; i <= NR; i++) {
                before = name[i] in was ? was[name[i]] : ""
                if (up && before ~ /^(STOPPED|EXITED)$/ && now[i] ~ /^(STOPPED|EXITED)$/)
                    continue
                if (up && before ~ /^(FATAL|BACKOFF|UNKNOWN)$/ && now[i] != "RUNNING")
                    continue
                if (!up && before == "EXITED" && now[i] == "EXITED" && running)
                    continue
                print line[i]
            }
        }'
}
# Judges the states $1 after a start, or in an observation: FATAL and EXITED are certain, BACKOFF may still come up.
judge_running() {
    judge_now=$(that_count "$1")
    judge_bad=$(in_state "$judge_now" 'FATAL|EXITED')
    [ -z "$judge_bad" ] || refuse state "did not stay up: $(why_down "$judge_now" "$judge_bad")correct it and try again"
    judge_slow=$(in_state "$judge_now" 'STARTING|BACKOFF|STOPPING|STOPPED|UNKNOWN')
    if [ -n "$judge_slow" ]; then
        judge_back=$(in_state "$judge_now" BACKOFF)
        wait_more "${judge_back:+$(why_down "$judge_now" "$judge_back")}$(show_states "$1")"
        return 1
    fi
    report "fact app.started $(printf '%s\n' "$1" | pids_by_name)"
    [ "$judge_now" = "$1" ] || report "say given back as it was: $(show_states "$1")"
}
pids_by_name() {
    awk '$3 != "-" { printf "%s%s:%s", sep, $1, $3; sep = " " }'
}
do_start() {
    start_wanted=$(to_start "$@")
    start_out=$(printf 'start %s\nstatus\n' "$start_wanted" | session)
    start_was=$(printf '%s\n' "$start_out" | states first "$@")
    answered "$start_out" "$start_was"
    start_now=$(printf '%s\n' "$start_out" | states last "$@")
    # A program named by its group only: supervisorctl wants the processes' names.
    start_left=$(in_state "$(that_count "$start_now")" STOPPED)
    if [ -n "$start_left" ]; then
        start_out=$(printf 'start %s\nstatus\n' "$start_left" | session)
        start_now=$(printf '%s\n' "$start_out" | states last "$@")
    fi
    for start_pid in $(printf '%s\n' "$start_now" | awk '{ print $3 }'); do
        case " $before" in
        *" $start_pid:"*) refuse state "$(proc_name "$start_pid") is the process from before the stop; it still runs the old revision" ;;
        esac
    done
    [ -n "$(in_state "$(that_count "$start_was")" 'STOPPED|EXITED|FATAL|BACKOFF|STARTING|STOPPING|UNKNOWN')" ] || report 'changed no'
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
    [ -n "$were" ] || report "fact app.were $(show_states "$restarted_now")"
    wait_more
}
do_restart() {
    do_stop "$@"
    [ -z "$not_ready" ] || refuse state 'not restarted: the old processes did not go (see the lines above)'
    report 'changed yes'
    before=''
    were=${were:-$(show_states "$stop_before")}
    do_start "$@"
}

# Do those of the programs who were told a signal still run? Where a revision is brought: do they all, with new processes of it?
judge_reloaded() {
    for judge_one in $(told); do
        alive "$judge_one" && case " $(printf '%s\n' "$1" | awk '$2 == "RUNNING" { printf "%s ", $3 }')" in
        *" ${judge_one%%:*} "*) continue ;;
        esac
        # What the new revision broke may end while it is told to go back: who comes after it counts.
        [ -z "$target" ] || [ "$back" = no ] || continue
        refuse state "$(show_states "$1"): pid ${judge_one%%:*}, which was told to reload, is gone; do the programs know that signal? $(why_down "$1" "$(in_state "$1" 'EXITED|FATAL|BACKOFF|STARTING|STOPPED')")"
    done
    [ -n "$target" ] || return 0
    judge_running "$1" && judge_workers "$(members "$1")" || true
}
# Nobody serves there who could lose a request: they are started as they were.
reload_starts() {
    report "say $(show_states "$reload_now"): what does not run is started"
    report "fact $pids_fact started"
    before=''
    do_start "$@"
}
# Where a revision is brought, who failed is not told but started: on the way back it is what the new revision broke.
who_is_told() {
    reload_names=$(in_state "$reload_now" RUNNING)
    reload_down=$(printf '%s\n' "$reload_now" | awk '$2 != "RUNNING"')
    reload_failed=''
    if [ -n "$target" ]; then
        reload_failed=$(in_state "$reload_now" 'FATAL|BACKOFF')
    elif [ -n "$reload_down" ]; then
        refuse state "not all run, so none was told: $(show_states "$reload_down"); start them"
    fi
}
# All of them run, are told, and still run. Whoever dies of a signal does so a moment later: the look behind it is the judge.
do_reload() {
    reload_out=$(session </dev/null)
    reload_now=$(printf '%s\n' "$reload_out" | states last "$@")
    answered "$reload_out" "$reload_now"
    who_is_told
    [ -z "$target" ] || [ -n "$were" ] || report "fact app.were $(show_states "$reload_now")"
    if [ -z "$reload_names" ]; then
        reload_starts "$@"
        return
    fi
    # shellcheck disable=SC2046
    before=$(pid_marks $(printf '%s\n' "$reload_now" | awk '{ print $3 }'))
    [ -z "$target" ] || before=$(reload_marks "$before" "$(members "$reload_now")")
    reload_out=$({
        printf 'signal %s %s\n' "$signal" "$reload_names"
        [ -z "$reload_failed" ] || printf 'start %s\n' "$reload_failed"
        echo status
    } | session)
    reload_told=$(printf '%s\n' "$reload_out" | grep -c ': signalled$')
    [ "$reload_told" = "$(printf '%s' "$reload_names" | wc -w)" ] ||
        refuse state "not signalled: $(printf '%s\n' "$reload_out" | grep -i -e error -e syntax | tail_line)"
    report "fact $pids_fact ${before% }"
    judge_reloaded "$(printf '%s\n' "$reload_out" | states last "$@")"
    [ -z "$before" ] || wait_more
}
do_reloaded() {
    reloaded_out=$(session </dev/null)
    reloaded_now=$(printf '%s\n' "$reloaded_out" | states last "$@")
    answered "$reloaded_out" "$reloaded_now"
    case $before in
    started) judge_running "$reloaded_now" || true ;;
    *) judge_reloaded "$reloaded_now" ;;
    esac
}

# ---- the configuration on disk and the one that runs

# The configuration file, and the patterns of what it includes, one a line.
conf_files() {
    files_conf=$conf
    [ -n "$files_conf$url" ] || for files_one in /etc/supervisord.conf /etc/supervisor/supervisord.conf; do
        [ ! -e "$files_one" ] || { files_conf=$files_one && break; }
    done
    [ -n "$files_conf" ] || return 0
    printf '%s\n' "$files_conf"
    here=${files_conf%/*} awk '
        /^[ \t]*[;#]/ { next }
        /^\[/ { inside = $0 ~ /^\[include\]/; more = 0; next }
        inside && /^files[ \t]*[=:]/ { sub(/^files[ \t]*[=:]/, ""); more = 1 }
        inside && more && (/^[ \t]/ || NF) {
            sub(/[ \t];.*/, "")
            n = split($0, f, /[ \t]+/)
            for (i = 1; i <= n; i++) {
                while ((at = index(f[i], "%(here)s")) > 0)
                    f[i] = substr(f[i], 1, at - 1) ENVIRON["here"] substr(f[i], at + 8)
                if (f[i] != "")
                    print f[i] ~ /^\// ? f[i] : ENVIRON["here"] "/" f[i]
            }
        }' "$files_conf" 2>/dev/null
}
# Does the release bring its own configuration: is any of these files inside DIR?
brought() {
    [ -n "$dir" ] || return 1
    brought_real=$(cd "$dir" 2>/dev/null && pwd -P) || brought_real=$dir
    conf_files | while IFS= read -r brought_one; do
        # The patterns are meant to be expanded.
        # shellcheck disable=SC2086
        for brought_file in $brought_one; do
            case $brought_file in "$dir"/* | "$brought_real"/*) echo yes ;; esac
            case $(readlink -f "$brought_file" 2>/dev/null) in "$brought_real"/*) echo yes ;; esac
        done
    done | grep -q yes
}
# Is what the file on disk says taken in by this release?
brings() {
    [ "$reread" = yes ] || { [ "$reread" != no ] && brought; }
}
# Session output with a `reread` in it -> "GROUP changed|available|disappeared" of the groups of programs $*.
changes() {
    changes_out=$1
    shift
    printf '%s\n' "$changes_out" | sed 's/^\(supervisor> *\)*//' | awk -v wanted="$*" '
        /^[^ ]+: (changed|available|disappeared)$/ {
            sub(/:$/, "", $1)
            n = split(wanted, w, " ")
            for (i = 1; i <= n; i++)
                if (w[i] == "all" || w[i] == $1 || index(w[i], $1 ":") == 1) {
                    print $1, $2
                    next
                }
        }'
}
unreadable() {
    printf '%s\n' "$1" | sed -n 's/^\(supervisor> *\)*ERROR: \(CANT_REREAD\)/\2/p' | tail_line
}
look_changes() {
    look_out=$(printf 'reread\n' | session)
    look_now=$(printf '%s\n' "$look_out" | states last "$@")
    look_bad=$(unreadable "$look_out")
    look_changes=$(changes "$look_out" "$@")
}
# What the release brought is taken in: reread, then update of what changed. It starts what has autostart; what did not
# run before is stopped again.
do_reread() {
    if ! brings; then
        report 'changed no'
        return 0
    fi
    look_changes "$@"
    reread_known=$(printf '%s\n' "$look_now" | awk '$2 != "MISSING"')
    answered "$look_out" "$reread_known" # a program that the new file brings is not known yet
    if [ -n "$look_bad" ]; then
        [ "$back" = yes ] || refuse config "supervisord cannot read the configuration of this revision: $look_bad; correct it in the revision"
        report "say supervisord cannot read its configuration, so it keeps the one that it has: $look_bad"
        report 'changed no'
        return 0
    fi
    if [ -z "$look_changes" ]; then
        report 'changed no'
        return 0
    fi
    report "say configuration: $(printf '%s\n' "$look_changes" | tr '\n' ',' | sed 's/,$//; s/,/, /g')"
    reread_out=$(printf 'update %s\nreread\nstatus\n' "$(printf '%s\n' "$look_changes" | awk '{ printf "%s ", $1 }')" | session)
    reread_now=$(printf '%s\n' "$reread_out" | states last "$@")
    reread_left=$(changes "$reread_out" "$@")
    [ -z "$reread_left" ] || wait_more "not taken in yet: $reread_left: $(printf '%s\n' "$reread_out" | grep -i -e error -e problem | tail_line)"
    reread_down=$(printf '%s\n' "$reread_now" | were=$were awk "$was_awk"'
        BEGIN { was_read() }
        up && ($1 in was) && was[$1] ~ /^(STOPPED|EXITED)$/ && $2 ~ /^(STARTING|RUNNING|BACKOFF)$/ { printf "%s ", $1 }')
    [ -z "$reread_down" ] || printf 'stop %s\n' "$reread_down" | session >/dev/null
}
do_reread_done() {
    brings || return 0
    look_changes "$@"
    [ -z "$look_changes" ] || wait_more "not taken in yet: $look_changes"
}

# For preflight: does supervisord answer, does it know the programs, what do they do now, who has their port, and is
# what runs what the file on disk says?
do_probe() {
    look_changes "$@"
    answered "$look_out" "$look_now"
    report "fact app.states $(show_states "$look_now")"
    report "fact app.now $(printf '%s\n' "$look_now" | pids_by_name)"
    if brings; then
        report 'fact app.brings yes'
    elif [ -n "$look_changes$look_bad" ]; then
        report "fact app.config supervisord runs with another configuration than its file has ($(printf '%s\n' "${look_bad:-$look_changes}" | tr '\n' ',' | sed 's/,$//; s/,/, /g')), and a release leaves that so: \`supervisorctl update\` there takes it in, or give \`supervisor: reread: yes\`"
    fi
    probe_members=$(members "$(with_starting "$look_now")")
    probe_others=''
    # shellcheck disable=SC2086
    for probe_one in $(others_on_port $probe_members); do
        # supervisord itself holds the socket of an fcgi-program, and closes it with the last of them.
        case $(cat "/proc/$probe_one/comm" 2>/dev/null) in
        supervisord*) ;;
        *) probe_others="$probe_others$probe_one " ;;
        esac
    done
    # shellcheck disable=SC2086
    [ -z "$probe_others" ] || foreign_port supervisor "the programs $*" "$probe_others" $probe_members
}

case $act in
probe) do_probe "$@" ;;
stop) do_stop "$@" ;;
stopped) do_stopped "$@" ;;
start) do_start "$@" ;;
running) do_running "$@" ;;
restart) do_restart "$@" ;;
restarted) do_restarted "$@" ;;
reload) do_reload "$@" ;;
reloaded) do_reloaded "$@" ;;
reread) do_reread "$@" ;;
reread_done) do_reread_done "$@" ;;
esac
finish
