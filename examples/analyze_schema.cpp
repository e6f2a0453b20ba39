// Prints what a fal model takes, as a table: analyze_schema DOCUMENT.json
#include <falproxy/profile.hpp>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <string>

namespace {

std::string type_of(const falproxy::schema::Field& field) {
  std::string names;
  const auto add = [&names](bool has, const char* name) {
    if (has) names += (names.empty() ? "" : "|") + std::string(name);
  };
  add(field.types.boolean, "boolean");
  add(field.types.integer, "integer");
  add(field.types.number, "number");
  add(field.types.string, "string");
  add(field.types.array, "array");
  add(field.types.object, "object");
  return names.empty() ? "any" : names;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "usage: analyze_schema DOCUMENT.json\n", 2;
  std::ifstream file(argv[1], std::ios::binary);
  if (!file) return std::cerr << "cannot read " << argv[1] << '\n', 2;
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  const auto profile = falproxy::profile::read_profile(document);
  if (!profile)
    return std::cerr << profile.error().field << ": " << profile.error().message << '\n', 1;

  const falproxy::schema::ModelSchema& schema = *(*profile)->schema;
  std::cout << schema.endpoint << " (" << schema.category << ")\n\n" << std::left;
  for (const falproxy::schema::Field& field : schema.inputs) {
    std::cout << std::setw(24) << field.name << std::setw(18) << type_of(field) << std::setw(10)
              << (field.required ? "required" : "")
              << (field.default_value ? "default " + field.default_value->dump() : "") << '\n';
  }
  std::cout << '\n'
            << falproxy::profile::to_json(falproxy::profile::describe(**profile)).dump(2) << '\n';
}
