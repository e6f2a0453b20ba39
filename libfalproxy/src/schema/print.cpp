#include "base/printer.hpp"
#include "falproxy/schema.hpp"

namespace falproxy::inline v0::schema {

std::ostream& operator<<(std::ostream& out, const Types& types) {
  if (!types.any()) return out << "any";
  bool first = true;
  const auto add = [&](bool there, const char* name) {
    if (there) out << (std::exchange(first, false) ? "" : "|") << name;
  };
  add(types.boolean, "boolean");
  add(types.integer, "integer");
  add(types.number, "number");
  add(types.string, "string");
  add(types.array, "array");
  add(types.object, "object");
  return out;
}

std::ostream& operator<<(std::ostream& out, const FalLimits& limits) {
  return Printer(out, "FalLimits")("min_width", limits.min_width)("max_width", limits.max_width)(
             "min_height", limits.min_height)("max_height", limits.max_height)(
             "min_area", limits.min_area)("max_area", limits.max_area)(
             "multiple_of", limits.multiple_of)("min_aspect_ratio", limits.min_aspect_ratio)(
             "max_aspect_ratio", limits.max_aspect_ratio)("max_file_size", limits.max_file_size)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Field& field) {
  return Printer(out, "Field")("name", field.name)("types", field.types)(
             "required", field.required)("nullable", field.nullable)(
             "deprecated", field.deprecated)("unique_items", field.unique_items)(
             "closed", field.closed)("title", field.title)("description", field.description)(
             "format", field.format)("allowed", field.allowed)(
             "default_value", field.default_value)("examples", field.examples)(
             "minimum", field.minimum)("maximum", field.maximum)("exclusive_minimum",
                                                                 field.exclusive_minimum)(
             "exclusive_maximum", field.exclusive_maximum)("multiple_of", field.multiple_of)(
             "step", field.step)("min_length", field.min_length)("max_length", field.max_length)(
             "min_items", field.min_items)("max_items", field.max_items)("pattern", field.pattern)(
             "properties", field.properties)("additional", field.additional)("items", field.items)(
             "branches", field.branches)("fal_limits", field.fal_limits)("required_names",
                                                                         field.required_names)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
  out << fault.kind;
  if (!fault.pointer.empty()) out << " at " << fault.pointer;
  return out << (fault.message.empty() ? "" : ": ") << fault.message;
}

std::ostream& operator<<(std::ostream& out, const ModelSchema& schema) {
  return Printer(out, "ModelSchema")("endpoint", schema.endpoint)("category", schema.category)(
             "thumbnail", schema.thumbnail)("inputs", schema.inputs)("outputs", schema.outputs)
      .end();
}

}  // namespace falproxy::inline v0::schema
