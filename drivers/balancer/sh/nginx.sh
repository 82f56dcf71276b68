# SPDX-License-Identifier: MIT
# needs: lib
# nginx on its own host: its workers, and the file of servers that stands inside an upstream block.
#   look FILE PID_FILE STATUS_URL WAIT_S       what the file says, and which workers there are since when
#   config FILE PID_FILE NGINX...        the whole configuration, as nginx -T prints it; may FILE be changed, and nginx reloaded?
#   put FILE PID_FILE ADDRESS up|down STALE WAIT_S NGINX...     one server's `down`, and a reload that is in force
# A put runs under the lock on the file's directory (drivers/node/host.c); a look waits for that lock, so that it never sees
# half of one. Other files of the same nginx may stand in other directories: so a put also holds the lock on the pid file.
# Names with a dot in front are taken up by no `include *.conf`.
act=$1 file=$2
shift 2
dir=${file%/*} name=${file##*/}
new=$dir/.$name.release-new was=$dir/.$name.release-was same=$dir/.$name.release-same
nl='
'

file_is_there() {
    [ -e "$file" ] || refuse not-found "$file is not there, or $(id -un) may not look into its directory"
    [ ! -L "$file" ] || refuse config "$file is a symbolic link; give the file itself"
    [ -f "$file" ] || refuse config "$file is no file"
    [ -r "$file" ] || refuse auth "$file may not be read by $(id -un)"
}
# NGINX...: what it may leave running has no lock of ours.
call() {
    "$@" 8<&-
}
# A copy of a file by another than root may silently be another owner's, or have another group or label.
looks_of() {
    stat -c '%u:%g %a' -- "$1" && stat -c %C -- "$1" 2>/dev/null
}
# In $title. Bytes of 0 are left out by `read`, which costs no process.
title_of() {
    title=''
    { IFS= read -r title <"/proc/$1/cmdline"; } 2>/dev/null
}
master_find() {
    master=''
    [ -e "$1.oldbin" ] && cannot_tell state "another binary of nginx takes over there ($1.oldbin is there): end that first"
    { read -r master <"$1"; } 2>/dev/null
    case $master in
    '' | *[!0-9]*) cannot_tell state "no process in $1 (pid:): is nginx running there, and is that its pid file?" ;;
    esac
    title_of "$master"
    case $title in
    *"nginx: master process"*) ;;
    *) cannot_tell state "process $master of $1 (pid:) is no master of nginx: it is not running" ;;
    esac
}
# "PID START current|leaving" of each worker, START in ticks since boot.
workers() {
    for workers_stat in /proc/[0-9]*/stat; do
        { IFS= read -r workers_line <"$workers_stat"; } 2>/dev/null || continue
        workers_line=${workers_line##*) }
        case $workers_line in ?" $master "*) ;; *) continue ;; esac
        workers_pid=${workers_stat#/proc/}
        workers_pid=${workers_pid%/stat}
        title_of "$workers_pid"
        case $title in
        *"worker process is shutting down"*) workers_is=leaving ;;
        *"worker process"*) workers_is=current ;;
        *) continue ;;
        esac
        # shellcheck disable=SC2086
        set -- $workers_line
        report "$workers_pid ${20} $workers_is"
    done
}
stamp_of() {
    stat -c '%i %.9Z' "$file"
}
# Now, by the clock of the workers' starts: that of a process which starts now. /proc/uptime is another one in a
# container, where it may be the container's own.
started_now() {
    # shellcheck disable=SC2016
    sh -c 'IFS= read -r line </proc/self/stat && set -- ${line##*) } && echo "${20}"'
}
# Both clocks at one moment, or at two that are close.
clocks() {
    clocks_n=0
    while [ "$clocks_n" -lt 20 ]; do
        clocks_n=$((clocks_n + 1))
        clocks_one=$(started_now)
        clocks_now=$(date +%s.%N)
        clocks_two=$(started_now)
        [ $((clocks_two - clocks_one)) -gt 5 ] || break
    done
    report "started $clocks_one"
    report "now $clocks_now"
}
fetch() {
    if command -v curl >/dev/null 2>&1; then
        curl -fsS -m 3 --noproxy '*' -- "$1" 2>&1
    else
        wget -q -T 3 -t 1 -O - -- "$1" 2>&1
    fi
}
status_of() {
    if status_text=$(fetch "$1"); then
        report "status $(printf '%s\n' "$status_text" | tr '\n' ' ')"
    else
        report "nostatus $(printf '%s\n' "$status_text" | tail_line)"
    fi
}

look() {
    file_is_there
    [ -r "$dir" ] || refuse auth "$dir may not be read by $(id -un)"
    exec 6<"$dir"
    flock -s -w "$3" 6 || cannot_tell deadline "somebody else has been changing $file for $3 s"
    master_find "$1"
    stamp=$(stamp_of) || refuse config "stat of GNU coreutils is needed there"
    changed=${stamp#* }
    { read -r stamped <"$same"; } 2>/dev/null
    [ "$stamped" != "$stamp" ] || changed=-
    report "changed $changed"
    workers | sed 's/^/worker /'
    clocks # behind the workers: none of them may have started later
    report "ticks $(getconf CLK_TCK 2>/dev/null || echo 100)"
    [ -z "$2" ] || status_of "$2"
    report file
    cat "$file"
}

# A reload is the one thing that cannot be tried: asked is who may.
may_reload() {
    case $1 in
    sudo | */sudo)
        may_sudo=$1
        shift
        said=$("$may_sudo" -l "$@" -s reload 2>&1) ||
            refuse auth "$may_sudo does not let $(id -un) run \"$* -s reload\": $(printf '%s\n' "$said" | tail_line)"
        ;;
    *)
        kill -s 0 "$master" 2>/dev/null ||
            refuse auth "nginx's master, process $master, is another user's: $(id -un) may not reload it; say command: [sudo, -n, /usr/sbin/nginx] or runas:"
        ;;
    esac
}

