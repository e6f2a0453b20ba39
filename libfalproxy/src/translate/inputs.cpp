#include "translate/inputs.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "schema/names.hpp"
#include "translate/quality_ladder.hpp"

namespace falproxy::translate {
namespace {

using schema::Field;

struct Name {
  std::string_view name;
  Role role;
  int rank = 0;  // of several inputs for one part, the one of the lowest rank plays it
};

// The rank of what is told by the words of its name, after every name that is listed here but those
// that only add to a prompt.
constexpr int last = 99;
constexpr int secondary = 100;

// Every name by which fal's documents call these parts, in bytewise order.
constexpr std::array names = {
    Name{"additional_prompt", Role::prompt, secondary + 1},
    Name{"background", Role::background},
    Name{"batch_size", Role::count, 7},
    Name{"caption", Role::prompt, 12},
    Name{"compression", Role::compression, 2},
    Name{"compression_quality", Role::compression, 3},
    Name{"custom_prompt", Role::prompt, 8},
    Name{"description", Role::prompt, 13},
    Name{"disable_safety_checker", Role::unsafe_switch},
    Name{"edit_instruction", Role::prompt, 4},
    Name{"edit_prompt", Role::prompt, 3},
    Name{"enable_output_safety_checker", Role::safety_switch, 2},
    Name{"enable_safety_checker", Role::safety_switch},
    Name{"enable_safety_checks", Role::safety_switch, 1},
    Name{"end_user_id", Role::user, 2},
    Name{"format", Role::format, 1},
    Name{"image_count", Role::count, 5},
    Name{"image_format", Role::format, 2},
    Name{"image_quality", Role::quality, 1},
    Name{"input_fidelity", Role::fidelity},
    Name{"instruction", Role::prompt, 1},
    Name{"instructions", Role::prompt, 2},
    Name{"jpeg_quality", Role::compression, 4},
    Name{"max_images", Role::per_run},
    Name{"moderation", Role::moderation},
    Name{"n", Role::count, 8},
    Name{"n_images", Role::count, 4},
    Name{"num_images", Role::count},
    Name{"num_outputs", Role::count, 6},
    Name{"num_results", Role::count, 3},
    Name{"num_samples", Role::count, 2},
    Name{"number_of_images", Role::count, 1},
    Name{"output_compression", Role::compression},
    Name{"output_format", Role::format},
    Name{"output_image_format", Role::format, 3},
    Name{"output_quality", Role::compression, 1},
    Name{"performance", Role::quality, 4},
    Name{"prompt", Role::prompt},
    Name{"quality", Role::quality},
    Name{"rendering_quality", Role::quality, 3},
    Name{"rendering_speed", Role::quality, 2},
    Name{"safety_tolerance", Role::tolerance},
    Name{"scene_description", Role::prompt, secondary},
    Name{"seed", Role::seed},
    Name{"style", Role::style},
    Name{"style_name", Role::style, 2},
    Name{"style_preset", Role::style, 1},
    Name{"style_type", Role::style, 3},
    Name{"styles", Role::style, 4},
    Name{"sync_mode", Role::sync},
    Name{"target_prompt", Role::prompt, 9},
    Name{"text", Role::prompt, 10},
    Name{"text_input", Role::prompt, 6},
    Name{"text_prompt", Role::prompt, 5},
    Name{"transparent", Role::transparency, 1},
    Name{"transparent_background", Role::transparency},
    Name{"user", Role::user},
    Name{"user_id", Role::user, 1},
    Name{"user_prompt", Role::prompt, 7},
};
static_assert(std::ranges::is_sorted(names, {}, &Name::name));

bool takes_text(const Field& field) noexcept { return field.types.string || !field.types.any(); }

bool takes_texts(const Field& field) {
  bool takes = false;
  for_each_shape(field, [&](const Field& shape) {
    takes =
        takes || (shape.types.array && (shape.items == nullptr || takes_any_text(*shape.items)));
  });
  return takes;
}

bool lists_picture_type(const Field& field) {
  bool lists = false;
  for_each_listed(field, [&](const Json& value) {
    const auto word = value.as_string();
    lists = lists || (word && (media::from_name(*word) || media::from_mime(*word)));
  });
  return lists;
}

// A choice between steps of care, as "mode: express, standard, premium" is.
bool lists_quality_steps(const Field& field) {
  bool any = false;
  bool all = true;
  for_each_listed(field, [&](const Json& value) {
    const auto word = value.as_string();
    any = true;
    all = all && word && quality_step(*word);
  });
  return any && all;
}

// The part that an input plays whose name is not in the list, told from the words of its name.
std::optional<Name> name_by_words(const Field& field) {
  const std::string_view name = field.name;
  if (schema::is_count_name(name)) return Name{name, Role::count, last};
  if (schema::is_prompt_name(name)) return Name{name, Role::prompt, last};
  if (schema::is_format_name(name) && lists_picture_type(field))
    return Name{name, Role::format, last};
  if (name == "mode" && lists_quality_steps(field)) return Name{name, Role::quality, last};
  return std::nullopt;
}

bool fits(Role role, const Field& field) {
  switch (role) {
    case Role::prompt:
      return field.allowed.empty() && (takes_text(field) || takes_texts(field));
    case Role::count:
    case Role::per_run:
      return field.types.integer || field.types.number || !field.allowed.empty();
    case Role::seed:
    case Role::compression:
      return field.types.integer || field.types.number;
    case Role::transparency:
    case Role::safety_switch:
    case Role::unsafe_switch:
    case Role::sync:
      return field.types.boolean;
    case Role::style:
      return takes_text(field) || field.types.array;
    case Role::tolerance:
      return true;
    case Role::format:
    case Role::quality:
    case Role::background:
    case Role::moderation:
    case Role::fidelity:
    case Role::user:
      return takes_text(field);
    case Role::end:
      break;
  }
  return false;
}

bool is_picture(const schema::ModelSchema& schema, std::string_view name) {
  return std::ranges::find(schema.image_fields, name, &schema::ImageField::name) !=
         schema.image_fields.end();
}

// A text that says which file, model or voice is used, and not what the picture is to show.
bool names_a_thing(std::string_view name) noexcept {
  if (name.ends_with("_url") || name.ends_with("_id") || name.ends_with("_path")) return true;
  constexpr std::array<std::string_view, 5> things = {"model", "lora", "file", "voice",
                                                      "checkpoint"};
  return std::ranges::any_of(things,
                             [&](std::string_view thing) { return name.starts_with(thing); });
}

// Where no input has a name that is known, the one free text that a model requires is what it wants
// to be told.
const Field* only_required_text(const schema::ModelSchema& schema) {
  const Field* found = nullptr;
  for (const Field& field : schema.inputs) {
    if (!field.required || !field.types.string || !takes_any_text(field) ||
        is_picture(schema, field.name))
      continue;
    if (names_a_thing(field.name)) continue;
    if (found != nullptr) return nullptr;
    found = &field;
  }
  return found;
}

}  // namespace

Inputs::Inputs(const schema::ModelSchema& schema) {
  std::array<int, static_cast<std::size_t>(Role::end)> ranks{};
  for (const Field& field : schema.inputs) {
    const auto known =
        std::ranges::lower_bound(names, std::string_view(field.name), {}, &Name::name);
    const bool listed = known != names.end() && known->name == field.name;
    const std::optional<Name> name = listed ? std::optional(*known) : name_by_words(field);
    if (!name || !fits(name->role, field)) continue;
    if (!listed && name->role == Role::prompt && is_picture(schema, field.name)) continue;
    const auto role = static_cast<std::size_t>(name->role);
    if (fields_[role] != nullptr && ranks[role] <= name->rank) continue;
    fields_[role] = &field;
    ranks[role] = name->rank;
  }
  auto& prompt = fields_[static_cast<std::size_t>(Role::prompt)];
  if (prompt == nullptr || ranks[static_cast<std::size_t>(Role::prompt)] >= secondary) {
    if (const Field* text = only_required_text(schema)) prompt = text;
  }
  auto& count = fields_[static_cast<std::size_t>(Role::count)];
  auto& per_run = fields_[static_cast<std::size_t>(Role::per_run)];
  if (count == nullptr) std::swap(count, per_run);
}

std::vector<std::string_view> known_input_names() {
  std::vector<std::string_view> all;
  all.reserve(names.size());
  for (const Name& name : names) all.push_back(name.name);
  return all;
}

bool same_word(std::string_view a, std::string_view b) noexcept {
  const auto plain = [](char c) { return c == '-' || c == '_' ? ' ' : to_lower(c); };
  return std::ranges::equal(a, b, {}, plain, plain);
}

const Json* find_listed(const Field& field, std::string_view word) {
  const Json* exact = nullptr;
  const Json* alike = nullptr;
  for_each_listed(field, [&](const Json& value) {
    const std::optional<std::string_view> text = value.as_string();
    if (!text) return;
    if (exact == nullptr && *text == word) exact = &value;
    if (alike == nullptr && same_word(*text, word)) alike = &value;
  });
  return exact != nullptr ? exact : alike;
}

bool takes_any_text(const Field& field) {
  if (!field.allowed.empty()) return false;
  bool any = false;
  for_each_shape(field, [&](const Field& shape) {
    any = any || (shape.allowed.empty() && (shape.types.string || !shape.types.any()));
  });
  return any;
}

}  // namespace falproxy::translate
