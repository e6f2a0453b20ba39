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
