# SPDX-License-Identifier: MIT
# needs: lib
# Is there a place for releases, and whose is it? Runs as the login user, who need not be who owns it.
#   ACT DIR USER
act=$1 dir=$2 user=${3:-$(id -un)}
group=$(id -gn "$user" 2>/dev/null) || group=''

# May USER write in the directory? Asked as that user; "no" also where nobody can be asked.
writable() {
    if [ "$(id -un)" = "$user" ]; then
        [ -w "$1" ] && [ -x "$1" ]
    elif [ "$(id -u)" = 0 ]; then
        runuser -u "$user" -- test -w "$1" -a -x "$1" 2>/dev/null
    else
        sudo -n -u "$user" -- test -w "$1" -a -x "$1" 2>/dev/null
    fi
}
owner_of() {
    stat -c %U "$1" 2>/dev/null
}
# ok | missing | file | foreign
dir_state() {
    if [ ! -e "$dir" ] && [ ! -L "$dir" ]; then
        echo missing
    elif [ ! -d "$dir" ]; then
        echo file
    elif [ "$(owner_of "$dir")" = "$user" ] || writable "$dir"; then
        echo ok
    else
        echo foreign
    fi
}
# The nearest directory above that is there.
above() {
    above_dir=${dir%/*}
    while [ -n "$above_dir" ] && [ ! -d "$above_dir" ]; do
        above_dir=${above_dir%/*}
    done
    printf '%s' "${above_dir:-/}"
}
# Who can make it: self (the login user, who is its owner, or root), sudo, none.
way() {
    if [ "$(id -u)" = 0 ] || { [ "$(id -un)" = "$user" ] && [ -w "$(above)" ]; }; then
        echo self
    elif sudo -n -l install -d -o "$user" -g "$group" -- "$dir" >/dev/null 2>&1; then
        echo sudo
    else
        echo none
    fi
}

do_look() {
    command -v git >/dev/null 2>&1 || report 'fact prepare.git no'
    report "fact prepare.user $user"
    if [ -z "$group" ]; then
        report 'fact prepare.state nouser'
        wait_more
        return 0
    fi
    look_state=$(dir_state)
    report "fact prepare.group $group"
    report "fact prepare.state $look_state"
    case $look_state in
    missing) report "fact prepare.way $(way)" ;;
    foreign) report "fact prepare.owner $(owner_of "$dir")" ;;
    esac
    [ "$look_state" = ok ] || wait_more
}
do_make() {
    [ -n "$group" ] || refuse not-found "there is no user '$user'; make that user first, or correct \`user\`"
    make_state=$(dir_state)
    case $make_state in
    ok)
        report 'changed no'
        return 0
        ;;
    file) refuse state "$dir is there and is no directory; move it away, or correct \`dir\`" ;;
    foreign) refuse state "$dir is there and belongs to $(owner_of "$dir"); wanted: $user may write there. What is there is not given to others by this; root can: chown $user: $dir" ;;
    esac
    case $(way) in
    self)
        if [ "$(id -u)" = 0 ]; then
            make_said=$(install -d -o "$user" -g "$group" -- "$dir" 2>&1)
        else
            make_said=$(mkdir -p -- "$dir" 2>&1)
        fi
        ;;
    *) make_said=$(sudo -n install -d -o "$user" -g "$group" -- "$dir" 2>&1) ;;
    esac
    [ "$(dir_state)" = ok ] || refuse io "$dir could not be made: $(printf '%s\n' "${make_said:-no word}" | tail_line); as root: install -d -o $user -g $group -- $dir"
    report "say made $dir for $user"
}

case $act in
look) do_look ;;
make) do_make ;;
esac
finish
