# SPDX-License-Identifier: MIT
# The runner of `release`: starts one changing step on this node and knows afterwards what became of it.
#
# Called in the state directory ($HOME/.release/at/DIR-DIGEST, 0700; there is one for each directory that is released) as
#   sh runner-HASH MODE NONCE KEY ...
# with MODE run, poll, job, stop, claim or free. POSIX sh, for dash, bash and busybox; every process costs a millisecond in
# which the node may be out of rotation, so builtins and /proc do the work. What it has to say to the engine is a
# line "\001NONCE words" on standard error; the step's output goes through unchanged.
#
#   lock      held (flock) from the first check until the pid of a started job is written
#   fence     "NUMBER OWNER HOLDER": the highest lock grant that was here, a lower one is refused; the journal and
#             environment that own the node until their release has ended ("-": none), others are refused; whom to ask
#   current   key of the job started last: only that one can still be running
#   jobs/KEY.pid   "PID START BOOT USER TOKEN ." of the job's session leader; START and BOOT tell a reused pid,
#                  TOKEN the op that started it
#   jobs/KEY.out .err   what it printed        jobs/KEY.rc   "STATUS ." when it ended
#   jobs/KEY.polled     nonce of the call whose output is fetched by polls
#   jobs/KEY.stop       nonce of a call that must not start anything any more

tell() {
    printf '\001%s %s\n' "$nonce" "$*" >&2
}

# Fields of a /proc/PID/stat line; the name in brackets may hold anything, so cut behind the last one.
stat_fields() {
    set -f
    set -- ${1##*) }
    set +f
    state=$1 ppid=$2 pgrp=$3 session=$4 start=${20}
}

stat_of() {
    start='' stat=''
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat_fields "$stat"
}

job_load() {
    pid='' dot=''
    { read -r pid pstart pboot puser ptoken dot <"jobs/$1.pid"; } 2>/dev/null
    [ "$dot" = . ]
}

job_ended() {
    rc='' dot=''
    { read -r rc dot <"jobs/$1.rc"; } 2>/dev/null
    [ "$dot" = . ]
}

# Is the leader of the loaded job alive? A zombie is not: its status is there or will never be.
job_alive() {
    [ "$pboot" = "$boot" ] && stat_of "$pid" && [ "$start" = "$pstart" ] && [ "$state" != Z ]
}

# ended, running or lost. Looked at twice, because it may end between the two looks.
job_look() {
    what=ended
    job_ended "$key" && return
    what=running
    job_alive && return
    what=lost
    job_ended "$key" && what=ended
}

# All live processes of the loaded job: its session, its group, and their descendants (sudo may open a session of
# its own).
job_members() {
    members=' ' more=1
    while [ -n "$more" ]; do
        more=''
        for file in /proc/[0-9]*/stat; do
            p=${file#/proc/}
            p=${p%/stat}
            case $members in *" $p "*) continue ;; esac
            { IFS= read -r stat <"$file"; } 2>/dev/null || continue
            stat_fields "$stat"
            [ "$state" = Z ] && continue
            if [ "$session" = "$pid" ] || [ "$pgrp" = "$pid" ] || [ "$ppid" = "$pid" ]; then
                members="$members$p " more=1
            else
                case $members in *" $ppid "*) members="$members$p " more=1 ;; esac
            fi
        done
    done
    [ "$members" != ' ' ]
}

job_signal() {
    kill -s "$1" $members 2>/dev/null
    # Without root, processes of another user are only reached as that user.
    if [ "$puser" != - ]; then
        [ -n "$uid" ] || uid=$(id -u)
        [ "$uid" = 0 ] || sudo -n -u "$puser" -- kill -s "$1" $members 2>/dev/null
    fi
}

# Which of $members still live: cheaper than looking at all of /proc again.
job_left() {
    left=' '
    for p in $members; do
        stat_of "$p" && [ "$state" != Z ] && left="$left$p "
    done
    members=$left
    [ "$members" != ' ' ]
}

