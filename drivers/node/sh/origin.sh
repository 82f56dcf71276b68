# SPDX-License-Identifier: MIT
# Which release does a process come from? Out of /proc; `layout` and `dir` are the caller's.
# The directory as the kernel calls it.
origin_of_dir() {
    real=$(cd "$dir" 2>/dev/null && pwd -P) || real=$dir
}

# All that shows where a process comes from, the surest first: "HOW TEXT" lines.
traces() {
    printf 'cwd %s\n' "$(readlink "/proc/$1/cwd" 2>/dev/null)"
    printf 'exe %s\n' "$(readlink "/proc/$1/exe" 2>/dev/null)"
    tr '\0\n' '\n ' <"/proc/$1/cmdline" 2>/dev/null | sed 's/^/command /'
    # shellcheck disable=SC2012
    ls -l "/proc/$1/fd" 2>/dev/null | sed -n 's|^.* -> /|files /|p'
    awk '$6 ~ /^\// { $1 = $2 = $3 = $4 = $5 = ""; sub(/^ */, ""); print "maps " $0 }' "/proc/$1/maps" 2>/dev/null
}
# origin PID: "HOW NAME" of the release directory that the process comes from ("current" through the link, "." for a
# checkout); nothing when none of its traces leads there.
origin() {
    traces "$1" | layout=$layout dir=$dir real=$real awk '
        # The path below root in text that begins with a name of ours; "" when there is none.
        function below(root, text,    i, from, end) {
            from = 1
            while ((i = index(substr(text, from), root)) > 0) {
                i += from - 1
                end = substr(text, i + length(root), 1)
                if ((i == 1 || substr(text, i - 1, 1) !~ /[A-Za-z0-9._\/-]/) && end !~ /[A-Za-z0-9._-]/)
                    return "/" substr(text, i + length(root) + 1)
                from = i + length(root)
            }
            return ""
        }
        function first(path) {
            sub(/^\//, "", path)
            sub(/[\/:;,"'"'"' ].*/, "", path)
            return path
        }
        {
            how = $1
            text = substr($0, length(how) + 2)
            for (i = 1; i <= 2; i++) {
                root = i == 1 ? ENVIRON["real"] : ENVIRON["dir"]
                if (ENVIRON["layout"] != "releases") {
                    path = below(root, text)
                    if (path == "" || path ~ /^\/\.git(\/|$)/)
                        continue
                    print how, "."
                    exit
                }
                name = first(below(root "/releases", text))
                if (name == "" && how == "command" && below(root "/current", text) != "")
                    name = "current"
                if (name != "") {
                    print how, name
                    exit
                }
            }
        }'
}
