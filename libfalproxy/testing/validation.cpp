// The checks of documents.hpp: JSON Schema as fal's documents use it, faults in the words of
// pydantic 2.
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "documents.hpp"

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

constexpr int max_depth = 32;

const json* keyword(const json& schema, const char* name) {
  if (!schema.is_object()) return nullptr;
  const auto found = schema.find(name);
  return found == schema.end() || found->is_null() ? nullptr : &*found;
}

/// The value of a keyword that counts; none where it is absent or no count.
std::optional<std::size_t> limit(const json& schema, const char* name) {
  const json* value = keyword(schema, name);
  return value != nullptr && value->is_number_unsigned() ? std::optional(value->get<std::size_t>())
                                                         : std::nullopt;
}

/// Characters, not bytes.
std::size_t length(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
  return count;
}

std::string quoted_list(const json& values) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += i + 1 == values.size() ? " or " : ", ";
    text += values[i].is_string() ? "'" + values[i].get<std::string>() + "'" : values[i].dump();
  }
  return text;
}

class Checker {
 public:
  explicit Checker(const Model& model) : model_(model) {}

  /// Appends to `faults` what is wrong with `value`, which stands at `location`.
  void check(const json& unresolved, const json& value, const json& location, json& faults,
             int depth = 0) const {
    const json& schema = model_.resolve(unresolved);
    if (depth > max_depth || !schema.is_object()) return;
    if (value.is_null() && allows_null(schema)) return;
    if (const json* all = keyword(schema, "allOf")) {
      for (const json& part : *all) check(part, value, location, faults, depth + 1);
    }
    for (const char* name : {"anyOf", "oneOf"}) {
      if (const json* branches = keyword(schema, name))
        check_branches(*branches, value, location, faults, depth);
    }
    if (const json* type = keyword(schema, "type")) {
      if (!check_type(*type, value, location, faults)) return;
    }
    if (const json* allowed = keyword(schema, "enum"))
      check_enum(*allowed, value, location, faults);
    if (value.is_number()) check_number(schema, value, location, faults);
    if (value.is_string()) check_string(schema, value, location, faults);
    if (value.is_array()) check_array(schema, value, location, faults, depth);
    if (value.is_object()) check_object(schema, value, location, faults, depth);
  }

 private:
  [[nodiscard]] bool allows_null(const json& schema) const {
    const json* nullable = keyword(schema, "nullable");
    return nullable != nullptr && *nullable == true;
  }

  static void fault(json& faults, const json& location, std::string type, std::string message,
                    const json& value, json context = nullptr) {
    json entry = {{"type", std::move(type)},
                  {"loc", location},
                  {"msg", std::move(message)},
                  {"input", value}};
    if (!context.is_null()) entry["ctx"] = std::move(context);
    faults.push_back(std::move(entry));
  }

  /// pydantic names the branch in the location of a fault inside it.
  [[nodiscard]] std::string name_of(const json& branch) const {
    const json& schema = model_.resolve(branch);
    if (const json* allowed = keyword(schema, "enum"))
      return "literal[" + quoted_list(*allowed) + "]";
    if (const json* title = keyword(schema, "title"); title != nullptr && title->is_string())
      return *title;
    const json* type = keyword(schema, "type");
    if (type == nullptr || !type->is_string()) return "any";
    if (*type == "string") return "str";
    if (*type == "integer") return "int";
    if (*type == "number") return "float";
    if (*type == "boolean") return "bool";
    if (*type == "array") return "list";
    return *type;
  }

  void check_branches(const json& branches, const json& value, const json& location, json& faults,
                      int depth) const {
    json failed = json::array();
    for (const json& branch : branches) {
      json place = location;
      place.push_back(name_of(branch));
      json of_branch = json::array();
      check(branch, value, place, of_branch, depth + 1);
      if (of_branch.empty()) return;
      const json* type = keyword(model_.resolve(branch), "type");
      if (type != nullptr && *type == "null")
        continue;  // pydantic does not complain that it is not None
      failed.insert(failed.end(), of_branch.begin(), of_branch.end());
    }
    faults.insert(faults.end(), failed.begin(), failed.end());
  }

  [[nodiscard]] bool check_type(const json& type, const json& value, const json& location,
                                json& faults) const {
    const bool whole =
        value.is_number_integer() ||
        (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>());
    struct Row {
      const char* type;
      bool good;
      const char* code;
      const char* message;
    };
    const Row rows[] = {
        {"string", value.is_string(), "string_type", "Input should be a valid string"},
        {"integer", whole, value.is_number() ? "int_from_float" : "int_type",
         "Input should be a valid integer"},
        {"number", value.is_number(), "float_type", "Input should be a valid number"},
        {"boolean", value.is_boolean(), "bool_type", "Input should be a valid boolean"},
        {"array", value.is_array(), "list_type", "Input should be a valid list"},
        {"object", value.is_object(), "dict_type", "Input should be a valid dictionary"},
        {"null", value.is_null(), "none_required", "Input should be None"},
    };
    for (const Row& row : rows) {
      if (type != row.type) continue;
      if (!row.good) fault(faults, location, row.code, row.message, value);
      return row.good;
    }
    return true;
  }

