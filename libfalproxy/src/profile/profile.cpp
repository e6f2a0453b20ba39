#include "falproxy/profile.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "profile/media_inputs.hpp"
#include "profile/outputs.hpp"
#include "profile/roles.hpp"
#include "profile/shapes.hpp"
#include "profile/sizes.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::profile {
namespace {

using schema::Field;

bool lists(const Field* field, std::string_view word) {
  return field != nullptr && find_listed(*field, word) != nullptr;
}

// A model that passes OpenAI's own parameters through wants OpenAI's own masks.
bool is_openai_like(const Profile& profile) {
  const Field* quality = profile[Role::quality];
  if (!lists(quality, "low") || !lists(quality, "medium") || !lists(quality, "high")) return false;
  return lists(profile.schema->input("image_size"), "1024x1024") ||
         lists(profile.schema->input("size"), "1024x1024") ||
         lists(profile[Role::background], "transparent") || profile[Role::fidelity] != nullptr;
}

// The colour that a description, in lower case, gives to what is changed: what it says of black and
// of white, each up to the next colour or the end of the sentence.
MaskConvention mask_told(std::string_view text) {
  std::optional<MaskConvention> told;
  while (true) {
    const std::size_t at = std::min(text.find("black"), text.find("white"));
    if (at == std::string_view::npos) return told.value_or(MaskConvention::either);
    const bool white = text.substr(at).starts_with("white");
    text.remove_prefix(at + 5);
    const std::string_view said =
        text.substr(0, std::min({text.find('.'), text.find("black"), text.find("white")}));
    const bool kept = words("prose", "mask.kept").told_in(said);
    if (!kept && !words("prose", "mask.changed").told_in(said)) continue;
    const MaskConvention changed = white != kept ? MaskConvention::white : MaskConvention::black;
    if (told && *told != changed) return MaskConvention::either;
    told = changed;
  }
}

MaskConvention mask_of(const Profile& profile) {
  if (is_openai_like(profile)) return MaskConvention::alpha;
  const auto mask = std::ranges::find(profile.media, Part::mask, &MediaInput::part);
  if (mask == profile.media.end()) return MaskConvention::either;
  return mask_told(to_lower(profile.schema->input(mask->name)->description));
}

std::optional<Part> part_named(std::string_view name) noexcept {
  if (name == "image") return Part::source;
  for (const Part part : {Part::first, Part::last, Part::mask, Part::control, Part::reference,
                          Part::voice, Part::source}) {
    if (name == name_of(part)) return part;
  }
  return std::nullopt;
}

void teach_input(Profile& profile, std::string_view meaning, const Field& field) {
  if (const auto role = role_named(meaning)) {
    std::erase_if(profile.roles,
                  [&](const RoleInput& one) { return one.role == *role || one.field == &field; });
    std::erase_if(profile.media, [&](const MediaInput& one) { return one.name == field.name; });
    profile.roles.push_back({*role, field.name, &field});
    if (role == Role::length) profile.length_unit = length_unit(field);
  } else if (const auto part = part_named(meaning)) {
    std::optional<MediaInput> input = media_input(field, *part);
    if (!input) return;
    std::erase_if(profile.roles, [&](const RoleInput& one) { return one.field == &field; });
    std::erase_if(profile.media, [&](const MediaInput& one) { return one.name == field.name; });
    for (MediaInput& other : profile.media) {
      if (other.part == *part && other.medium == input->medium) other.part = Part::other;
    }
    profile.media.insert(profile.media.begin(), *std::move(input));
  }
}

void teach(Profile& profile, const Teaching& taught) {
  for (const auto& [meaning, name] : taught.inputs) {
    if (const Field* field = profile.schema->input(name)) teach_input(profile, meaning, *field);
  }
}

}  // namespace

const RoleInput* Profile::find(Role role) const noexcept {
  const auto found = std::ranges::find(roles, role, &RoleInput::role);
  return found == roles.end() ? nullptr : &*found;
}

const Field* Profile::operator[](Role role) const noexcept {
  const RoleInput* input = find(role);
  return input == nullptr || input->path != input->field->name ? nullptr : input->field;
}

const MediaInput* Profile::file(std::string_view name) const noexcept {
  const auto found = std::ranges::find(media, name, &MediaInput::name);
  return found == media.end() ? nullptr : &*found;
}

std::string_view name_of(Part part) noexcept {
  constexpr std::string_view names[] = {"source",    "first", "mask", "control",
                                        "reference", "voice", "last", "other"};
  return names[static_cast<std::size_t>(part)];
}

// Beside a tier a preset ("landscape_16_9") is a shape.
void settle_for_videos(SizeControls& sizes) {
  sizes.of_videos = true;
  const auto is_tier = [&](const WordControl& control) { return sizes.is_tier(*control.field); };
  if (std::ranges::none_of(sizes.words, is_tier)) return;
  for (WordControl& control : sizes.words) {
    if (is_tier(control)) continue;
    for (WordControl::Word& word : control.words) {
      const auto text = word.value->as_string();
      if (!text || text->empty() || is_digit(text->front())) continue;
      word.term.pixels.reset();
      word.term.area.reset();
    }
  }
}

Profile make_profile(std::shared_ptr<const schema::ModelSchema> schema, const Teaching& taught) {
  Profile profile;
  Outputs outputs = find_outputs(*schema);
  if (!taught.outputs.empty()) {
    outputs.makes = Medium::image;
    outputs.main = {{taught.outputs, Medium::image}};
  }
  profile.makes = outputs.makes;
  profile.outputs = std::move(outputs.main);
  profile.beside = std::move(outputs.beside);
  profile.times = std::move(outputs.times);
  profile.media = find_media(*schema, profile.makes);
  profile.roles = find_roles(*schema, profile.makes, profile.media);
  profile.schema = std::move(schema);
  if (const RoleInput* length = profile.find(Role::length))
    profile.length_unit = length_unit(*length->field);
  teach(profile, taught);
  const auto size =
      std::ranges::find(taught.inputs, "size", &std::pair<std::string, std::string>::first);
  SizeControls sizes = find_size_controls(
      *profile.schema, size == taught.inputs.end() ? std::string_view() : size->second);
  if (profile.makes == Medium::video) settle_for_videos(sizes);
  profile.sizes = std::make_shared<const SizeControls>(std::move(sizes));
  profile.mask = mask_of(profile);
  return profile;
}

Result<std::shared_ptr<const Profile>> read_profile(std::string_view document,
                                                    std::string_view endpoint,
                                                    const Teaching& taught) {
  Result<schema::ModelSchema> schema = schema::analyze(document, endpoint);
  if (!schema) return std::move(schema).error();
  return std::make_shared<const Profile>(
      make_profile(std::make_shared<const schema::ModelSchema>(std::move(*schema)), taught));
}

}  // namespace falproxy::inline v0::profile
