# SPDX-License-Identifier: MIT
# needs: lib
# LVS on its director: the kernel's table of virtual services, by ipvsadm.
#   look OPEN IPVSADM...                                  the whole table; OPEN yes: what runs on each real server, too
#   put OPTION SERVICE SIX SERVER WEIGHT IPVSADM...       the weight of one real server, all else of it as it is
#   may OPTION SERVICE SIX IPVSADM...                     may it be changed? Tried on a real server that cannot be there
# OPTION SERVICE SIX: as ipvsadm has them: -t 10.0.0.1:80 "", -f 1 -6.
act=$1
shift

# The line that says it: modprobe, which ipvsadm tries first, may have complained before.
words_of() {
    printf '%s\n' "$1" | sed -n '/^modprobe:/d; /./{p;q;}'
}
# IPVSADM...: one look.
table() {
    table_err=$("$@" 3>&1 >&4 2>&3 3>&-) || cannot_tell state "\"$*\" says: $(words_of "${table_err:-nothing}")"
}
exec 4>&1

look() {
    look_open=$1
    shift
    report "quiescent $(cat /proc/sys/net/ipv4/vs/expire_quiescent_template 2>/dev/null || echo -)"
    # In one reading: a connection that goes from one state to the next meanwhile is in one of them.
    [ "$look_open" = no ] || "$@" -L -n -c 2>/dev/null | awk '
        BEGIN { split("ESTABLISHED SYN_SENT SYN_RECV SYNACK CLOSE_WAIT UDP", words); for (i in words) open[words[i]] = 1 }
        !state && $1 == "pro" { for (i = 1; i <= NF; i++) { if ($i == "state") state = i; if ($i == "destination") to = i } next }
        state && to && ($state in open) { n[$to]++ }
        END { for (server in n) print "open", server, n[server]; exit state && to ? 0 : 3 }' ||
        cannot_tell state "\"$* -L -n -c\" does not list connections"
    report list
    table "$@" -L -n --persistent-conn
}

# As `ipvsadm -S` would restore it, but for thresholds, which it leaves out: without these words an edit would make the real server
# something else (masquerading becomes direct routing).
rule_of() {
    printf '%s\n' "$saved" | RELEASE_OPTION=$1 RELEASE_SERVICE=$2 RELEASE_SIX=$3 RELEASE_SERVER=$4 RELEASE_WEIGHT=$5 awk '
        $1 == "-a" && $2 == ENVIRON["RELEASE_OPTION"] && $3 == ENVIRON["RELEASE_SERVICE"] {
            rule = "-e"; here = 0; six = ""
            for (i = 2; i <= NF; i++) {
                if ($i == "-6") six = "-6"
                if ($(i - 1) == "-r" && $i == ENVIRON["RELEASE_SERVER"]) here = 1
                rule = rule " " ($(i - 1) == "-w" ? ENVIRON["RELEASE_WEIGHT"] : $i)
            }
            if (here && six == ENVIRON["RELEASE_SIX"]) { found++; print rule }
        }
        END { exit found == 1 ? 0 : 3 }'
}
thresholds_of() {
    printf '%s\n' "$limits" | RELEASE_OPTION=$1 RELEASE_SERVICE=$2 RELEASE_SIX=$3 RELEASE_SERVER=$4 awk '
        BEGIN { name["TCP"] = "-t"; name["UDP"] = "-u"; name["FWM"] = "-f" }
        $1 == "Prot" { for (i = 1; i <= NF; i++) { if ($i == "Uthreshold") up = i; if ($i == "Lthreshold") low = i } next }
        $1 != "->" { here = name[$1] == ENVIRON["RELEASE_OPTION"] && $2 == ENVIRON["RELEASE_SERVICE"] &&
                            ($3 == "IPv6" && $1 == "FWM") == (ENVIRON["RELEASE_SIX"] != "" && $1 == "FWM") }
        $1 == "->" && here && $2 == ENVIRON["RELEASE_SERVER"] {
            found++
            if ($up + 0 > 0) printf " -x %d", $up
            if ($low + 0 > 0) printf " -y %d", $low
        }
        END { exit up && low && found == 1 ? 0 : 3 }'
}

put() {
    put_option=$1 put_service=$2 put_six=$3 put_server=$4 put_weight=$5
    shift 5
    saved=$("$@" -S -n 2>&1) || refuse refused "before anything was changed, \"$* -S -n\" says: $(words_of "$saved")"
    limits=$("$@" -L -n --thresholds 2>&1) || refuse refused "before anything was changed, \"$* -L -n --thresholds\" says: $(words_of "$limits")"
    rule=$(rule_of "$put_option" "$put_service" "$put_six" "$put_server" "$put_weight") &&
        rule=$rule$(thresholds_of "$put_option" "$put_service" "$put_six" "$put_server") ||
        refuse state "$put_service has not exactly one real server $put_server any more"
    set -f
    # shellcheck disable=SC2086
    said=$("$@" $rule 2>&1) || refuse refused "\"$* $rule\" says: $(words_of "$said")"
}

may() {
    may_option=$1 may_service=$2 may_six=$3 may_server=192.0.2.1:9
    shift 3
    case $may_six$may_service in -6* | '['*) may_server='[100::1]:9' ;; esac
    set -f
    # shellcheck disable=SC2086
    said=$("$@" -e "$may_option" "$may_service" $may_six -r "$may_server" -w 0 2>&1) && return
    case $said in
    *"No such destination"* | *"Service not defined"*) ;; # it was let in; what services there are is read elsewhere
    *) refuse auth "$(id -un) may not change it: \"$* -e $may_option $may_service${may_six:+ }$may_six -r $may_server -w 0\" says: $(words_of "$said")" ;;
    esac
}

"$act" "$@"
