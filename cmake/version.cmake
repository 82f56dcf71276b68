# SPDX-License-Identifier: MIT
# The version that `release --version` and the package have: VERSION alone, or with what git says of the checkout behind it
# (0.1.0+12.g02abd14; ".dirty" for edits that no commit has). Commits are counted from the tag v<VERSION> where there is one, so
# that later packages have higher versions. A tree without git, one inside somebody else's repository, or one that git refuses
# to read for this user has VERSION alone.
# Included it is a function; as a script it writes a header, only when that changes:
#   cmake -DSOURCE=... -DVERSION=... -DOUT=... -P cmake/version.cmake
function(release_git variable source)
    execute_process(COMMAND git --no-optional-locks -C ${source} ${ARGN} OUTPUT_VARIABLE out RESULT_VARIABLE status ERROR_QUIET
        OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT status STREQUAL "0")
        set(out "")
    endif()
    set(${variable} "${out}" PARENT_SCOPE)
endfunction()

function(release_version ret source version)
    set(${ret} ${version} PARENT_SCOPE)
    if(NOT EXISTS ${source}/.git)
        return()
    endif()
    release_git(commit ${source} rev-parse --verify --short=7 HEAD)
    if(NOT commit)
        return()
    endif()
    release_git(tag ${source} rev-parse --verify --quiet "refs/tags/v${version}^{commit}")
    set(range HEAD)
    if(tag)
        set(range ${tag}..HEAD)
    endif()
    release_git(count ${source} rev-list --count ${range})
    release_git(edits ${source} status --porcelain --untracked-files=no)
    set(more "")
    if(count)
        list(APPEND more ${count} g${commit})
    endif()
    if(edits)
        list(APPEND more dirty)
    endif()
    if(more)
        list(JOIN more "." more)
        set(${ret} ${version}+${more} PARENT_SCOPE)
    endif()
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
    cmake_minimum_required(VERSION 3.25)
    release_version(text ${SOURCE} ${VERSION})
    file(CONFIGURE OUTPUT ${OUT} CONTENT "#define RELEASE_VERSION \"@text@\"\n" @ONLY)
endif()
