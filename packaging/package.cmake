# SPDX-License-Identifier: MIT
# The Debian package: ninja, then cpack -G DEB in the build folder. What only the package has (unit, user, configuration)
# is the component "service", which a plain `cmake --install` leaves out: it would have to guess who runs the server.
# Its changelog is the newest part of CHANGELOG.md: one list item an entry, dated by the commit.
file(READ CHANGELOG.md text)
string(REGEX REPLACE "^.*\n## Unreleased[^\n]*\n|\n## v.*$" "" text "${text}")
string(REGEX REPLACE "\n#+ [^\n]*|\nThe first version[^\n]*" "" text "\n${text}")
string(REGEX REPLACE "\n\n+" "\n" text "${text}")
string(REGEX REPLACE "\n- " "\n  * " text "${text}")
string(REGEX REPLACE "\n  ([^ *])" "\n    \\1" text "${text}")
string(STRIP "${text}" text)
file(WRITE ${PROJECT_BINARY_DIR}/packaging/changes "  ${text}\n")
execute_process(COMMAND fold -s -w 74 ${PROJECT_BINARY_DIR}/packaging/changes COMMAND sed "s/^[^ ]/    &/; s/ *$//"
    OUTPUT_VARIABLE CHANGES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} log -1 --format=%cD OUTPUT_VARIABLE DATE OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT DATE)
    set(DATE "Sat, 21 Nov 2026 00:00:00 +0000")
endif()
configure_file(packaging/changelog.in packaging/changelog @ONLY)
set(service COMPONENT service EXCLUDE_FROM_ALL)
set(read_by_group OWNER_READ OWNER_WRITE GROUP_READ)
set(entered_by_group OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE)
install(FILES packaging/release.service DESTINATION /usr/lib/systemd/system ${service})
install(FILES packaging/release.sysusers DESTINATION /usr/lib/sysusers.d RENAME release.conf ${service})
install(DIRECTORY DESTINATION /etc/release DIRECTORY_PERMISSIONS ${entered_by_group} ${service})
install(DIRECTORY DESTINATION /etc/release/pillar DIRECTORY_PERMISSIONS ${entered_by_group} ${service})
install(DIRECTORY DESTINATION /etc/release/plans DIRECTORY_PERMISSIONS ${entered_by_group} ${service})
install(FILES packaging/serve.yml DESTINATION /etc/release PERMISSIONS ${read_by_group} ${service})
# No secret, and read by the server's user also where an upgrade brings it.
install(FILES packaging/release.yml DESTINATION /etc/release
    PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ ${service})
# The books lie as they do in the source, so that their links lead to where they say.
file(GLOB pages CONFIGURE_DEPENDS docs/*.md docs/*.png)
install(FILES ${pages} DESTINATION /usr/share/doc/release/docs ${service})
install(FILES README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md packaging/copyright ${PROJECT_BINARY_DIR}/packaging/changelog
    DESTINATION /usr/share/doc/release ${service})
install(DIRECTORY docs/chatops docs/examples USE_SOURCE_PERMISSIONS DESTINATION /usr/share/doc/release/docs ${service})
install(FILES packaging/lintian-overrides DESTINATION /usr/share/lintian/overrides RENAME release ${service})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME release)
set(CPACK_PACKAGE_VERSION ${RELEASE_VERSION})
set(CPACK_PACKAGE_CONTACT "the release authors <release@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "rolling releases to ordinary servers, without one failed request")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "Brings a new revision of an application to a fleet of ordinary servers behind
HAProxy, Varnish, nginx, Apache, NetScaler or AWS's load balancers, a few at a
time. It waits until a server is idle, checks it before it serves again, can
always say where it stands, go on after an interruption, or go back.
.
It needs no agent on the servers: SSH, a POSIX shell and git are enough there.
For teams there are a page, an API and chat commands.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_CMAKE_PROJECTS "${PROJECT_BINARY_DIR};release;Unspecified;/" "${PROJECT_BINARY_DIR};release;service;/")
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/packaging/prepare.cmake)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# git resolves revisions on this host; the openssh transport and ProxyJump use ssh.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "git, openssh-client, systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "gnupg, nginx, haproxy")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/postinst ${PROJECT_SOURCE_DIR}/packaging/prerm
    ${PROJECT_SOURCE_DIR}/packaging/postrm ${PROJECT_SOURCE_DIR}/packaging/conffiles)
include(CPack)