  static void check_enum(const json& allowed, const json& value, const json& location,
                         json& faults) {
    for (const json& good : allowed) {
      if (good == value) return;
    }
    fault(faults, location, "literal_error", "Input should be " + quoted_list(allowed), value,
          {{"expected", quoted_list(allowed)}});
  }

  static void check_number(const json& schema, const json& value, const json& location,
                           json& faults) {
    const double number = value.get<double>();
    struct Row {
      const char* keyword;
      const char* code;
      const char* words;
      const char* context;
      bool (*good)(double value, double limit);
    };
    static constexpr Row rows[] = {
        {"minimum", "greater_than_equal", "greater than or equal to ", "ge",
         [](double v, double l) { return v >= l; }},
        {"maximum", "less_than_equal", "less than or equal to ", "le",
         [](double v, double l) { return v <= l; }},
        {"exclusiveMinimum", "greater_than", "greater than ", "gt",
         [](double v, double l) { return v > l; }},
        {"exclusiveMaximum", "less_than", "less than ", "lt",
         [](double v, double l) { return v < l; }},
        {"multipleOf", "multiple_of", "a multiple of ", "multiple_of",
         [](double v, double l) { return l == 0 || std::abs(std::remainder(v, l)) < 1e-9; }},
    };
    for (const Row& row : rows) {
      const json* bound = keyword(schema, row.keyword);
      if (bound == nullptr || !bound->is_number() || row.good(number, bound->get<double>()))
        continue;
      fault(faults, location, row.code, std::string("Input should be ") + row.words + bound->dump(),
            value, {{row.context, *bound}});
    }
  }

  static void check_string(const json& schema, const json& value, const json& location,
                           json& faults) {
    const std::size_t size = length(value.get_ref<const std::string&>());
    if (const auto least = limit(schema, "minLength"); least && size < *least) {
      fault(faults, location, "string_too_short",
            "String should have at least " + std::to_string(*least) + " characters", value,
            {{"min_length", *least}});
    }
    if (const auto most = limit(schema, "maxLength"); most && size > *most) {
      fault(faults, location, "string_too_long",
            "String should have at most " + std::to_string(*most) + " characters", value,
            {{"max_length", *most}});
    }
  }

  void check_array(const json& schema, const json& value, const json& location, json& faults,
                   int depth) const {
    const std::size_t size = value.size();
    if (const auto least = limit(schema, "minItems"); least && size < *least) {
      fault(faults, location, "too_short",
            "List should have at least " + std::to_string(*least) + " items after validation",
            value, {{"min_length", *least}, {"actual_length", size}});
    }
    if (const auto most = limit(schema, "maxItems"); most && size > *most) {
      fault(faults, location, "too_long",
            "List should have at most " + std::to_string(*most) + " items after validation", value,
            {{"max_length", *most}, {"actual_length", size}});
    }
    const json* items = keyword(schema, "items");
    if (items == nullptr) return;
    for (std::size_t i = 0; i < value.size(); ++i) {
      json place = location;
      place.push_back(i);
      check(*items, value[i], place, faults, depth + 1);
    }
  }

  void check_object(const json& schema, const json& value, const json& location, json& faults,
                    int depth) const {
    if (const json* required = keyword(schema, "required")) {
      for (const json& name : *required) {
        if (!name.is_string() || value.contains(name.get_ref<const std::string&>())) continue;
        json place = location;
        place.push_back(name);
        fault(faults, place, "missing", "Field required", value);
      }
    }
    const json* properties = keyword(schema, "properties");
    if (properties == nullptr) return;
    for (const auto& [name, member] : value.items()) {
      const auto property = properties->find(name);
      if (property == properties->end()) continue;
      json place = location;
      place.push_back(name);
      check(*property, member, place, faults, depth + 1);
    }
  }

  const Model& model_;
};

}  // namespace

nlohmann::json validate(const Model& model, const nlohmann::json& input) {
  json faults = json::array();
  if (!input.is_object()) {
    faults.push_back(
        {{"type", "model_attributes_type"},
         {"loc", {"body"}},
         {"msg", "Input should be a valid dictionary or object to extract fields from"},
         {"input", input}});
    return faults;
  }
  Checker(model).check(model.input(), input, json::array({"body"}), faults);
  return faults;
}

std::vector<std::string> unknown_inputs(const Model& model, const nlohmann::json& input) {
  std::vector<std::string> unknown;
  const json* properties = keyword(model.input(), "properties");
  if (properties == nullptr || !input.is_object()) return unknown;
  for (const auto& [name, value] : input.items()) {
    if (!properties->contains(name)) unknown.push_back(name);
  }
  return unknown;
}

}  // namespace falproxy::inline v0::testing
