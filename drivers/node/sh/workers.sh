# SPDX-License-Identifier: MIT
# A reload that brings a revision is judged by the processes that it makes: they are younger than the signal and come from
# the revision's directory, and those that there were have gone. `layout`, `dir`, `target` (that directory), `before`, `back` and `unseen` are the caller's.
#
# A mark is pid:start, and of who was told pid:start:IMAGE: a process that begins its program anew under its own number (USR2
# of puma and php-fpm, HUP of uwsgi) keeps pid and start, but the kernel lays it out anew. WORD=VALUE is the caller's own.
image() {
    { cksum <"/proc/$1/auxv"; } 2>/dev/null | cut -d ' ' -f 1
}
# reload_marks TOLD ALL: the marks of those who are told, and of all others.
reload_marks() {
    for marks_one in $1; do
        printf '%s:%s ' "$marks_one" "$(image "${marks_one%%:*}")"
    done
    for marks_one in $2; do
        case " $1 " in
        *" $marks_one "*) ;;
        *) printf '%s ' "$marks_one" ;;
        esac
    done
}
# pid:start of those in $before who were told.
told() {
    for told_one in $before; do
        case $told_one in
        *=*) ;;
        *:*:*) printf '%s ' "${told_one%:*}" ;;
        *) [ -n "$target" ] || printf '%s ' "$told_one" ;;
        esac
    done
}
# Does it load the application itself, so that its workers get what it has loaded?
preloads() {
    tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qx -e --preload ||
        tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | grep -q '^GUNICORN_CMD_ARGS=.*--preload'
}
preload_text() {
    printf '%s loads the application itself (--preload), so that after a signal its new processes have the code of before in the new directory. Start it without, or release with `plan: rolling`' "$(proc_name "$1")"
}
# Sorts the marks $before and those of now, $1: work_told (who goes on as it was), work_old (others of before), work_new.
workers_sort() {
    work_told='' work_old='' work_new=''
    for work_one in $before; do
        case $work_one in
        *=*) ;;
        *:*:*)
            if ! alive "${work_one%:*}"; then
                :
            elif [ "${work_one##*:}" = "$(image "${work_one%%:*}")" ]; then
                work_told="$work_told${work_one%:*} "
            else
                work_new="$work_new${work_one%:*} "
            fi
            ;;
        *) ! alive "$work_one" || work_old="$work_old$work_one " ;;
        esac
    done
    for work_one in $1; do
        case " $before " in
        *" $work_one "* | *" $work_one:"*) ;;
        *) work_new="$work_new$work_one " ;;
        esac
    done
}
# Of $work_new: work_seen come from the target, work_bad from another release, and of work_unseen nothing says it. The
# link on a command line will do: the process is younger than the switch.
workers_look() {
    work_seen='' work_bad='' work_unseen='' work_where=''
    work_want=$(cd "$target" 2>/dev/null && pwd -P) || work_want=$target
    for work_one in $work_new; do
        work_at=$(origin "${work_one%%:*}")
        alive "$work_one" || continue
        work_at=${work_at#* }
        case $work_at in
        "${work_want##*/}" | current | .) work_seen="$work_seen$work_one " ;;
        '') work_unseen="$work_unseen$work_one " ;;
        *) work_bad="$work_bad$work_one " work_where=$work_at ;;
        esac
    done
}
# judge_workers NOW: ready when the new ones are seen and the old ones gone; NOW is pid:start of all that is there.
judge_workers() {
    origin_of_dir
    workers_sort "$1"
    # shellcheck disable=SC2086
    if [ -z "$work_new" ]; then
        wait_more "no process is younger than the signal: $(proc_names $work_told)does not know it, or has not acted on it yet"
        return 0
    elif [ -n "$work_old" ]; then
        wait_more "from before the signal, and still there: $(proc_names $work_old)"
        return 0
    fi
    for work_one in $work_told; do
        [ "$back" = yes ] || ! preloads "${work_one%%:*}" || refuse state "$(preload_text "${work_one%%:*}")"
    done
    workers_look
    # shellcheck disable=SC2086
    if [ -n "$work_bad" ] && [ -z "$work_seen" ]; then
        refuse state "after the signal its processes work in $dir/releases/$work_where again, wanted $target: $(proc_names $work_bad)keeps the directory that it was started in, where the link led to then. Have the link's own name where it starts, so that a reload follows it: gunicorn --chdir $dir/current, puma directory \"$dir/current\", uwsgi chdir=$dir/current; or release with \`plan: rolling\`, which restarts it"
    elif [ -n "$work_bad" ]; then
        wait_more "not all that came after the signal comes from $target: $(proc_names $work_bad)works in $dir/releases/$work_where"
    elif [ -z "$work_seen$unseen" ]; then
        wait_more "nothing of $(proc_names $work_unseen)(directory, program, command line, open files) comes from $target. Start it there, or name it in \`unseen\`"
    else
        report "say reloaded: $(proc_names $work_new)"
        # shellcheck disable=SC2046
        report "fact app.reloaded $(still_alive $(told) | sed 's/ $//')"
    fi
}
