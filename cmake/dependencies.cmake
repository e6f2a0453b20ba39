# Finds what falproxy builds with. cmake/deps.sh makes all of it present on Debian and Ubuntu.
set(THREADS_PREFER_PTHREAD_FLAG ON)

# What cmake/deps.sh put into build/deps wins over the system's.
if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/build/deps)
  list(PREPEND CMAKE_PREFIX_PATH ${PROJECT_SOURCE_DIR}/build/deps)
endif()

find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)

if(FALPROXY_HTTP)
  find_package(Threads REQUIRED)
  find_package(OpenSSL 3.0 REQUIRED)
endif()

# The servers are built on it; the library is not.
if(FALPROXY_PROGRAMS OR FALPROXY_WITH_FALSIM OR FALPROXY_BENCH)
  # cpp-httplib from 0.41 up to, not including, 1.0. Its version file says SameMinorVersion, so the comparison is ours.
  find_package(httplib CONFIG QUIET)
  if(httplib_FOUND)
    if(httplib_VERSION VERSION_LESS 0.41 OR httplib_VERSION VERSION_GREATER_EQUAL 1.0)
      message(STATUS "cpp-httplib ${httplib_VERSION} in ${httplib_DIR} does not serve (0.41 or newer, below 1.0)")
      set(httplib_FOUND FALSE)
    elseif(HTTPLIB_IS_COMPILED)
      message(STATUS "cpp-httplib ${httplib_VERSION} in ${httplib_DIR} is a compiled copy, which ignores our definitions")
      set(httplib_FOUND FALSE)
    elseif(NOT HTTPLIB_IS_USING_OPENSSL)
      message(STATUS "cpp-httplib ${httplib_VERSION} in ${httplib_DIR} is built without OpenSSL")
      set(httplib_FOUND FALSE)
    else()
      message(STATUS "Using cpp-httplib ${httplib_VERSION} from ${httplib_DIR}")
    endif()
  endif()
  if(NOT httplib_FOUND AND NOT TARGET httplib::httplib)
    set(FALPROXY_HTTPLIB_FETCHED 0.56.0)
    message(STATUS "Fetching cpp-httplib ${FALPROXY_HTTPLIB_FETCHED} from github.com (or run: sh cmake/deps.sh)")
    include(FetchContent)
    set(HTTPLIB_REQUIRE_OPENSSL ON)
    set(HTTPLIB_USE_ZLIB_IF_AVAILABLE OFF)
    set(HTTPLIB_USE_BROTLI_IF_AVAILABLE OFF)
    set(HTTPLIB_USE_ZSTD_IF_AVAILABLE OFF)
    set(HTTPLIB_COMPILE OFF)
    # The archive of the release, by its hash: unlike a clone it needs no git.
    FetchContent_Declare(httplib SYSTEM
      URL https://github.com/yhirose/cpp-httplib/archive/refs/tags/v${FALPROXY_HTTPLIB_FETCHED}.tar.gz
      URL_HASH SHA256=41f214d844e3b9117b734a8cc305b6141c5b47d63009681944e03bc31d92b9ca)
    FetchContent_MakeAvailable(httplib)
  elseif(NOT httplib_FOUND)
    message(FATAL_ERROR "The cpp-httplib that CMake found does not serve. Run: sh cmake/deps.sh")
  endif()

  # Every translation unit that includes httplib.h links this, so that all agree on its definitions.
  add_library(falproxy_httplib INTERFACE)
  target_link_libraries(falproxy_httplib INTERFACE httplib::httplib OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
  target_compile_definitions(falproxy_httplib INTERFACE
    CPPHTTPLIB_TCP_NODELAY=true
    CPPHTTPLIB_LISTEN_BACKLOG=4096
    "CPPHTTPLIB_RECV_BUFSIZ=size_t(4096u)"
    # Never wait for "100 Continue": an ingress that stays silent would cost a second.
    CPPHTTPLIB_EXPECT_100_THRESHOLD=18446744073709551615ull
    CPPHTTPLIB_WAIT_EARLY_SERVER_RESPONSE_THRESHOLD=18446744073709551615ull)
endif()

if(FALPROXY_PNG)
  find_package(PNG REQUIRED)
endif()
if(FALPROXY_SQLITE)
  find_package(SQLite3 3.37 REQUIRED)
  find_package(Threads REQUIRED)
endif()
# Without them speech comes as the model makes it (docs/decisions/0028).
if(FALPROXY_SOUND AND (FALPROXY_PROGRAMS OR FALPROXY_TESTS))
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(SOUND QUIET IMPORTED_TARGET sndfile>=1.1 samplerate)
  endif()
  if(NOT SOUND_FOUND)
    message(STATUS "Sounds are not converted: libsndfile 1.1 and libsamplerate are not there")
  endif()
endif()
if(FALPROXY_REDIS)
  # Its reader and formatter alone (docs/decisions/0024). Debian's has no package file of CMake's.
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis>=0.14)
endif()
if(FALPROXY_PROGRAMS OR FALPROXY_WITH_FALSIM)
  find_package(ZLIB REQUIRED)
  find_package(CLI11 2.1 REQUIRED)
endif()
if(FALPROXY_WITH_FALSIM)
  # falsim makes real pictures (docs/decisions/0017). WebP has no module of CMake's, and not everywhere a package file.
  find_package(PNG REQUIRED)
  find_package(JPEG REQUIRED)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)
endif()
if(FALPROXY_TESTS)
  find_package(doctest REQUIRED)
endif()
if(FALPROXY_BENCH)
  find_package(benchmark REQUIRED)
endif()
