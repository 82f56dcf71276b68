# SPDX-License-Identifier: MIT
# Release directories: DIR/releases/NAME, complete when .release-complete is there, which is written last.

# The revision a complete directory holds; status 1 when it is not complete. One that Capistrano made says it in REVISION;
# ours has .incomplete for as long as it has no marker.
marker_rev() {
    if ! { read -r marker_word marker_value <"$1/.release-complete"; } 2>/dev/null; then
        [ ! -e "$1/.incomplete" ] && { read -r marker_value <"$1/REVISION"; } 2>/dev/null || return 1
        case $marker_value in *[!0-9a-f]*) return 1 ;; esac
        [ ${#marker_value} -eq 40 ] && printf '%s' "$marker_value"
        return
    fi
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
# clean_releases DIR KEEP BEFORE SELF: removes what unpack made and nobody needs: incomplete directories, and complete ones
# behind the KEEP newest. `current`, BEFORE, SELF and those that processes work in stay. Sets clean_gone, clean_failed.
clean_releases() {
    clean_gone='' clean_failed=''
    [ ! -L "$1/releases" ] || refuse state "$1/releases is a symbolic link; nothing was cleaned"
    cd "$1/releases" 2>/dev/null || return 0
    clean_current=$(current_target)
    clean_used=$(inside "$1/releases" | sed 's/^[0-9]* //')
    # Complete ones, newest first, of which the first KEEP stay.
    # shellcheck disable=SC2012
    clean_keep=$(ls -dt -- */.release-complete 2>/dev/null | sed 's|/.release-complete$||' | head -n "$2")
    for clean_one in *; do
        [ -d "$clean_one" ] && [ ! -L "$clean_one" ] || continue
        # Only what unpack made: nobody else's directory is ours to remove.
        [ -e "$clean_one/.release-complete" ] || [ -e "$clean_one/.incomplete" ] || continue
        clean_path=$1/releases/$clean_one
        case $clean_path in "$clean_current" | "$3" | "$4") continue ;; esac
        printf '%s\n' "$clean_keep" | grep -qxF -e "$clean_one" && continue
        printf '%s\n' "$clean_used" | grep -qF -e "$clean_path" && continue
        # Without its marker first: cut short, it is an incomplete one, never a target, and known as ours to the end.
        true >"$clean_one/.incomplete" && rm -f "$clean_one/.release-complete" &&
            find "./$clean_one" -mindepth 1 -maxdepth 1 ! -name .incomplete -exec rm -rf {} + && rm -rf "./$clean_one"
        if [ -d "$clean_one" ]; then
            clean_failed="$clean_failed $clean_one"
        else
            clean_gone="$clean_gone $clean_one"
        fi
    done
}
# A word of `shared:`: a path, with a slash at its end for a directory, or /FLAGS[,mode=OCTAL][,owner=USER[:GROUP]]/PATH
# (f a file, d a directory, r must be there, m must be a mount point, c its first content is in the environment). Sets
# shared_path, shared_flags in the same letters, shared_mode and shared_owner.
shared_split() {
    shared_path=${1%/} shared_flags='' shared_mode='' shared_owner=''
    case $1 in
    /[df]*/*)
        shared_flags=${1#/}
        shared_path=${shared_flags#*/} shared_flags=${shared_flags%%/*}
        shared_path=${shared_path%/}
        case $shared_flags in *,owner=*) shared_owner=${shared_flags##*,owner=} ;; esac
        shared_flags=${shared_flags%%,owner=*}
        case $shared_flags in *,mode=*) shared_mode=${shared_flags##*,mode=} ;; esac
        shared_flags=${shared_flags%%,*}
        ;;
    */) shared_flags=d ;;
    esac
}
# Is something mounted at directory $1?
is_mounted() {
    awk -v want="$(cd "$1" && pwd -P)" '{ gsub(/\\040/, " ", $5); if ($5 == want) found = 1 } END { exit !found }' /proc/self/mountinfo
}
# May we give a file to USER[:GROUP]? Says why not.
may_give() {
    give_user=${1%%:*} give_group=''
    case $1 in *:*) give_group=${1#*:} ;; esac
    id -u "$give_user" >/dev/null 2>&1 || { echo "there is no user $give_user here"; return; }
    [ -z "$give_group" ] || grep -q "^$give_group:" /etc/group || getent group "$give_group" >/dev/null 2>&1 || {
        echo "there is no group $give_group here"
        return
    }
    [ "$(id -u)" -ne 0 ] || return 0
    [ "$give_user" = "$(id -un)" ] || { echo "$(id -un) may not give it to $give_user"; return; }
    case " $(id -Gn) " in
    *" ${give_group:-$(id -gn)} "*) ;;
    *) echo "$(id -un) is not in the group $give_group" ;;
    esac
}
# Is $1 of the mode and owner that shared_split read? Says what it is instead. What is there is never changed: a release
# that runs may need it as it is.
other_mode() {
    other_has=$(stat -L -c %a -- "$1")
    [ -z "$shared_mode" ] || [ "$other_has" = "$shared_mode" ] ||
        echo "has mode $other_has, wanted $shared_mode: change it there, or the pillar"
    case $shared_owner in
    '') return ;;
    *:*) other_has=$(stat -L -c %U:%G -- "$1") ;;
    *) other_has=$(stat -L -c %U -- "$1") ;;
    esac
    [ "$other_has" = "$shared_owner" ] || echo "is $other_has's, wanted $shared_owner: change it there, or the pillar"
}
# What stands in the way of shared path $1 (a word): nothing, `missing`, or what is wrong with it.
shared_trouble() {
    shared_split "$1"
    trouble_there=$dir/shared/$shared_path
    if [ ! -e "$trouble_there" ]; then
        [ ! -L "$trouble_there" ] || {
            echo "is a symbolic link to $(readlink "$trouble_there"), which is not there"
            return
        }
        trouble_owner=''
        [ -z "$shared_owner" ] || trouble_owner=$(may_give "$shared_owner")
        echo "missing${trouble_owner:+, and $trouble_owner}"
        return
    fi
    case $shared_flags in
    *f*) [ ! -d "$trouble_there" ] || echo 'is a directory, wanted a file' ;;
    *d*)
        if [ ! -d "$trouble_there" ]; then
            echo 'is no directory'
        elif [ "${shared_flags#*m}" != "$shared_flags" ] && ! is_mounted "$trouble_there"; then
            echo 'is not mounted, and the pillar says that it must be'
        fi
        ;;
    esac
    other_mode "$trouble_there"
    [ ! -d "$trouble_there" ] || ! awk -v want="$(cd "$trouble_there" && pwd -P)" '$1 !~ /^#/ && $2 == want { found = 1 } END { exit !found }' /etc/fstab 2>/dev/null ||
        is_mounted "$trouble_there" || echo 'is a mount point of /etc/fstab, and not mounted'
}
say_space() {
    case $1 in
    *'No space left'* | *'Disk quota'*) refuse no-space "$2: $(printf '%s\n' "$1" | tail_line)" ;;
    esac
    refuse io "$2: $(printf '%s\n' "$1" | tail_line)"
}
