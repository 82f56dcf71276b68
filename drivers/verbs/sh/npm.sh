# SPDX-License-Identifier: MIT
# needs: guardlib
# npm packages of the current directory, by the lock file where there is one.
#   ACT BUILT_DIR REV OFFLINE TREE_SCRIPT TREE
act=$1 built_dir=$2 rev=$3 offline=$4 tree_script=$5 tree=$6

# What the installed packages were made of: written into node_modules after npm ended well, so it goes with them.
recipe() {
    cat package.json package-lock.json npm-shrinkwrap.json 2>/dev/null | sha256sum | cut -d ' ' -f 1
}
is_installed() {
    [ -d node_modules ] && { read -r installed_recipe <node_modules/.release-installed; } 2>/dev/null &&
        [ "$installed_recipe" = "$(recipe)" ]
}
if [ "$act" = installed ]; then
    { read -r built_word built_rev <"${built_dir:-/nonexistent}/.release-complete"; } 2>/dev/null &&
        [ "$built_rev" = "$rev" ] && exit 0
    is_installed || exit 75
    exit 0
fi
already_built "$built_dir" "$rev"
[ -f package.json ] || { echo "there is no package.json in $PWD" >&2; exit 66; }
! is_installed || skip 'the installed packages are those of the lock file'
command -v npm >/dev/null || { echo 'npm is not installed there' >&2; exit 127; }
npm_words='--no-audit --no-fund'
[ "$offline" != yes ] || npm_words="$npm_words --offline"
install_all() {
    if [ -f package-lock.json ] || [ -f npm-shrinkwrap.json ]; then
        # shellcheck disable=SC2086
        npm ci $npm_words || return
    else
        # shellcheck disable=SC2086
        npm install $npm_words || return
    fi
    mkdir -p node_modules && recipe >node_modules/.release-installed
}
in_checkout "$tree_script" "$tree" install_all
