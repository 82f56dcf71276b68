# SPDX-License-Identifier: MIT
# Runs between staging and packing (CPACK_PRE_BUILD_SCRIPTS): Debian wants manual pages and changelogs compressed, without
# name and time in them, so that the same source gives the same bytes.
file(GLOB_RECURSE pages ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*.1 ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/changelog)
foreach(page IN LISTS pages)
    execute_process(COMMAND gzip -9nf ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
