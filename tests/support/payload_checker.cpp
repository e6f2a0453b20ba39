#include "support/payload_checker.hpp"

#include <algorithm>
#include <cmath>
#include <regex>
#include <set>
#include <stdexcept>

namespace payload_checker {
namespace {

using Json = nlohmann::json;

std::size_t code_points(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0u) != 0x80u) ++count;
  }
  return count;
}

bool is_integer(const Json& value) {
  if (value.is_number_integer()) return true;
  return value.is_number_float() && std::floor(value.get<double>()) == value.get<double>();
}

bool is_of_type(const Json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return is_integer(value);
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  throw std::runtime_error("payload_checker knows no type '" + type + "'");
}

class Checker {
 public:
  explicit Checker(const Json& document) : document_(document) {}

  Report value(const Json& schema, const Json& value, const std::string& place,
               int depth = 0) const {
    Report report;
    if (!schema.is_object() || depth > 100) return report;
    const auto fault = [&](const std::string& text) {
      report.faults.push_back(place + ": " + text);
    };
    const auto add = [&](const Report& more) {
      report.faults.insert(report.faults.end(), more.faults.begin(), more.faults.end());
      report.unknown.insert(report.unknown.end(), more.unknown.begin(), more.unknown.end());
    };
    if (value.is_null() && schema.value("nullable", false)) return report;

    if (schema.contains("$ref")) add(this->value(target(schema["$ref"]), value, place, depth + 1));
    if (schema.contains("allOf")) {
      for (const Json& part : schema["allOf"]) add(this->value(part, value, place, depth + 1));
    }
    if (schema.contains("anyOf")) add(alternatives(schema["anyOf"], value, place, false, depth));
    if (schema.contains("oneOf")) add(alternatives(schema["oneOf"], value, place, true, depth));
    if (schema.contains("not") && this->value(schema["not"], value, place, depth + 1).valid())
      fault("is what it must not be");

    if (schema.contains("type") && !has_type(schema["type"], value))
      fault("is " + value.dump() + ", not " + schema["type"].dump());
    if (schema.contains("enum") && !contains(schema["enum"], value))
      fault(value.dump() + " is not in " + schema["enum"].dump());
    if (schema.contains("const") && schema["const"] != value)
      fault(value.dump() + " is not " + schema["const"].dump());
    if (value.is_number()) number(schema, value.get<double>(), fault);
    if (value.is_string()) string(schema, value.get<std::string>(), fault);
    if (value.is_array()) {
      array(schema, value, fault);
      if (schema.contains("items") && schema["items"].is_object()) {
        for (std::size_t i = 0; i < value.size(); ++i) {
          add(this->value(schema["items"], value[i], place + "[" + std::to_string(i) + "]",
                          depth + 1));
        }
      }
    }
    if (value.is_object()) {
      add(object(schema, value, place, depth));
      forget_known(schema, value, place, report);
    }
    return report;
  }

 private:
  // What one part of an allOf does not name, another may; what none names is said once.
  void forget_known(const Json& schema, const Json& value, const std::string& place,
                    Report& report) const {
    if (report.unknown.empty()) return;
    std::set<std::string> names;
    bool open = false;
    collect_names(schema, names, open);
    for (const auto& [name, member] : value.items()) {
      if (open || names.contains(name)) std::erase(report.unknown, unknown_line(place, name));
    }
    std::ranges::sort(report.unknown);
    report.unknown.erase(std::unique(report.unknown.begin(), report.unknown.end()),
                         report.unknown.end());
  }

  static std::string unknown_line(const std::string& place, const std::string& name) {
    return place + "." + name + ": is not in the document";
  }

