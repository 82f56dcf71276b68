# SPDX-License-Identifier: MIT
# Sourced by demo.sh and run.sh: installs what the given lists name and is not there. Calls apt for nothing else.

packages_missing() {
    cat "$@" | sed 's/#.*//' | while read -r name unless command; do
        [ -n "$name" ] || continue
        # From somewhere else than Debian it will do as well, and the two may not agree to stand side by side.
        [ "$unless" != unless ] || ! command -v "$command" >/dev/null || continue
        case $(dpkg-query -W -f='${Status}' "$name" 2>/dev/null) in
        'install ok installed') ;;
        *) echo "$name" ;;
        esac
    done
}

packages_install() {
    missing=$(packages_missing "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "missing packages: $missing" >&2
            echo "install them as root (apt-get install $missing), or install sudo, and start this again" >&2
            return 1
        }
        as_root=sudo
    fi
    echo "installing: $missing"
    # RUNLEVEL=1 keeps invoke-rc.d from starting the packages' own services: the tests use none of them.
    $as_root apt-get update -q </dev/null >/dev/null &&
        $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -q -y --no-install-recommends $missing </dev/null >/dev/null
}
