# SPDX-License-Identifier: MIT
# Processes and ports, out of /proc. A process is named pid:start, start being its start time in ticks after boot,
# so that a pid that was given to another process is never taken for the first.

# Is pid:start still that living process? Built-ins only: it is asked ten times a second.
alive() {
    { read -r alive_line <"/proc/${1%%:*}/stat"; } 2>/dev/null || return 1
    alive_rest=${alive_line##*) }
    # shellcheck disable=SC2086
    set -- "$1" $alive_rest
    [ "$2" != Z ] && [ "$2" != X ] && [ "${21}" = "${1#*:}" ]
}
# pid_marks PID...: pid:start of each that lives.
pid_marks() {
    for marks_pid in "$@"; do
        { read -r marks_line <"/proc/$marks_pid/stat"; } 2>/dev/null || continue
        # shellcheck disable=SC2086
        set -- ${marks_line##*) }
        printf '%s:%s ' "$marks_pid" "${20}"
    done
}
# elders PID...: those of them whose parent is none of them.
elders() {
    for elders_one in "$@"; do
        { read -r elders_line <"/proc/$elders_one/stat"; } 2>/dev/null || continue
        elders_line=${elders_line##*) }
        elders_line=${elders_line#* }
        case " $* " in
        *" ${elders_line%% *} "*) ;;
        *) printf '%s ' "$elders_one" ;;
        esac
    done
}
# Those whose parent is $1.
children() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v parent="$1" '
        { pid = $1 }
        sub(/^[0-9]+ \(.*\) /, "") && $1 != "Z" && $2 == parent { printf "%s ", pid }'
}
still_alive() {
    for still_one in "$@"; do
        if alive "$still_one"; then
            printf '%s ' "$still_one"
        fi
    done
}
# tree PID...: pid:start of each, of its process group and of all descendants.
tree() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v roots="$*" '
        {
            pid = $1
            if (!sub(/^[0-9]+ \(.*\) /, "") || $1 == "Z")
                next
            parent[pid] = $2; group[pid] = $3; start[pid] = $20
        }
        END {
            n = split(roots, r, " ")
            for (i = 1; i <= n; i++)
                if (r[i] in parent)
                    ours[r[i]] = 1
            do {
                grown = 0
                for (p in parent)
                    if (!(p in ours) && ((parent[p] in ours) || (group[p] in ours))) {
                        ours[p] = 1
                        grown = 1
                    }
            } while (grown)
            for (p in ours)
                printf "%s:%s ", p, start[p]
        }'
}
# What a process is called, for messages.
proc_name() {
    proc_cmd=$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | cut -c 1-80)
    [ -n "$proc_cmd" ] || proc_cmd=$(cat "/proc/$1/comm" 2>/dev/null)
    printf 'pid %s (%s)' "$1" "${proc_cmd% }"
}
proc_names() {
    for names_one in "$@"; do
        proc_name "${names_one%%:*}"
        printf ' '
    done
}
# port_watch PORT ADDR: what `listening` looks for. ADDR empty or not an IPv4 literal: any address. Nodes that share
# a machine are told apart by their loopback address; elsewhere an application behind a local proxy listens on
# 127.0.0.1, which counts too.
port_watch() {
    port_hex='' addr_hex='' loop_hex=''
    [ -n "$1" ] && [ "$1" != 0 ] || return 0
    port_hex=$(printf ':%04X' "$1")
    case $2 in
    '' | *[!0-9.]*) return 0 ;;
    esac
    watch_ifs=$IFS
    IFS=.
    # shellcheck disable=SC2086
    set -- $2
    IFS=$watch_ifs
    [ $# -eq 4 ] || return 0
    addr_hex=$(printf '%02X%02X%02X%02X' "$4" "$3" "$2" "$1")
    [ "$1" = 127 ] || loop_hex=0100007F
}
# Inodes of the sockets that listen there; status 1 when there is none.
listening() {
    [ -n "$port_hex" ] || return 1
    listen_inodes=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$port_hex" -v addr="$addr_hex" -v loop="$loop_hex" '
        $4 == "0A" && substr($2, length($2) - 4) == port {
            ip = substr($2, 1, length($2) - 5)
            sub(/^0000000000000000FFFF0000/, "", ip)
            if (addr == "" || ip == addr || (loop != "" && ip == loop) || ip ~ /^0+$/)
                print $10
        }')
    [ -n "$listen_inodes" ]
}
# pids that hold a listening socket there. Needs to be root or their user; prints nothing for others.
port_holders() {
    listening || return 0
    for holder_inode in $listen_inodes; do
        find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$holder_inode\]" 2>/dev/null
    done | sed 's|^/proc/\([0-9]*\)/.*|\1|' | sort -un | tr '\n' ' '
}
# others_on_port PID:START...: pids that hold the port and are none of these.
others_on_port() {
    others_ours=" $* "
    for others_one in $(port_holders); do
        case $others_ours in
        *" $others_one:"*) ;;
        *) printf '%s ' "$others_one" ;;
        esac
    done
}
# ADDRESS:PORT of all that these pid:start listen on.
listens_on() {
    listens_inodes=$(
        for listens_one in "$@"; do
            # shellcheck disable=SC2012
            ls -l "/proc/${listens_one%%:*}/fd" 2>/dev/null | sed -n 's/.* -> socket:\[\([0-9]*\)\].*/\1/p'
        done | tr '\n' ' '
    )
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v inodes="$listens_inodes" '
        function number(hex,    i, n) {
            for (i = 1; i <= length(hex); i++)
                n = 16 * n + index("0123456789ABCDEF", substr(hex, i, 1)) - 1
            return n
        }
        BEGIN { n = split(inodes, all, " "); for (i = 1; i <= n; i++) ours[all[i]] = 1 }
        $4 == "0A" && ($10 in ours) {
            ip = substr($2, 1, length($2) - 5)
            if (ip ~ /^0+$/)
                text = "*"
            else if (length(ip) == 8)
                text = number(substr(ip, 7, 2)) "." number(substr(ip, 5, 2)) "." number(substr(ip, 3, 2)) "." number(substr(ip, 1, 2))
            else
                text = "[IPv6]"
            text = text ":" number(substr($2, length($2) - 3))
            if (!(text in done))
                printf "%s%s", sep, text
            done[text] = 1
            sep = " "
        }'
}
# foreign_port BLOCK WHAT OTHERS PID:START...: refuses, because a stop would wait for ever for a port that others hold.
foreign_port() {
    foreign_block=$1 foreign_what=$2 foreign_pids=$3
    shift 3
    foreign_own=$(listens_on "$@")
    # shellcheck disable=SC2086
    foreign_text="port $port is held by $(proc_names $foreign_pids)and that is none of $foreign_what"
    case $foreign_own in
    '') [ $# -eq 0 ] || foreign_text="$foreign_text, who listen nowhere" ;;
    *) foreign_text="$foreign_text, who listen on $foreign_own" ;;
    esac
    foreign_way="\`$foreign_block: port:\` (0: none)"
    case " $foreign_own " in
    *:"$port "*) foreign_way="$foreign_way, or their address as \`$foreign_block: listen:\`" ;;
    *" "*:*) [ "${foreign_own#* }" != "$foreign_own" ] || foreign_way="\`$foreign_block: port: ${foreign_own##*:}\`" ;;
    esac
    refuse config "$foreign_text. Stopping waits until nothing listens there: give the port that they hold themselves as $foreign_way"
}
# wait_gone SECONDS PID:START...: until all are gone and the port is closed; status 1 when time is up.
wait_gone() {
    wait_left=$(($1 * 10))
    shift
    while :; do
        wait_pids=$(still_alive "$@")
        if [ -z "$wait_pids" ] && ! listening; then
            return 0
        fi
        [ "$wait_left" -gt 0 ] || return 1
        wait_left=$((wait_left - 1))
        sleep 0.1 2>/dev/null || { sleep 1; wait_left=$((wait_left - 9)); }
    done
}
# kill_left PID:START...: KILL to those that are still the same processes.
kill_left() {
    for kill_one in "$@"; do
        if alive "$kill_one"; then
            kill -KILL "${kill_one%%:*}" 2>/dev/null
        fi
    done
}
# gone GRACE KILL PID:START...: waits, kills what survived the grace when KILL is yes, reports what is left.
gone() {
    gone_grace=$1 gone_kill=$2
    shift 2
    wait_gone "$gone_grace" "$@" && return 0
    gone_left=$(still_alive "$@")
    # shellcheck disable=SC2086
    if [ -n "$gone_left" ] && [ "$gone_kill" = yes ]; then
        report "say killed after ${gone_grace} s: $(proc_names $gone_left)"
        report "fact app.killed $(printf '%s ' $gone_left | sed 's/:[0-9]*//g')"
        kill_left $gone_left
        wait_gone 2 "$@" && return 0
    fi
    wait_more
    left_over "$@"
    return 1
}
# Names what still runs or listens.
left_over() {
    over_pids=$(still_alive "$@")
    # shellcheck disable=SC2086
    [ -z "$over_pids" ] || wait_more "still running: $(proc_names $over_pids)"
    if listening; then
        over_holders=$(port_holders)
        # shellcheck disable=SC2086
        wait_more "the port still listens${over_holders:+: $(proc_names $over_holders)}"
    fi
}