  // The names that a schema gives to members of an object, through everything it is made of.
  void collect_names(const Json& schema, std::set<std::string>& names, bool& open,
                     int depth = 0) const {
    if (!schema.is_object() || depth > 100) return;
    if (schema.contains("$ref")) collect_names(target(schema["$ref"]), names, open, depth + 1);
    for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
      if (!schema.contains(keyword)) continue;
      for (const Json& part : schema[keyword]) collect_names(part, names, open, depth + 1);
    }
    if (schema.contains("properties")) {
      for (const auto& [name, property] : schema["properties"].items()) names.insert(name);
    }
    if (schema.contains("additionalProperties") && schema["additionalProperties"] != false)
      open = true;
  }

  const Json& target(const Json& ref) const {
    static const Json anything = Json::object();
    const std::string address = ref.get<std::string>();
    if (address.rfind("#/", 0) != 0) return anything;
    const Json::json_pointer pointer(address.substr(1));
    return document_.contains(pointer) ? document_.at(pointer) : anything;
  }

  Report alternatives(const Json& schemas, const Json& value, const std::string& place,
                      bool exactly_one, int depth) const {
    Report best;
    std::size_t fitting = 0;
    std::string reasons;
    for (const Json& schema : schemas) {
      const Report report = this->value(schema, value, place, depth + 1);
      if (!report.valid()) {
        reasons += (reasons.empty() ? "" : "; ") + report.faults.front();
        continue;
      }
      if (fitting++ == 0 || report.unknown.size() < best.unknown.size()) best = report;
    }
    if (fitting == 0) best.faults.push_back(place + ": fits no alternative (" + reasons + ")");
    if (exactly_one && fitting > 1)
      best.faults.push_back(place + ": fits several alternatives of oneOf");
    return best;
  }

  static bool has_type(const Json& type, const Json& value) {
    if (type.is_string()) return is_of_type(value, type.get<std::string>());
    for (const Json& one : type) {
      if (is_of_type(value, one.get<std::string>())) return true;
    }
    return false;
  }

  static bool contains(const Json& list, const Json& value) {
    for (const Json& one : list) {
      if (one == value) return true;
    }
    return false;
  }

  template <class Fault>
  static void number(const Json& schema, double value, const Fault& fault) {
    const auto bound = [&](const char* keyword) {
      return schema.contains(keyword) && schema[keyword].is_number();
    };
    const auto is_true = [&](const char* keyword) {
      return schema.contains(keyword) && schema[keyword] == true;
    };
    const std::string text = Json(value).dump();
    if (bound("minimum")) {
      const double minimum = schema["minimum"];
      if (value < minimum || (is_true("exclusiveMinimum") && value == minimum))
        fault(text + " is below the minimum");
    }
    if (bound("maximum")) {
      const double maximum = schema["maximum"];
      if (value > maximum || (is_true("exclusiveMaximum") && value == maximum))
        fault(text + " is above the maximum");
    }
    if (bound("exclusiveMinimum") && value <= schema["exclusiveMinimum"].get<double>())
      fault(text + " is not above the exclusive minimum");
    if (bound("exclusiveMaximum") && value >= schema["exclusiveMaximum"].get<double>())
      fault(text + " is not below the exclusive maximum");
    if (bound("multipleOf")) {
      const double rest = std::abs(std::remainder(value, schema["multipleOf"].get<double>()));
      if (rest > 1e-9 * std::max(1.0, std::abs(value)))
        fault(text + " is no multiple of " + schema["multipleOf"].dump());
    }
  }

  template <class Fault>
  static void string(const Json& schema, const std::string& value, const Fault& fault) {
    if (schema.contains("minLength") && code_points(value) < schema["minLength"].get<std::size_t>())
      fault("is too short");
    if (schema.contains("maxLength") && code_points(value) > schema["maxLength"].get<std::size_t>())
      fault("is too long");
    if (schema.contains("pattern") &&
        !std::regex_search(value, std::regex(schema["pattern"].get<std::string>()))) {
      fault("does not match " + schema["pattern"].dump());
    }
  }

  template <class Fault>
  static void array(const Json& schema, const Json& value, const Fault& fault) {
    if (schema.contains("minItems") && value.size() < schema["minItems"].get<std::size_t>())
      fault("has too few items");
    if (schema.contains("maxItems") && value.size() > schema["maxItems"].get<std::size_t>())
      fault("has too many items");
    if (!schema.value("uniqueItems", false)) return;
    for (std::size_t i = 0; i < value.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (value[i] == value[j]) fault("has the same item twice");
      }
    }
  }

  Report object(const Json& schema, const Json& value, const std::string& place, int depth) const {
    Report report;
    for (const Json& name : schema.value("required", Json::array())) {
      if (!value.contains(name.get<std::string>()))
        report.faults.push_back(place + "." + name.get<std::string>() + ": is missing");
    }
    const Json properties = schema.value("properties", Json::object());
    const Json additional = schema.value("additionalProperties", Json());
    for (const auto& [name, member] : value.items()) {
      const std::string inner = place + "." + name;
      Report found;
      if (properties.contains(name)) {
        found = this->value(properties[name], member, inner, depth + 1);
      } else if (additional == false) {
        found.faults.push_back(inner + ": is not allowed");
      } else if (additional.is_object()) {
        found = this->value(additional, member, inner, depth + 1);
      } else if (additional.is_null() && !properties.empty()) {
        found.unknown.push_back(unknown_line(place, name));
      }
      report.faults.insert(report.faults.end(), found.faults.begin(), found.faults.end());
      report.unknown.insert(report.unknown.end(), found.unknown.begin(), found.unknown.end());
    }
    return report;
  }

  const Json& document_;
};

}  // namespace

std::string Report::text() const {
  std::string all;
  for (const std::string& line : faults) all += line + "\n";
  for (const std::string& line : unknown) all += line + "\n";
  return all;
}

Report check_value(const Json& document, const Json& schema, const Json& value,
                   const std::string& place) {
  return Checker(document).value(schema, value, place);
}

Report check_payload(const Json& document, const Json& payload, std::string_view endpoint) {
  const Json* post = nullptr;
  for (const auto& [path, item] : document.at("paths").items()) {
    if (item.contains("post") && (endpoint.empty() || path == "/" + std::string(endpoint)))
      post = &item["post"];
  }
  if (post == nullptr) return Report{{"the document has no such POST"}, {}};
  const Json& schema = post->at("requestBody").at("content").at("application/json").at("schema");
  Report report;
  if (!payload.is_object()) {
    report.faults.emplace_back("the payload is no object");
    return report;
  }
  return Checker(document).value(schema, payload, "payload");
}

}  // namespace payload_checker
