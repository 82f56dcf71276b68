# SPDX-License-Identifier: MIT
# Common to every node script. stdout is a report, one "word rest" line each, read by drivers/node/report.c (status 75: not ready yet):
#   fact NAME VALUE | say TEXT | changed no | ready no | refuse CODE TEXT | unknown CODE TEXT
# What tools print goes to stderr. Data arrive as "$1"..; nothing is ever spliced into this text.
LC_ALL=C
export LC_ALL
umask 022

report() {
    printf '%s\n' "$*"
}
# Not as wanted yet. The status keeps the runner from taking this attempt for the finished step.
not_ready=''
wait_more() {
    not_ready=yes
    [ -z "$*" ] || printf 'say %s\n' "$*"
}
finish() {
    [ -n "$not_ready" ] || exit 0
    printf 'ready no\n'
    exit 75
}
refuse() {
    printf 'refuse %s\n' "$*"
    exit 65
}
cannot_tell() {
    printf 'unknown %s\n' "$*"
    exit 69
}
# The last lines of a text, on one line. What is too much goes at the front: the last line of a traceback says it.
tail_line() {
    tail -n 5 | tr '\n' '|' | sed 's/|$//; s/|/ | /g' | awk '
        { text = text $0 }
        END { print (length(text) > 500 ? "..." substr(text, length(text) - 496) : text) }'
}
