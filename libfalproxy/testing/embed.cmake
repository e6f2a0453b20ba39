# cmake -DFOLDER=... -DOUTPUT=... -P embed.cmake: writes the documents of FOLDER into one C++ source.
file(GLOB documents ${FOLDER}/*.json)
set(source "// Made by embed.cmake.\n#include \"documents.hpp\"\n\nnamespace falproxy::inline v0::testing {\n
const std::vector<std::string_view>& bundled_documents() {\n  static const std::vector<std::string_view> documents = {\n")
foreach(document IN LISTS documents)
  file(READ ${document} text)
  string(APPEND source "      R\"falsim(${text})falsim\",\n")
endforeach()
string(APPEND source "  };\n  return documents;\n}\n\n}  // namespace falproxy::inline v0::testing\n")
file(WRITE ${OUTPUT} "${source}")
