# SPDX-License-Identifier: MIT
# bash completion for release. Verbs and options are asked of the program itself, so they are always its own.

_release_root() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --root) printf '%s\n' "${COMP_WORDS[i + 1]}" && return ;;
        --root=*) printf '%s\n' "${COMP_WORDS[i]#--root=}" && return ;;
        esac
    done
    if [ -d pillar ]; then echo .; else echo /etc/release; fi
}

_release_envs() {
    local f
    for f in "$(_release_root)"/pillar/*.sls "$(_release_root)"/pillar/*.yml; do
        [ -e "$f" ] || continue
        f=${f##*/}
        f=${f%.*}
        [ "$f" = top ] || printf '%s\n' "$f"
    done
}

_release_plans() {
    local f
    printf '%s\n' rolling in-place restart reload
    for f in "$(_release_root)"/plans/*.yml; do
        [ -e "$f" ] && f=${f##*/} && printf '%s\n' "${f%.yml}"
    done
}

_release() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words=$("${COMP_WORDS[0]}" help 2>/dev/null | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$words help --help --version" -- "$cur")
        return
    fi
    case $prev in
    --root) mapfile -t COMPREPLY < <(compgen -d -- "$cur") && return ;;
    --state | --file) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return ;;
    --plan) mapfile -t COMPREPLY < <(compgen -W "$(_release_plans)" -- "$cur") && return ;;
    --rev)
        words=$(git for-each-ref --format='%(refname:short)' refs/heads refs/tags 2>/dev/null)
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
        ;;
    esac
    case $cur in
    -*)
        words=$("${COMP_WORDS[0]}" help "$verb" 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        ;;
    *)
        case $verb in
        help) words=$("${COMP_WORDS[0]}" help 2>/dev/null | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p') ;;
        task) words="$(_release_plans) $(_release_envs)" ;;
        *) words=$(_release_envs) ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        ;;
    esac
}
complete -F _release release
