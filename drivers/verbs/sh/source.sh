# SPDX-License-Identifier: MIT
# needs: lib gitlib mirrorlib
# On the controller: a file or directory that was built elsewhere becomes a commit of the mirror KEY, so that all that brings, keeps,
# checks and takes back commits does so with it. The commit is made of the content, the name and the digest alone: the same bytes
# are the same commit wherever they are read.
#   known KEY REPO SECONDS NAME SHA256 STRIP     "known", or "place FILE" where to put what is fetched
#   import KEY REPO SECONDS NAME SHA256 STRIP FILE
# SHA256: 64 hex digits that the file must have; empty: any. STRIP: as tar's --strip-components.
act=$1 key=$2 repo=$3 seconds=$4 name=$5 sha256=$6 strip=$7 file=${8:-}

# Was just this read before, under this name?
is_known() {
    g --git-dir="$git_dir" log -1 --format=%B "refs/tags/$name" -- 2>/dev/null | grep -qx "sha256 $1 strip $strip"
}
unpack() {
    unpack_to=$work/tree
    mkdir "$unpack_to"
    if [ -d "$file" ]; then
        unpack_to=$(cd "$file" && pwd -P) || refuse auth "cannot go into $file as $(id -un)"
    elif unpack_out=$(tar -xf "$file" -C "$unpack_to" --strip-components="$strip" --no-same-owner 2>&1); then
        :
    elif [ "$(head -c 2 "$file")" = PK ]; then
        [ "$strip" = 0 ] || refuse config "$file is a zip archive, and \`strip\` is for tar"
        command -v unzip >/dev/null || refuse not-found "$file is a zip archive, and unzip is not installed on this machine"
        unpack_out=$(unzip -q "$file" -d "$unpack_to" 2>&1 </dev/null) || refuse refused "cannot unpack $file: $(printf '%s\n' "$unpack_out" | tail_line)"
    else
        refuse refused "cannot unpack $file: $(printf '%s\n' "$unpack_out" | tail_line)"
    fi
    unpack_out=$(find "$unpack_to" 2>&1 >/dev/null) || refuse auth "cannot read all of $file: $(printf '%s\n' "$unpack_out" | tail_line)"
    [ -n "$(find "$unpack_to" -mindepth 1 -print -quit)" ] || refuse refused "$file holds nothing$([ "$strip" = 0 ] || echo " below the first $strip directories (strip)")"
}
# What git does not keep is not lost silently.
want_plain() {
    plain_odd=$(find "$unpack_to" -name '*
*' -print -quit)
    [ -z "$plain_odd" ] || refuse refused "a name in $file holds a line feed"
    plain_odd=$(find "$unpack_to" -name .git -print -quit)
    [ -z "$plain_odd" ] || refuse refused "$file holds ${plain_odd#"$unpack_to/"}, a repository of its own: build the archive without it"
    plain_odd=$(find "$unpack_to" ! -type f ! -type d ! -type l -print -quit)
    [ -z "$plain_odd" ] || refuse refused "$file holds ${plain_odd#"$unpack_to/"}, which is neither file, directory nor symbolic link"
    plain_odd=$(find "$unpack_to" -type f -perm /6000 -print -quit)
    [ -z "$plain_odd" ] || refuse refused "$file holds ${plain_odd#"$unpack_to/"} with a set-user-ID or set-group-ID bit, which does not reach the nodes"
    plain_odd=$(find "$unpack_to" -mindepth 1 -type d -empty -printf '%P\n' | sort)
    [ -z "$plain_odd" ] || report "say $(printf '%s\n' "$plain_odd" | wc -l) empty directories are not brought (let a build step make them): $(printf '%s\n' "$plain_odd" | head -n 5 | tr '\n' ' ')"
}
# "MODE OBJECT\tNAME" of everything, NUL-ended. Contents are taken as they are, whatever .gitattributes among them say.
entries() {
    cd "$unpack_to" || return
    find . -type f -printf '%P\n' | sort >"$work/files"
    find . -type f -perm -u+x -printf '%P\n' | sort >"$work/programs"
    # A name that begins with a quote would be read as a quoted one.
    sed 's|^|./|' "$work/files" | w hash-object -w --no-filters --stdin-paths >"$work/objects" || return
    awk -v programs="$work/programs" -v objects="$work/objects" '
        BEGIN { while ((getline one <programs) > 0) runs[one] = 1 }
        { getline object <objects; printf "%s %s\t%s%c", ($0 in runs) ? "100755" : "100644", object, $0, 0 }' "$work/files"
    find . -type l -printf '%P\n' | sort | while IFS= read -r entry_link; do
        entry_object=$(find "./$entry_link" -printf %l | w hash-object -w --stdin) || exit
        printf '120000 %s\t%s\0' "$entry_object" "$entry_link"
    done
}
# git with an index of its own, whose new objects go aside and in one pack to the mirror.
w() {
    (
        export GIT_INDEX_FILE="$work/index" GIT_OBJECT_DIRECTORY="$work/objects.git" GIT_ALTERNATE_OBJECT_DIRECTORIES="$git_dir/objects"
        g -c core.fsync=none --git-dir="$git_dir" "$@"
    )
}
commit_of() {
    entries >"$work/entries" && w update-index -z --index-info <"$work/entries" || return
    commit_tree=$(w write-tree) || return
    commit_date=$(find "$unpack_to" ! -type d -printf '%T@\n' | sort -n | tail -n 1)
    commit_date=${commit_date%%.*}
    # Reproducible archives say 0 or 1, which git takes for seconds only behind an @; what is before 1970 it does not know at all.
    case $commit_date in '' | -*) commit_date=0 ;; esac
    export GIT_AUTHOR_NAME=release GIT_AUTHOR_EMAIL=artifact GIT_AUTHOR_DATE="@$commit_date +0000"
    export GIT_COMMITTER_NAME=release GIT_COMMITTER_EMAIL=artifact GIT_COMMITTER_DATE="$GIT_AUTHOR_DATE"
    printf '%s\n\nsha256 %s strip %s\n' "$file_name" "$1" "$strip" | w commit-tree "$commit_tree"
}
# An own file's name is the artifact's; what was fetched has a name that says nothing.
do_import() {
    file_name=${repo##*/}
    file_name=$(printf '%s' "$file_name" | awk -v name="$name" '{ while ((at = index($0, "{rev}")) > 0) $0 = substr($0, 1, at - 1) name substr($0, at + 5); print }')
    [ -e "$file" ] || refuse not-found "there is no $file on this machine (source: artifact)"
    import_sum=directory
    if [ -d "$file" ]; then
        [ -z "$sha256" ] || refuse config "$file is a directory, which has no SHA-256; pack it, or leave \`sha256\` out"
    else
        [ -r "$file" ] || refuse auth "cannot read $file as $(id -un)"
        import_sum=$(sha256sum <"$file") && import_sum=${import_sum%% *}
        [ -z "$sha256" ] || [ "$sha256" = "$import_sum" ] || refuse protocol "$file_name has SHA-256 $import_sum, wanted $sha256; nothing of it was used"
        ! is_known "$import_sum" || return 0
    fi
    work=$(mktemp -d "$mirror_base/$key.work.XXXXXX") || refuse io "cannot make a directory in $mirror_base"
    trap 'chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"' EXIT
    mkdir "$work/objects.git"
    unpack
    want_plain
    import_was=$(g --git-dir="$git_dir" rev-parse -q --verify "refs/tags/$name^{commit}" 2>/dev/null)
    import_commit=$(commit_of "$import_sum" 2>"$work/said") || git_failed "$(cat "$work/said")" "cannot keep $file_name"
    find "$work/objects.git" -type f -path '*/[0-9a-f][0-9a-f]/*' -printf '%P\n' | tr -d / | w pack-objects -q --stdout >"$work/pack" 2>"$work/said" &&
        g --git-dir="$git_dir" index-pack --stdin <"$work/pack" >"$work/said" 2>&1 &&
        g --git-dir="$git_dir" update-ref "refs/tags/$name" "$import_commit" >"$work/said" 2>&1 || git_failed "$(cat "$work/said")" "cannot keep $file_name"
    # The name may move on; what was released stays.
    g --git-dir="$git_dir" update-ref "refs/release/$import_commit" "$import_commit"
    [ -z "$import_was" ] || [ "$import_was" = "$import_commit" ] ||
        report "say $file_name is not the one that had this name before: it was $(printf %.12s "$import_was"), it is $(printf %.12s "$import_commit")"
}

mirror "$key" "$repo" "$seconds" 'source: {resolve_timeout: 10m}'
find "$mirror_base" -maxdepth 1 \( -name "$key.fetched.*" -o -name "$key.work.*" \) -mtime +1 -exec rm -rf {} +
case $act in
known)
    if [ -n "$sha256" ] && is_known "$sha256"; then
        report known
    else
        known_place=$(mktemp "$mirror_base/$key.fetched.XXXXXX") || refuse io "cannot make a file in $mirror_base"
        report "place $known_place"
    fi
    ;;
import)
    do_import
    case $file in "$mirror_base/$key.fetched."*) rm -f "$file" ;; esac
    ;;
esac
finish