# The file is replaced by a changed copy.
may_keep_owner() {
    [ "$(id -u)" != 0 ] || return 0
    owner=$(stat -c %u -- "$file") group=$(stat -c %g -- "$file")
    [ "$owner" = "$(id -u)" ] || refuse auth "$file is $(stat -c %U -- "$file")'s, and a copy by $(id -un) would not be: give it to $(id -un), or say runas:"
    case " $(id -G) " in
    *" $group "*) ;;
    *) refuse auth "$file is of the group $(stat -c %G -- "$file"), and $(id -un) is not in it: a copy would not be of that group" ;;
    esac
}

config() {
    file_is_there
    master_find "$1"
    shift
    may_reload "$@"
    { [ -w "$file" ] && [ -w "$dir" ]; } || refuse auth "$file and its directory may not be changed by $(id -un)"
    may_keep_owner
    call "$@" -T
}

# The word `down` of one server's line, nothing else.
edit() {
    RELEASE_SERVER=$1 RELEASE_WANT=$2 awk '
        match($0, /^[ \t]*server[ \t]+[^ \t;]+/) {
            head = substr($0, 1, RLENGTH); rest = substr($0, RLENGTH + 1)
            address = head; sub(/^[ \t]*server[ \t]+/, "", address)
            if (address == ENVIRON["RELEASE_SERVER"]) {
                n++
                semi = index(rest, ";"); words = substr(rest, 1, semi - 1)
                is = words ~ /[ \t]down([ \t]|$)/
                if (ENVIRON["RELEASE_WANT"] == "down" && !is)
                    words = words " down"
                if (ENVIRON["RELEASE_WANT"] == "up" && !sub(/[ \t]down$/, "", words))
                    sub(/[ \t]down[ \t]/, " ", words)
                $0 = head words substr(rest, semi)
            }
        }
        { print }
        END { exit n == 1 ? 0 : 3 }' "$file"
}
is_fine() {
    said=$(call "$@" -T 2>&1) || refuse refused "before anything was changed, \"$* -T\" says: $(printf '%s\n' "$said" | tail_line)"
    case $nl$said$nl in
    *"$nl# configuration file $file:$nl"*) ;;
    *) refuse config "$file is no part of the configuration that \"$* -T\" shows" ;;
    esac
}
# As it was. What the workers have is what it says, although it is younger than they are: so that is written down.
take_back() {
    mv -f "$was" "$file"
    [ "$1" = yes ] || stamp_of >"$same"
}
# Until every worker that takes connections began after we asked: new ones may also be those of a reload that somebody else asked for
# just before, and have the former file.
reload() {
    reload_from=$(started_now)
    said=$(call "$@" -s reload 2>&1) || return
    read -r reload_began _ </proc/uptime
    reload_now=$reload_began
    while [ "$((${reload_now%.*} - ${reload_began%.*}))" -le "$put_wait" ]; do
        reload_seen=$(workers | awk -v from="$reload_from" '$3 != "leaving" { if ($2 < from) left = 1; else new = 1 } END { print new - left }')
        [ "$reload_seen" != 1 ] || return 0
        sleep 0.05
        read -r reload_now _ </proc/uptime
    done
    cannot_tell state "$put_wait s after \"$* -s reload\" its workers are still the former ones, and $file is written; see its error log"
}

put() {
    put_address=$2 put_want=$3 put_stale=$4 put_wait=$5
    file_is_there
    master_find "$1"
    exec 8<"$1"
    flock -w "$put_wait" 8 || cannot_tell deadline "somebody else has been changing the nginx of $1 for $put_wait s"
    shift 5
    is_fine "$@"
    { cp -p -- "$file" "$new" && cp -p -- "$file" "$was"; } 2>&1 || refuse io "cannot write into $dir"
    if [ "$(looks_of "$new")" != "$(looks_of "$file")" ]; then
        rm -f "$new" "$was"
        refuse auth "a copy of $file by $(id -un) would have another owner, group, mode or label: nothing was changed"
    fi
    edit "$put_address" "$put_want" >"$new" || {
        rm -f "$new" "$was"
        refuse state "$file has not exactly one line for $put_address any more"
    }
    if ! cmp -s "$new" "$file"; then
        # No worker of the former file may look as young as the new one.
        sync "$new" && sleep 0.2 && mv -f "$new" "$file" || refuse io "cannot write into $dir"
        said=$(call "$@" -t 2>&1) || {
            take_back "$put_stale"
            refuse refused "\"$* -t\" says: $(printf '%s\n' "$said" | tail_line); $file is as it was"
        }
        reload "$@" || {
            take_back "$put_stale"
            refuse refused "\"$* -s reload\" says: $(printf '%s\n' "$said" | tail_line); $file is as it was"
        }
    elif [ "$put_stale" = yes ]; then
        reload "$@" || refuse refused "\"$* -s reload\" says: $(printf '%s\n' "$said" | tail_line)"
    fi
    rm -f "$new" "$was" "$same"
}

"$act" "$@"