# Sends $1 until nothing of the job is left or $2 tenths of a second are gone. KILL is repeated, for what was forked
# in between.
job_signal_wait() {
    i=0
    job_members || return 0
    job_signal "$1"
    while [ "$i" -lt "$2" ]; do
        sleep 0.1
        i=$((i + 1))
        job_left && continue
        job_members || return 0
        [ "$1" = TERM ] || job_signal "$1"
    done
    return 1
}

# Ends what is left of the loaded job: TERM, a grace in tenths of a second, KILL. True when nothing is left.
job_end() {
    [ "$pboot" = "$boot" ] || return 0
    # Another process under that pid: the number was reused, and it cannot be while the group lives.
    stat_of "$pid" && [ "$start" != "$pstart" ] && return 0
    job_signal_wait TERM "$1" || job_signal_wait KILL 50
}

# Output from the given offsets, unless polls fetch it.
job_flush() {
    polled=''
    { read -r polled <"jobs/$key.polled"; } 2>/dev/null
    [ "$polled" = "$nonce" ] && return
    job_tail "$1" "$2"
}

job_tail() {
    if [ -s "jobs/$key.out" ]; then
        if [ "$1" = 0 ]; then cat "jobs/$key.out"; else tail -c "+$(($1 + 1))" "jobs/$key.out"; fi
    fi
    if [ -s "jobs/$key.err" ]; then
        if [ "$2" = 0 ]; then cat "jobs/$key.err"; else tail -c "+$(($2 + 1))" "jobs/$key.err"; fi
    fi >&2
}

# Becomes the step: as the other user if asked, in its directory, with its environment from stdin. $i is the text
# of this function's second half for the other user's shell.
inner='
m=$1 u=$2 n=$3 d=$4 s=$5
shift 5
[ -z "$u" ] || { eval "HOME=~$u"; USER=$u LOGNAME=$u; export HOME USER LOGNAME; }
cd -- "${d:-$HOME}" 2>/dev/null || if [ -z "$d" ]; then cd /; else
    printf "\001%s cwd\n" "$m" >&2
    exit 125
fi
[ "$n" = 0 ] || eval "$(head -c "$n")"
eval "unset m u n d s
$s"'

# The leader of the job's own session. It writes its pid before it lets go of the lock (fd 9), so that there is
# no moment at which a job runs that nobody can find.
leader='
k=$1 b=$2 i=$3 t=$4 m=$5 u=$6
shift 6
IFS= read -r l </proc/$$/stat
f() { set -- ${1##*) }; l=${20}; }
f "$l"
echo "$$ $l $b ${u:--} $t ." >"jobs/$k.pid" || exit 124
exec 9>&-
if [ -z "$u" ]; then
    (set -- "$m" "" "$@"; unset k b t m u l; eval "$i")
elif [ "$(id -u)" = 0 ]; then
    runuser -u "$u" -- sh -c "$i" sh "$m" "$u" "$@"
else
    sudo -n -u "$u" -- sh -c "$i" sh "$m" "$u" "$@"
fi
r=$?
echo "$r ." >"jobs/$k.rc"
exit $r'

fence_read() {
    stored='' owned='' holder_there=''
    { read -r stored owned holder_there <fence; } 2>/dev/null
    case $stored in '' | *[!0-9]*) stored=0 ;; esac
    case $owned in j:*) ;; *) owned=- ;; esac
}

# In one step, so that nobody ever reads half of it.
fence_write() {
    { echo "$*" >fence.new && mv -f fence.new fence; } 2>/dev/null && return
    tell cannot write "$PWD/fence"
    return 1
}

# Is the owner that was read, "$1" being ours and behind a comma what older versions called it?
owned_by() {
    [ "$owned" = "${1%%,*}" ] || [ "$owned" = "${1#*,}" ]
}

# NUMBER OWNER FORCED HOLDER: may this grant of this journal change the node? Then it is written down. A node that belongs
# to another journal is only taken from it when a person has broken that lock: FORCED is the grant up to which.
fence_check() {
    fence_read
    if [ "${#stored}" -gt 18 ]; then
        tell cannot understand "$PWD/fence"
        return 1
    fi
    if [ "$1" -lt "$stored" ]; then
        tell fenced "$stored" "$holder_there"
        return 1
    fi
    fence_held "$2" "$3" && return 1
    [ "$1 ${2%%,*}" = "$stored $owned" ] && return 0
    fence_write "$1" "${2%%,*}" "$4" || return 1
    jobs_prune
}

