# cmake -DFOLDER=... -DOUTPUT=assets.cpp -P embed.cmake: the files of a folder as a C++ table, plain and gzipped.
# gzip is there on every Debian; -n keeps time stamps out, so that the same files give the same bytes.
# Indentation and comments are for people, and stay behind; so do blanks in style sheets. A comment behind code is known by the two
# blanks before it.
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
  file(READ ${FOLDER}/${file} text)
  if(file MATCHES "\\.(js|css|html)$")
    string(REGEX REPLACE "\n +" "\n" text "\n${text}")
    string(REGEX REPLACE "\n(//[^\n]*|/\\*[^\n]*\\*/|/\\*\\*\n(\\*[^\n]*\n)*\\*/)" "" text "${text}")
    string(REGEX REPLACE "\n\n+" "\n" text "${text}")
  endif()
  if(file MATCHES "\\.js$")
    string(REGEX REPLACE "([;,{)])  //[^\n]*" "\\1" text "${text}")
    string(REGEX REPLACE "{ /\\*[^*\n]*\\*/ }" "{}" text "${text}")
  endif()
  if(file MATCHES "\\.css$")
    string(REGEX REPLACE "([:;,{]) " "\\1" text "${text}")
    string(REGEX REPLACE ";? ?}" "}" text "${text}")
    string(REPLACE " {" "{" text "${text}")
    string(REPLACE " > " ">" text "${text}")
    string(REGEX REPLACE "([;{}])\n" "\\1" text "${text}")
  endif()
  set(lean ${OUTPUT}.lean)
  file(WRITE ${lean} "${text}")
  execute_process(COMMAND gzip -9nc ${lean} OUTPUT_FILE ${OUTPUT}.gz COMMAND_ERROR_IS_FATAL ANY)
  bytes_of(${lean} plain)
  bytes_of(${OUTPUT}.gz gzipped)
  file(SIZE ${lean} plain_size)
  file(SIZE ${OUTPUT}.gz gzipped_size)
  file(SHA256 ${lean} hash)
  string(SUBSTRING ${hash} 0 16 etag)
  get_filename_component(ending ${file} LAST_EXT)
  string(APPEND rows "  {\"${file}\", \"${ending}\", \"${etag}\",\n   {${plain}, ${plain_size}},\n   {${gzipped}, ${gzipped_size}}},\n")
endforeach()
file(REMOVE ${OUTPUT}.gz ${OUTPUT}.lean)

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
