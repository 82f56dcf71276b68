#!/bin/sh
# SPDX-License-Identifier: MIT
# The completion files are understood by the shells that they are for.
cd "$(dirname "$0")/../.." || exit 1
bash -n completion/release.bash || exit 1
command -v zsh >/dev/null || {
    echo "zsh is not installed: its completion was not looked at"
    exit 77
}
zsh -n completion/_release
