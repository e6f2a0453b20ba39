# What `cmake --install` puts where, and how other projects find it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/falproxy)

# Each part has an export set of its own, so that the pure library is found without OpenSSL or libpng.
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

configure_package_config_file(cmake/falproxyConfig.cmake.in ${PROJECT_BINARY_DIR}/falproxyConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/falproxyConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/falproxyConfig.cmake ${PROJECT_BINARY_DIR}/falproxyConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT development)

if(TARGET falproxy_program)
  install(TARGETS falproxy_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
  install(FILES ${PROJECT_SOURCE_DIR}/deploy/falproxy.service DESTINATION lib/systemd/system COMPONENT programs)
  install(FILES ${PROJECT_SOURCE_DIR}/deploy/falproxy.sysusers DESTINATION lib/sysusers.d RENAME falproxy.conf
    COMPONENT programs)
  install(FILES ${PROJECT_SOURCE_DIR}/.env.example ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/LICENSE
    ${PROJECT_SOURCE_DIR}/deploy/compose.yaml
    DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)
endif()
