# SPDX-License-Identifier: MIT
# needs: lib gitlib builtlib dirlib
# For preflight: what is deployed here, and is there room for more?
#   LAYOUT DIR SHARED...
layout=$1 dir=$2
shift 2

probe_releases() {
    report "fact repo_present $([ -d "$dir/repo.git" ] && echo yes || echo no)"
    if [ ! -e "$dir/current" ] && [ ! -L "$dir/current" ]; then
        report 'fact rev_before '
        report 'fact release.before '
        return 0
    fi
    [ -L "$dir/current" ] || refuse state "$dir/current is not a symbolic link; move it away, \`current\` belongs to release"
    probe_target=$(current_target)
    [ -d "$probe_target" ] || refuse state "$dir/current leads to $probe_target, which is not there; correct or remove the link"
    probe_rev=$(marker_rev "$probe_target") || refuse state "$dir/current leads to $probe_target, which has no .release-complete (nor a REVISION), so its revision cannot be named and nobody could go back to it; if you know it, write the line 'rev <40 digits>' into $probe_target/.release-complete"
    printf '%s\n' "$probe_rev" | grep -qxE '[0-9a-f]{40}' || refuse state "$probe_target/.release-complete does not name a revision of 40 hex digits"
    report "fact rev_before $probe_rev"
    report "fact release.before $probe_target"
    probe_old=$(inside "$dir/releases" | awk -v now="$probe_target" 'index($2, now) != 1 { printf "%s ", $1 }')
    report "fact other_pids ${probe_old% }"
}
probe_in_place() {
    report 'fact release.before '
    git_dir='' git_as=''
    [ ! -e "$dir" ] || git_in "$dir"
    [ -z "$git_as" ] || refuse config "$dir belongs to $git_as, and release would work there as $(id -un); give \`user: $git_as\`"
    report "fact repo_present $([ -n "$git_dir" ] && echo yes || echo no)"
    if [ -z "$git_dir" ]; then
        [ -z "$(ls -A "$dir" 2>/dev/null)" ] || refuse state "$dir is not empty, and git says of it: $git_why; move it away or correct \`dir\` and \`user\` ($(id -un) looked)"
        report 'fact rev_before '
        return 0
    fi
    [ ! -e "$git_dir/release-checkout" ] || report "say a checkout of $(cat "$git_dir/release-checkout") was cut short here; the next one overwrites it"
    report "fact rev_before $(g --git-dir="$git_dir" rev-parse -q --verify 'HEAD^{commit}' 2>/dev/null)"
    probe_dirty=$(changed_files "$git_dir" "$dir") || git_failed "$probe_dirty" "cannot compare $dir with its commit"
    [ -z "$probe_dirty" ] || probe_dirty=$(printf '%s\n' "$probe_dirty" | not_ours "$git_dir" "$dir")
    if [ -n "$probe_dirty" ]; then
        report "fact dirty $(printf '%s\n' "$probe_dirty" | wc -l)"
        report "fact dirty_files $(printf '%s\n' "$probe_dirty" | head -n 10 | tr '\n' ' ')"
    else
        report 'fact dirty 0'
    fi
}
probe_up=$dir
while [ ! -e "$probe_up" ] && [ -n "$probe_up" ]; do
    probe_up=${probe_up%/*}
done
[ -w "${probe_up:-/}" ] || refuse io "$(id -un) cannot write ${probe_up:-/}; give it to that user, or correct \`dir\` and \`user\`"
report "fact free_bytes $(df -Pk "${probe_up:-/}" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')"
report "fact free_inodes $(df -Pi "${probe_up:-/}" 2>/dev/null | awk 'NR == 2 { print $4 }')"
if [ "$layout" = releases ]; then
    probe_n=0
    for probe_one in "$@"; do
        probe_trouble=$(shared_trouble "$probe_one" | head -n 1)
        [ -z "$probe_trouble" ] || report "fact shared.$probe_n $probe_trouble"
        probe_n=$((probe_n + 1))
    done
    probe_releases
else
    probe_in_place
fi
finish
