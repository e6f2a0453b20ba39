# falproxy_harden(): what is compiled in this folder and below resists more; tests/supply/hardened.sh looks at the result.
option(FALPROXY_HARDENING "Stack protector, _FORTIFY_SOURCE, PIE and RELRO in optimised builds" ${PROJECT_IS_TOP_LEVEL})

macro(falproxy_harden)
  # The sanitizers have wrappers of their own, and without optimisation _FORTIFY_SOURCE does nothing but warn.
  if(FALPROXY_HARDENING AND CMAKE_SYSTEM_NAME STREQUAL Linux AND CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$" AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    add_compile_options(-fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
      add_compile_options(-fcf-protection)
    endif()
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    include(CheckPIESupported)
    check_pie_supported(LANGUAGES CXX)
  endif()
endmacro()
