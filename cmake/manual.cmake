# falproxy_write_manual(target name what): the manual page of a program, <name>.1.gz, each time it is linked.
# A program that cannot run here has none.
function(falproxy_write_manual target name what)
  if(NOT FALPROXY_INSTALL OR CMAKE_CROSSCOMPILING)
    return()
  endif()
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND sh ${PROJECT_SOURCE_DIR}/cmake/manual.sh $<TARGET_FILE:${target}> ${name} ${what} ${PROJECT_VERSION}
            ${PROJECT_BINARY_DIR}/${name}.1.gz
    VERBATIM)
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/manual.sh)
endfunction()
