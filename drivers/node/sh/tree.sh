# SPDX-License-Identifier: MIT
# needs: lib gitlib builtlib
# Around a step that may change a checkout (drivers/node/sh/guardlib.sh runs it): what others had changed is noted before, what the
# step left behind it.
#   ACT DIR
act=$1 dir=$2
git_in "$dir"
[ -n "$git_dir" ] && cd "$dir" || exit 0
umask 077

write_record() { # NAME; the rest on stdin
    { printf 'rev %s\n' "$(g --git-dir="$git_dir" rev-parse -q --verify 'HEAD^{commit}')" && cat; } >"$git_dir/$1.new" &&
        mv -f "$git_dir/$1.new" "$git_dir/$1" && return
    echo "release: cannot write $git_dir/$1: the next release will take what this step changes for changed by hand" >&2
}
# One that was cut short knows better what was there before: what it left is ours.
begin() {
    record_holds "$git_dir/release-building" "$git_dir" ||
        touched_files "$git_dir" "$dir" | not_ours "$git_dir" "$dir" | write_record release-building
}
end() {
    record_holds "$git_dir/release-building" "$git_dir" || exit 0
    touched_files "$git_dir" "$dir" | grep -vxF -f "$git_dir/release-building" | while IFS= read -r end_name; do
        end_mark=$(mark_of "$end_name")
        [ -z "$end_mark" ] || printf '%s %s\n' "$end_mark" "$end_name"
    done | write_record release-built
    rm -f "$git_dir/release-building"
}

case $act in
begin) begin ;;
end) end ;;
esac