# OWNER FORCED: does what was read belong to somebody else?
fence_held() {
    if [ "$owned" = - ] || owned_by "$1" || [ "$stored" -le "$2" ]; then
        return 1
    fi
    tell held "$stored" "$owned" "$holder_there"
}

# PLACE OWNER FORCED: older versions had their fence in a place of the environment's name, "" for none.
fence_before() {
    [ -n "$1" ] && [ -r "$HOME/$1/fence" ] || return 0
    stored='' owned='' holder_there=''
    { read -r stored owned holder_there <"$HOME/$1/fence"; } 2>/dev/null
    case $stored in '' | *[!0-9]*) return 0 ;; esac
    case $owned in j:*) ;; *) return 0 ;; esac
    [ "${#stored}" -gt 18 ] || ! fence_held "$2" "$3"
}

# Once per lock grant: the last 50 jobs stay, for people who want to look, and of what they printed the end; the
# journal has it all.
jobs_prune() {
    set -- jobs/*.pid
    if [ $# -gt 60 ]; then
        for old in $(ls -t jobs/*.pid | tail -n +51); do
            old=${old%.pid}
            rm -f "$old.pid" "$old.out" "$old.err" "$old.rc" "$old.polled" "$old.stop"
        done
    fi
    ls -sk jobs | while read -r kib name; do
        case $name in *.out | *.err) ;; *) continue ;; esac
        [ "$kib" -gt 1024 ] && job_ended "${name%.*}" || continue
        tail -c 65536 "jobs/$name" >jobs/cut && mv jobs/cut "jobs/$name"
    done
}

# Waits for a job that is not our child.
job_wait() {
    pause=0.02
    while job_alive; do
        sleep "$pause"
        pause=0.2
    done
}

# What became of the key so far: true when the caller need not start it. A failure of an earlier attempt does not
# count, but one that our own op started before the connection broke does.
run_known() {
    job_load "$key" || return 1
    job_look
    if [ "$what" = ended ]; then
        [ "$rc" = 0 ] || [ "$ptoken" = "$token" ] || return 1
        exec 9>&-
        job_flush "$1" "$2"
        tell ended recorded "$rc"
        return
    fi
    if [ "$what" = lost ] && [ "$ptoken" != "$token" ]; then
        job_end 30
        return 1
    fi
    exec 9>&-
    job_wait
    job_flush "$1" "$2"
    if job_ended "$key"; then tell ended attached "$rc"; else tell lost; fi
}

# At most one job runs here: whatever another step left is ended first.
run_leftover() {
    other=''
    { read -r other <current; } 2>/dev/null
    [ -n "$other" ] && [ "$other" != "$key" ] && job_load "$other" && ! job_ended "$other" || return 0
    if ! job_end 50; then
        tell leftover "$other" "$pid"
        return 1
    fi
    job_ended "$other" || echo '143 .' >"jobs/$other.rc"
}

run_stopped() {
    stop=''
    { read -r stop <"jobs/$key.stop"; } 2>/dev/null
    [ "$stop" = "$nonce" ]
}

# The node's lock, on fd 9 until the caller closes it.
lock_take() {
    # `true`, not `:`: dash ends when a redirection of a special builtin fails.
    if ! true >>lock; then
        tell cannot write "$PWD/lock"
        return 1
    fi 2>/dev/null
    exec 9>>lock
    flock 9 && return
    tell cannot lock "$PWD/lock"
    return 1
}

identity_is() {
    { read -r host </proc/sys/kernel/hostname && read -r machine </etc/machine-id; } 2>/dev/null
    [ -z "$1" ] || [ "$1" = "$host:$machine" ] && return
    tell identity "$host:$machine"
    return 1
}

# NUMBER OWNER FORCED HOLDER IDENTITY PLACE: the node belongs to this journal's environment now, until `free`.
claim() {
    identity_is "$5" && lock_take && fence_before "$6" "$2" "$3" && fence_check "$1" "$2" "$3" "$4" && tell state claimed
    exec 9>&-
}

# NUMBER OWNER: whoever took the node over meanwhile keeps it.
free() {
    lock_take || return
    fence_read
    # A later grant of the same journal may give back what an earlier one of it took.
    if ! owned_by "$2" || [ "$stored" -gt "$1" ]; then
        tell state kept
    elif fence_write "$1" - "$holder_there"; then
        tell state freed
    fi
    exec 9>&-
}

# TOKEN OWNER FORCED FENCE HOLDER IDENTITY USER CWD N_ENV N_IN OFF_OUT OFF_ERR SCRIPT ARGS...
run() {
    token=$1 owner=$2 forced=$3
    shift 3
    fence=$1 holder=$2 want=$3 user=$4 cwd=$5 n_env=$6 n_in=$7 off_out=$8 off_err=$9
    shift 9
    identity_is "$want" || return
    if [ -n "$user" ] && [ "$(id -un)" = "$user" ]; then
        user=''
    fi
    case $cwd in '' | /*) place=$cwd ;; *) place=$HOME/$cwd ;; esac
    if [ -n "$cwd" ] && [ -z "$user" ] && ! [ -d "$place" ]; then
        tell cwd
        return
    fi
    if [ "$release_input" = whole ]; then
        exec 8<&0
    elif [ "$n_in" != 0 ]; then
        # All of it before anything starts: a connection that breaks here has changed nothing.
        (umask 077 && head -c "$n_in" >"jobs/in.$$")
        if [ "$(wc -c <"jobs/in.$$")" -ne "$n_in" ]; then
            rm -f "jobs/in.$$"
            tell input
            return
        fi
        exec 8<"jobs/in.$$"
        rm -f "jobs/in.$$"
    else
        exec 8</dev/null
    fi
    lock_take || return
    fence_check "$fence" "$owner" "$forced" "$holder" || return
    run_stopped && tell stopped && return
    run_known "$off_out" "$off_err" && return
    run_leftover || return
    if ! { true >"jobs/$key.rc" && true >"jobs/$key.pid" && echo "$key" >current; } 2>/dev/null; then
        tell cannot write "$PWD/jobs"
        return
    fi
    setsid sh -c "$leader" sh "$key" "$boot" "$inner" "$token" "$nonce" "$user" "$n_env" "$cwd" "$@" \
        <&8 >"jobs/$key.out" 2>"jobs/$key.err" 8<&- &
    exec 8<&- 9>&-
    wait $!
    status=$?
    job_flush 0 0
    if job_ended "$key"; then
        tell ended started "$rc"
    elif [ "$status" -lt 124 ]; then
        tell ended unrecorded "$status" # the disk is full: not even the status could be written
    else
        tell lost "$status"
    fi
}

job() {
    if ! job_load "$key"; then
        tell state never
        return
    fi
    job_look
    [ "$what" = ended ] || rc=''
    [ -z "$1" ] || job_tail "$1" "$2"
    tell state "$what" "$rc"
}

# MAIN_NONCE OFF_OUT OFF_ERR: what was printed since, and whether it has ended.
poll() {
    echo "$1" >"jobs/$key.polled"
    job "$2" "$3"
}

# MAIN_NONCE GRACE
stop() {
    if true >>lock; then
        exec 9>>lock
        flock 9
    fi 2>/dev/null
    echo "$1" >"jobs/$key.stop"
    if ! job_load "$key"; then
        tell state never
    elif job_ended "$key"; then
        tell state ended "$rc"
    elif job_end "$2"; then
        job_ended "$key" || echo '143 .' >"jobs/$key.rc"
        tell state killed
    else
        tell state alive "$pid"
    fi
    exec 9>&-
}

release_main() {
    uid='' host='' machine=''
    mode=$1 nonce=$2 key=$3
    shift 3
    read -r boot </proc/sys/kernel/random/boot_id
    case $mode in
    run | poll | job | stop | claim | free) "$mode" "$@" ;;
    *) tell unknown "$mode" ;;
    esac
}

# A shell that stays reads this file once and then calls release_main in a child for each step.
case $0 in runner-*)
    release_input=''
    release_main "$@"
    ;;
esac
