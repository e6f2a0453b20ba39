# cmake -DFOLDER=... -DOUTPUT=assets.cpp -P embed.cmake: the files of a folder as a C++ table, plain and gzipped.
# gzip is there on every Debian; -n keeps time stamps out, so that the same files give the same bytes.
file(GLOB files RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT files)

function(bytes_of path result)
  file(READ ${path} hex HEX)
  # A string literal of bytes compiles far faster than an array; a compiler wants its lines short.
  string(REPEAT "." 64 line)
  string(REGEX REPLACE "(${line})" "\\1\n" lines "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" lines "${lines}")
  string(REPLACE "\n" "\"\n    \"" lines "${lines}")
  set(${result} "\"${lines}\"" PARENT_SCOPE)
endfunction()

set(rows "")
foreach(file IN LISTS files)
  execute_process(COMMAND gzip -9nc ${FOLDER}/${file} OUTPUT_FILE ${OUTPUT}.gz COMMAND_ERROR_IS_FATAL ANY)
  bytes_of(${FOLDER}/${file} plain)
  bytes_of(${OUTPUT}.gz gzipped)
  file(SIZE ${FOLDER}/${file} plain_size)
  file(SIZE ${OUTPUT}.gz gzipped_size)
  file(SHA256 ${FOLDER}/${file} hash)
  string(SUBSTRING ${hash} 0 16 etag)
  get_filename_component(ending ${file} LAST_EXT)
  string(APPEND rows "  {\"${file}\", \"${ending}\", \"${etag}\",\n   {${plain}, ${plain_size}},\n   {${gzipped}, ${gzipped_size}}},\n")
endforeach()
file(REMOVE ${OUTPUT}.gz)

file(WRITE ${OUTPUT} "// Made by cmake/embed.cmake; do not edit.
#include \"playground.hpp\"

namespace falproxy::app {
namespace {
constexpr EmbeddedFile files[] = {
${rows}};
}  // namespace

std::span<const EmbeddedFile> embedded_files() { return files; }
}  // namespace falproxy::app
")
