# SPDX-License-Identifier: MIT
# The Debian package: ninja, then cpack -G DEB in the build folder. What only the package has (unit, user, configuration)
# is the component "service", which a plain `cmake --install` leaves out: it would have to guess who runs the server.
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
file(GLOB pages CONFIGURE_DEPENDS docs/*.md)
install(FILES ${pages} README.md CHANGELOG.md SECURITY.md packaging/copyright ${PROJECT_BINARY_DIR}/packaging/changelog
    DESTINATION /usr/share/doc/release ${service})
install(DIRECTORY docs/chatops docs/examples USE_SOURCE_PERMISSIONS DESTINATION /usr/share/doc/release ${service})
install(FILES packaging/lintian-overrides DESTINATION /usr/share/lintian/overrides RENAME release ${service})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME release)
set(CPACK_PACKAGE_VERSION ${RELEASE_VERSION})
set(CPACK_PACKAGE_CONTACT "the release authors <release@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "rolling releases to ordinary servers, without one failed request")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "Brings a new revision of an application to a fleet of servers behind HAProxy or
Varnish, a few at a time; can always say where it stands, go on after an
interruption, or go back. With a page, an API and chat commands for teams.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_CMAKE_PROJECTS "${PROJECT_BINARY_DIR};release;Unspecified;/" "${PROJECT_BINARY_DIR};release;service;/")
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/packaging/prepare.cmake)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# git resolves revisions on this host; the openssh transport and ProxyJump use ssh.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "git, openssh-client, systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "nginx, haproxy")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/postinst ${PROJECT_SOURCE_DIR}/packaging/prerm
    ${PROJECT_SOURCE_DIR}/packaging/postrm ${PROJECT_SOURCE_DIR}/packaging/conffiles)
include(CPack)
