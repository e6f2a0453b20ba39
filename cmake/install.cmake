# What `cmake --install` puts where, and how other projects find it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/falproxy)

# The .pc files say where things are from where they stand themselves: `cmake --install --prefix` and a tree that is moved
# need no other text.
file(RELATIVE_PATH to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH to_libdir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH to_includedir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})

# Each part has an export set of its own, so that the pure library is found without OpenSSL, libpng or SQLite.
function(falproxy_install_part target export_set pc_name)
  if(NOT TARGET ${target})
    return()
  endif()
  install(TARGETS ${target} EXPORT ${export_set} COMPONENT development
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT ${export_set} NAMESPACE falproxy:: DESTINATION ${package_dir} COMPONENT development)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${pc_name}.pc.in ${PROJECT_BINARY_DIR}/${pc_name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${pc_name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endfunction()

falproxy_install_part(falproxy falproxy-targets falproxy)
falproxy_install_part(falproxy_http falproxy-http-targets falproxy-http)
falproxy_install_part(falproxy_png falproxy-png-targets falproxy-png)
falproxy_install_part(falproxy_sqlite falproxy-sqlite-targets falproxy-sqlite)
falproxy_install_part(falproxy_testing falproxy-testing-targets falproxy-testing)

configure_package_config_file(cmake/falproxyConfig.cmake.in ${PROJECT_BINARY_DIR}/falproxyConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/falproxyConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/falproxyConfig.cmake ${PROJECT_BINARY_DIR}/falproxyConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT development)

# install_program(target component manual): a program, and its manual page if it could be asked for one.
function(falproxy_install_program target component manual)
  install(TARGETS ${target} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${component})
  if(NOT CMAKE_CROSSCOMPILING)
    install(FILES ${PROJECT_BINARY_DIR}/${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${component})
  endif()
endfunction()

if(TARGET falproxy_to_install)
  falproxy_install_program(falproxy_to_install programs falproxy.1.gz)
elseif(TARGET falproxy_program)
  falproxy_install_program(falproxy_program programs falproxy.1.gz)
endif()
if(TARGET falsim)
  falproxy_install_program(falsim falsim falsim.1.gz)
endif()

if(TARGET falproxy_program)
  # The unit names the program by its whole path, and only the installation knows its prefix.
  install(CODE "set(unit \"${PROJECT_SOURCE_DIR}/deploy/falproxy.service.in\")
    set(made \"${PROJECT_BINARY_DIR}/falproxy.service\")
    set(bindir \"${CMAKE_INSTALL_BINDIR}\")
    set(docdir \"${CMAKE_INSTALL_DOCDIR}\")" COMPONENT programs)
  install(CODE [[
    get_filename_component(prefix "${CMAKE_INSTALL_PREFIX}" ABSOLUTE)
    get_filename_component(bindir "${bindir}" ABSOLUTE BASE_DIR "${prefix}")
    get_filename_component(docdir "${docdir}" ABSOLUTE BASE_DIR "${prefix}")
    configure_file("${unit}" "${made}" @ONLY)]] COMPONENT programs)
  install(FILES ${PROJECT_BINARY_DIR}/falproxy.service DESTINATION lib/systemd/system COMPONENT programs)
  install(FILES ${PROJECT_SOURCE_DIR}/deploy/falproxy.sysusers DESTINATION lib/sysusers.d RENAME falproxy.conf
    COMPONENT programs)
  install(FILES ${PROJECT_SOURCE_DIR}/.env.example ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/deploy/compose.yaml
    ${PROJECT_SOURCE_DIR}/deploy/compose.cluster.yaml ${PROJECT_SOURCE_DIR}/deploy/nginx.cluster.conf
    DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs
    FILES_MATCHING PATTERN "*.md" PATTERN decisions EXCLUDE PATTERN images EXCLUDE)
endif()

# Apart from the others, since Debian keeps licences in a file of its own.
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT license)
