# The environment variable FALPROXY_SOURCE names a checkout or an unpacked release. A port in a registry would have
# vcpkg_from_github() here instead, with the tag of a release and its hash.
if(NOT DEFINED ENV{FALPROXY_SOURCE})
  message(FATAL_ERROR "Set FALPROXY_SOURCE to the sources of falproxy, and VCPKG_KEEP_ENV_VARS=FALPROXY_SOURCE")
endif()
set(SOURCE_PATH "$ENV{FALPROXY_SOURCE}")

vcpkg_check_features(OUT_FEATURE_OPTIONS parts
  FEATURES
    http FALPROXY_HTTP
    png FALPROXY_PNG
    sqlite FALPROXY_SQLITE
    testing FALPROXY_TESTING)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    ${parts}
    -DFALPROXY_INSTALL=ON
    -DFALPROXY_PROGRAMS=OFF
    -DFALPROXY_DEMO=OFF
    -DFALPROXY_EXAMPLES=OFF
    -DFALPROXY_TESTS=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/falproxy)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
