#include "plan/within.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "json/access.hpp"
#include "profile/shapes.hpp"

namespace falproxy::inline v0::plan {

using profile::RoleInput;
using schema::Field;
namespace {

struct Path {
  std::string_view outer, member;  // `member` is empty: the input itself
  bool list = false;
};

Path parts_of(const RoleInput& input) {
  const std::string_view path = input.path;
  const std::size_t end = path.find_first_of(".[");
  if (end == std::string_view::npos) return {path, {}};
  return {path.substr(0, end), path.substr(path.rfind('.') + 1), path[end] == '['};
}

// For what an element must have beside what is asked for: as the document tells, else a zero.
std::optional<Json> usual_value(const Field& member) {
  std::vector<Json> all = schema::choices(member);
  if (member.default_value) all.insert(all.begin(), *member.default_value);
  all.insert(all.end(), member.examples.begin(), member.examples.end());
  all.push_back(Json::integer(0));
  for (const Json& value : all) {
    if (!schema::check(member, value, member.name)) return value;
  }
  return std::nullopt;
}

// With what it must have besides; of several shapes the first.
void complete(const Field& schema, nlohmann::json& object) {
  bool done = false;
  profile::for_each_shape(schema, [&](const Field& shape) {
    if (std::exchange(done, done || !shape.properties.empty())) return;
    for (const Field& member : shape.properties) {
      if (!member.required || object.contains(member.name)) continue;
      if (const auto value = usual_value(member)) object[member.name] = Json::Access::raw(*value);
    }
  });
}

// What stands there if nobody says anything.
nlohmann::json beginning(const Field& outer, bool list) {
  nlohmann::json object = nlohmann::json::object();
  if (!list && outer.default_value && outer.default_value->is_object())
    object = Json::Access::raw(*outer.default_value);
  const Field* schema = list ? profile::elements_of(outer) : &outer;
  if (schema != nullptr) complete(*schema, object);
  if (list) return nlohmann::json::array({std::move(object)});
  return object;
}

}  // namespace

const Field& outer_of(const Draft& draft, const RoleInput& input) {
  const Field* outer = draft.schema.input(parts_of(input).outer);
  return outer == nullptr ? *input.field : *outer;
}

bool is_said(const Draft& draft, const RoleInput& input) {
  const Path path = parts_of(input);
  const Draft::Entry* entry = draft.find(&outer_of(draft, input));
  if (entry == nullptr) return false;
  if (path.member.empty()) return true;
  const bool own = entry->source == Source::openai || entry->source == Source::document;
  const Json holder = path.list ? entry->value.at(0) : entry->value;
  return own ? std::ranges::find(draft.said_within, input.path) != draft.said_within.end()
             : path.list || holder.find(path.member).has_value();
}

bool is_required(const Draft& draft, const RoleInput& input) {
  return input.field->required || outer_of(draft, input).required;
}

void send_at(Draft& draft, const RoleInput& input, Json value, std::string_view from,
             std::string why) {
  const Field& outer = outer_of(draft, input);
  const Path path = parts_of(input);
  if (path.member.empty()) {
    draft.send(outer, std::move(value), Source::openai, from, std::move(why));
    return;
  }
  draft.said_within.push_back(input.path);
  const std::string member(path.member);
  draft.plan.mappings.push_back(
      {std::string(from), outer.name, Json::object({{member, value}}), std::move(why)});
  const auto entry = std::ranges::find(draft.entries, &outer, &Draft::Entry::field);
  const bool found = entry != draft.entries.end();
  nlohmann::json whole = found ? Json::Access::raw(entry->value) : beginning(outer, path.list);
  nlohmann::json& holder = path.list ? whole[0] : whole;
  holder[member] = Json::Access::raw(value);
  Json sent = Json::Access::wrap(std::move(whole));
  if (found) {
    entry->value = std::move(sent);
  } else {
    draft.entries.push_back({&outer, std::move(sent), Source::openai});
  }
}

}  // namespace falproxy::inline v0::plan
