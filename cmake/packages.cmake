# Packages for Debian and Ubuntu: falproxy, falsim and libfalproxy-dev. cmake/package.sh makes them, of a build of everything.
foreach(needed falproxy_program falsim falproxy_http falproxy_png falproxy_sqlite falproxy_testing)
  if(NOT TARGET ${needed})
    return()
  endif()
endforeach()

set(debian ${PROJECT_SOURCE_DIR}/packaging/debian)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME falproxy)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
# Each package has a summary of its own.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# Who makes packages for others puts a name here.
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The falproxy authors <falproxy@users.noreply.github.com>" CACHE STRING
  "Who answers for the Debian packages")

# What is the same text in each package, but for its name. None of it is for a plain `cmake --install`.
add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/changelog.Debian.gz ${PROJECT_BINARY_DIR}/changelog.gz
  COMMAND gzip -9nc ${debian}/changelog >${PROJECT_BINARY_DIR}/changelog.Debian.gz
  COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md >${PROJECT_BINARY_DIR}/changelog.gz
  DEPENDS ${debian}/changelog ${PROJECT_SOURCE_DIR}/CHANGELOG.md)
add_custom_target(falproxy_changelogs ALL DEPENDS ${PROJECT_BINARY_DIR}/changelog.Debian.gz)

# falproxy_debian_package(name components section summary text): a package of these install components.
function(falproxy_debian_package name components section summary text)
  install(FILES ${debian}/copyright ${PROJECT_BINARY_DIR}/changelog.Debian.gz ${PROJECT_BINARY_DIR}/changelog.gz
    DESTINATION share/doc/${name} COMPONENT debian-${name} EXCLUDE_FROM_ALL)
  install(FILES ${debian}/lintian-overrides DESTINATION share/lintian/overrides RENAME ${name}
    COMPONENT debian-${name} EXCLUDE_FROM_ALL)
  string(TOUPPER ${name} group)
  foreach(component ${components} debian-${name})
    string(TOUPPER ${component} upper)
    set(CPACK_COMPONENT_${upper}_GROUP ${name} PARENT_SCOPE)
  endforeach()
  set(CPACK_DEBIAN_${group}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${group}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_DEBIAN_${group}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  set(CPACK_COMPONENTS_ALL ${CPACK_COMPONENTS_ALL} ${components} debian-${name} PARENT_SCOPE)
endfunction()

unset(CPACK_COMPONENTS_ALL)
falproxy_debian_package(falproxy programs net "OpenAI's APIs in front of fal.ai's models"
  "A small server from which any OpenAI client gets pictures, videos, speech and\ntranscripts. What a model takes is read from its live document; a model is a\nline of configuration.")
install(FILES ${PROJECT_SOURCE_DIR}/.env.example DESTINATION /etc/falproxy RENAME falproxy.env
  COMPONENT debian-falproxy EXCLUDE_FROM_ALL)
set(CPACK_DEBIAN_FALPROXY_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FALPROXY_PACKAGE_DEPENDS "ca-certificates, systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_FALPROXY_PACKAGE_SUGGESTS falsim)
set(CPACK_DEBIAN_FALPROXY_PACKAGE_CONTROL_EXTRA
  ${debian}/conffiles ${debian}/postinst ${debian}/prerm ${debian}/postrm)

falproxy_debian_package(falsim falsim devel "stand-in for fal.ai, for tests"
  "Plays fal.ai's queue, documents, storage and media on this machine, with real\npictures and with faults on demand. No account is needed.")
set(CPACK_DEBIAN_FALSIM_PACKAGE_SHLIBDEPS ON)

falproxy_debian_package(libfalproxy-dev development libdevel "C++20 library that maps OpenAI requests onto fal.ai"
  "Headers and static libraries: the pure mapping of requests for pictures,\nvideos and sound, and beside it transport, masks, records of runs and a fal.ai\nfor tests. For CMake (find_package) and pkg-config.")
# What the components http, png and sqlite link with.
set(CPACK_DEBIAN_LIBFALPROXY-DEV_PACKAGE_DEPENDS "libssl-dev, libpng-dev, libsqlite3-dev")
set(CPACK_DEBIAN_LIBFALPROXY-DEV_PACKAGE_SUGGESTS "cmake, pkg-config, falsim")

include(CPack)
