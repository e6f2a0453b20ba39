# Writes what the installed program is made of, as CycloneDX 1.5 (JSON): falproxy.cdx.json. It holds no time and no random number, so
# that the same build gives the same file.
if(NOT TARGET falproxy_program)
  return()
endif()

set(sbom_components "")
set(sbom_refs "")
# falproxy_part(name version licence purl built_in [header]): `built_in`: compiled in, else a shared library.
function(falproxy_part name version licence purl built_in)
  if(NOT version)
    message(FATAL_ERROR "The version of ${name} is not known, which falproxy.cdx.json needs")
  endif()
  set(hashes "")
  if(ARGN AND EXISTS "${ARGN}")
    file(SHA256 "${ARGN}" sum)
    set(hashes ",\n      \"hashes\": [{\"alg\": \"SHA-256\", \"content\": \"${sum}\"}]")
  endif()
  if(built_in)
    set(linkage "compiled in")
  else()
    set(linkage "shared library")
  endif()
  set(component "    {
      \"type\": \"library\",
      \"bom-ref\": \"${name}\",
      \"name\": \"${name}\",
      \"version\": \"${version}\",
      \"licenses\": [{\"license\": {\"id\": \"${licence}\"}}],
      \"purl\": \"${purl}@${version}\",
      \"properties\": [{\"name\": \"falproxy:linkage\", \"value\": \"${linkage}\"}]${hashes}
    }")
  if(sbom_components)
    string(PREPEND component "${sbom_components},\n")
    set(ref "${sbom_refs}, \"${name}\"")
  else()
    set(ref "\"${name}\"")
  endif()
  set(sbom_components "${component}" PARENT_SCOPE)
  set(sbom_refs "${ref}" PARENT_SCOPE)
endfunction()

# A copy that CMake fetched has no package version: dependencies.cmake says which it is.
set(httplib_built "${httplib_VERSION}")
if(NOT httplib_FOUND)
  set(httplib_built "${FALPROXY_HTTPLIB_FETCHED}")
endif()
get_target_property(httplib_folders httplib::httplib INTERFACE_INCLUDE_DIRECTORIES)
find_file(falproxy_httplib_header httplib.h PATHS ${httplib_folders} ${httplib_SOURCE_DIR} NO_DEFAULT_PATH NO_CACHE)
falproxy_part(cpp-httplib "${httplib_built}" MIT pkg:github/yhirose/cpp-httplib ON "${falproxy_httplib_header}")
falproxy_part(nlohmann_json "${nlohmann_json_VERSION}" MIT pkg:github/nlohmann/json ON)
falproxy_part(fmt "${fmt_VERSION}" MIT pkg:github/fmtlib/fmt ON)
falproxy_part(CLI11 "${CLI11_VERSION}" BSD-3-Clause pkg:github/CLIUtils/CLI11 ON)
falproxy_part(openssl "${OPENSSL_VERSION}" Apache-2.0 pkg:generic/openssl OFF)
falproxy_part(sqlite "${SQLite3_VERSION}" blessing pkg:generic/sqlite OFF)
falproxy_part(zlib "${ZLIB_VERSION_STRING}" Zlib pkg:generic/zlib OFF)
if(FALPROXY_PNG)
  falproxy_part(libpng "${PNG_VERSION_STRING}" libpng-2.0 pkg:generic/libpng OFF)
endif()
if(FALPROXY_REDIS)
  falproxy_part(hiredis "${HIREDIS_VERSION}" BSD-3-Clause pkg:github/redis/hiredis OFF)
endif()
set(sbom_loaded "${OPENSSL_CRYPTO_LIBRARY}")
if(SOUND_FOUND)
  falproxy_part(libsndfile "${SOUND_sndfile_VERSION}" LGPL-2.1-or-later pkg:github/libsndfile/libsndfile OFF)
  falproxy_part(libsamplerate "${SOUND_samplerate_VERSION}" BSD-2-Clause pkg:github/libsndfile/libsamplerate OFF)
  list(APPEND sbom_loaded ${SOUND_LINK_LIBRARIES})
endif()

# What those libraries load in turn: it is in the image, too. Lines of `ldd`: libFLAC.so.12 => /lib/.../libFLAC.so.12 (0x...)
set(sbom_brought "")
foreach(library IN LISTS sbom_loaded)
  if(library MATCHES "\\.so")
    execute_process(COMMAND ldd ${library} OUTPUT_VARIABLE lines ERROR_QUIET)
    string(APPEND sbom_brought "${lines}")
  endif()
endforeach()
# falproxy_brought_part(file name licence purl module): nothing, if nobody loads FILE. MODULE is pkg-config's. If that knows no version,
# the name of the file has it, or, as LAME has none there, the file itself.
function(falproxy_brought_part file name licence purl module)
  if(NOT sbom_brought MATCHES "${file}\\.so[0-9.]* => ([^ ]+)")
    return()
  endif()
  get_filename_component(real "${CMAKE_MATCH_1}" REALPATH)
  if(COMMAND pkg_check_modules)
    pkg_check_modules(sbom_${name} QUIET ${module})
  endif()
  set(version "${sbom_${name}_VERSION}")
  if(NOT version AND name STREQUAL "lame")
    file(STRINGS "${real}" version REGEX "^3\\.[0-9]+$" LIMIT_COUNT 1)
  elseif(NOT version)
    string(REGEX REPLACE ".*\\.so\\." "" version "${real}")
  endif()
  falproxy_part(${name} "${version}" ${licence} ${purl} OFF)
  set(sbom_components "${sbom_components}" PARENT_SCOPE)
  set(sbom_refs "${sbom_refs}" PARENT_SCOPE)
endfunction()
falproxy_brought_part(libFLAC flac BSD-3-Clause pkg:github/xiph/flac flac)
falproxy_brought_part(libvorbis vorbis BSD-3-Clause pkg:github/xiph/vorbis vorbis)
falproxy_brought_part(libogg ogg BSD-3-Clause pkg:github/xiph/ogg ogg)
falproxy_brought_part(libopus opus BSD-3-Clause pkg:github/xiph/opus opus)
falproxy_brought_part(libmpg123 mpg123 LGPL-2.1-only pkg:generic/mpg123 libmpg123)
falproxy_brought_part(libmp3lame lame LGPL-2.0-or-later pkg:generic/lame lame)
falproxy_brought_part(libzstd zstd BSD-3-Clause pkg:github/facebook/zstd libzstd)

file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/falproxy.cdx.json CONTENT [[{
  "bomFormat": "CycloneDX",
  "specVersion": "1.5",
  "version": 1,
  "metadata": {
    "component": {
      "type": "application",
      "bom-ref": "falproxy",
      "name": "falproxy",
      "version": "@PROJECT_VERSION@",
      "licenses": [{"license": {"id": "MIT"}}]
    }
  },
  "components": [
@sbom_components@
  ],
  "dependencies": [{"ref": "falproxy", "dependsOn": [@sbom_refs@]}]
}
]] @ONLY)
if(FALPROXY_INSTALL)
  include(GNUInstallDirs)
  install(FILES ${PROJECT_BINARY_DIR}/falproxy.cdx.json DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)
endif()
