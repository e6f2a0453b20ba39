# What a shared library of ours (BUILD_SHARED_LIBS=ON) needs beside a static one: a SONAME, and no symbol that no public header
# declares. The headers say so themselves: they are read first and visible, and all that comes after them is hidden. What is
# exported is kept in packaging/exports, and cmake/exports.sh compares.
function(falproxy_set_exports target)
  get_target_property(type ${target} TYPE)
  if(NOT type STREQUAL SHARED_LIBRARY)
    return()
  endif()
  get_target_property(headers falproxy HEADER_SET)
  get_target_property(own ${target} HEADER_SET)
  set(text "#pragma GCC visibility push(default)\n")
  foreach(header IN LISTS headers own)
    get_filename_component(name ${header} NAME)
    if(name STREQUAL format.hpp)  # nothing of it is in a library, and it brings fmt's names
      continue()
    endif()
    string(APPEND text "#include <falproxy/${name}>\n")
  endforeach()
  string(APPEND text "#pragma GCC visibility pop\n")
  set(visible ${CMAKE_CURRENT_BINARY_DIR}/made/${target}_visible.hpp)
  file(CONFIGURE OUTPUT ${visible} CONTENT "${text}" @ONLY)
  target_precompile_headers(${target} PRIVATE ${visible})
  # Until 1.0 a minor release may change anything (docs/public-api.md).
  set_target_properties(${target} PROPERTIES
    DISABLE_PRECOMPILE_HEADERS OFF CXX_VISIBILITY_PRESET hidden
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  # Instances of std's templates are visible whatever a compiler is told: the linker keeps them back.
  if(NOT APPLE)
    target_link_options(${target} PRIVATE -Wl,--no-undefined -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map)
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/exports.map)
  endif()
endfunction()
