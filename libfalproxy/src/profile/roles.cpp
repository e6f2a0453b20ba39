#include "profile/roles.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "profile/names.hpp"
#include "profile/quality_ladder.hpp"
#include "profile/shapes.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::profile {
namespace {

using schema::Field;

enum class Takes : std::uint8_t { text, texts, number, count, toggle, texts_or_list, any, length };

struct Row {
  Role role;
  std::string_view name;  // of the list in vocabulary.json, too
  std::string_view asked_by;
  Takes takes;
};
// `asked_by`: how requests and operators call it.
constexpr std::array rows = {
    Row{Role::text, "text", "prompt", Takes::texts},
    Row{Role::guide, "guide", "instructions", Takes::texts},
    Row{Role::count, "count", "n", Takes::count},
    Row{Role::per_run, "per_run", "max_images", Takes::count},
    Row{Role::seed, "seed", "seed", Takes::number},
    Row{Role::format, "format", "output_format", Takes::text},
    Row{Role::compression, "compression", "output_compression", Takes::number},
    Row{Role::quality, "quality", "quality", Takes::text},
    Row{Role::style, "style", "style", Takes::texts_or_list},
    Row{Role::background, "background", "background", Takes::text},
    Row{Role::transparency, "transparency", "transparent_background", Takes::toggle},
    Row{Role::moderation, "moderation", "moderation", Takes::text},
    Row{Role::safety_switch, "safety_switch", "safety_checker", Takes::toggle},
    Row{Role::tolerance, "tolerance", "safety_tolerance", Takes::any},
    Row{Role::fidelity, "fidelity", "input_fidelity", Takes::text},
    Row{Role::delivery, "delivery", "sync_mode", Takes::any},
    Row{Role::user, "user", "user", Takes::text},
    Row{Role::limit_runs, "limit_runs", "limit_generations", Takes::toggle},
    Row{Role::length, "length", "seconds", Takes::length},
    Row{Role::frame_rate, "frame_rate", "frames_per_second", Takes::length},
    Row{Role::voice, "voice", "voice", Takes::text},
    Row{Role::speed, "speed", "speed", Takes::number},
    Row{Role::language, "language", "language", Takes::text},
    Row{Role::task, "task", "task", Takes::any},
    Row{Role::timing, "timing", "timing", Takes::any},
    Row{Role::speakers, "speakers", "speakers", Takes::toggle},
};

bool takes_text(const Field& field) noexcept { return field.types.string || !field.types.any(); }

bool takes_texts(const Field& field) {
  bool takes = false;
  for_each_shape(field, [&](const Field& shape) {
    takes =
        takes || (shape.types.array && (shape.items == nullptr || takes_any_text(*shape.items)));
  });
  return takes;
}

bool fits(Takes takes, const Field& field) {
  switch (takes) {
    case Takes::text:
      return takes_text(field);
    case Takes::texts:
      return field.allowed.empty() && (takes_text(field) || takes_texts(field));
    case Takes::number:
      return takes_number(field);
    case Takes::count:
      return takes_number(field) || !field.allowed.empty();
    case Takes::toggle:
      return field.types.boolean;
    case Takes::texts_or_list:
      return takes_text(field) || field.types.array;
    case Takes::length:
      return takes_number(field) || takes_text(field);
    case Takes::any:
      break;
  }
  return true;
}

template <class F>
bool any_listed(const Field& field, F&& says) {
  bool any = false;
  for_each_listed(field, [&](const Json& value) {
    const auto word = value.as_string();
    any = any || (word && says(*word));
  });
  return any;
}
template <class F>
bool all_listed(const Field& field, F&& says) {
  return any_listed(field, says) &&
         !any_listed(field, [&](std::string_view word) { return !says(word); });
}

// "X264 (.mp4)", "mp3_44100_128", "image/png".
bool names_file_type(std::string_view word, Medium medium) {
  if (medium == Medium::image) return media::from_name(word) || media::from_mime(word);
  const Words& types = words("types", name_of(medium));
  std::string plain = to_lower(word);
  std::ranges::replace_if(plain, [](char c) { return !is_alnum(c); }, '_');
  return types.any_in(plain);
}

bool lists_file_type(const Field& field, std::optional<Medium> makes) {
  const Medium medium = makes.value_or(Medium::image);
  if (medium != Medium::image && medium != Medium::video && medium != Medium::audio) return false;
  return any_listed(field, [&](std::string_view word) { return names_file_type(word, medium); });
}

bool lists_deliveries(const Field& field) {
  return all_listed(field,
                    [](std::string_view word) { return says(words("values", "delivery"), word); });
}

// The rank of what is told by the words of its name, after every name that is listed but those that
// only add to a text.
constexpr std::size_t by_words = 99;
constexpr std::size_t within = 1000;  // another input

class Finder {
 public:
  Finder(const schema::ModelSchema& schema, std::optional<Medium> makes,
         const std::vector<MediaInput>& media)
      : schema_(schema), makes_(makes), media_(media) {}

  std::vector<RoleInput> find() {
    for (const Field& field : schema_.inputs) {
      if (!is_file(field)) look_at(field, field.name, 0);
    }
    if (makes_ == Medium::audio) look_within();
    take_only_text();
    settle();
    std::vector<RoleInput> found;
    for (const Row& row : rows) {
      Found& best = best_of(row.role);
      if (best.field != nullptr) found.push_back({row.role, std::move(best.path), best.field});
    }
    return found;
  }

 private:
  struct Found {
    const Field* field = nullptr;
    std::string path = {};
    std::size_t rank = std::numeric_limits<std::size_t>::max();
  };

  Found& best_of(Role role) { return found_.at(static_cast<std::size_t>(role)); }

  bool is_file(const Field& field) const {
    return std::ranges::find(media_, field.name, &MediaInput::name) != media_.end();
  }

  void offer(Role role, const Field& field, const std::string& path, std::size_t rank) {
    Found& best = best_of(role);
    if (rank < best.rank) best = {&field, path, rank};
  }

  void look_at(const Field& field, const std::string& path, std::size_t rank) {
    for (const Row& row : rows) {
      const std::optional<std::size_t> own = rank_of(row, field);
      if (own) offer(row.role, field, path, rank + *own);
    }
    const std::string_view name = field.name;
    if (is_count_name(name) && length_unit(name) != LengthUnit::frames && fits(Takes::count, field))
      offer(Role::count, field, path, rank + by_words);
    if (is_prompt_name(name) && fits(Takes::texts, field))
      offer(Role::text, field, path, rank + by_words);
    if (is_format_name(name) && takes_text(field) && lists_file_type(field, makes_))
      offer(Role::format, field, path, rank + by_words);
    if (makes_ != Medium::image && is_length_name(name) && fits(Takes::length, field))
      offer(Role::length, field, path, rank + by_words);
    if (makes_ == Medium::audio && is_voice_name(name) && fits(Takes::text, field))
      offer(Role::voice, field, path, rank + by_words);
    const auto is_step = [](std::string_view word) { return quality_step(word).has_value(); };
    if (name == "mode" && all_listed(field, is_step))
      offer(Role::quality, field, path, rank + by_words);
  }

  [[nodiscard]] std::optional<std::size_t> rank_of(const Row& row, const Field& field) const {
    std::optional<std::size_t> rank = words("inputs", row.name).rank(field.name);
    if (row.role == Role::text && makes_ == Medium::audio) {
      // What is spoken comes first, and a prompt beside it says how.
      const auto spoken = words("inputs", "text.spoken").rank(field.name);
      rank = spoken ? spoken : rank ? std::optional(*rank + 10) : rank;
    } else if (row.role == Role::text && rank && words("inputs", "text.added").has(field.name)) {
      rank = *rank + by_words;
    }
    if (!rank || !fits(row.takes, field)) return std::nullopt;
    const bool files = makes_ != Medium::image;
    switch (row.role) {
      case Role::guide:
        return makes_ == Medium::audio ? rank : std::nullopt;
      case Role::length:
      case Role::frame_rate:
      case Role::voice:
      case Role::speed:
      case Role::language:
        return files ? rank : std::nullopt;
      case Role::task:
      case Role::timing:
      case Role::speakers:
        return makes_ == Medium::text ? rank : std::nullopt;
      case Role::format:
        if (lists_deliveries(field)) return std::nullopt;
        return !files || lists_file_type(field, makes_) ? rank : std::nullopt;
      case Role::delivery:
        return field.types.boolean || lists_deliveries(field) ? rank : std::nullopt;
      default:
        return rank;
    }
  }

  // "voice_setting.speed", "inputs[].text".
  void look_within() {
    for (const Field& field : schema_.inputs) {
      const Field* elements = elements_of(field);
      const std::string path = field.name + (elements == nullptr ? "." : "[].");
      for_each_shape(elements == nullptr ? field : *elements, [&](const Field& shape) {
        for (const Field& member : shape.properties) {
          for (const Role role :
               {Role::text, Role::format, Role::voice, Role::speed, Role::language})
            offer_member(role, member, path + member.name);
          // "voice.id"
          const bool names = member.name == "id" || member.name == "name";
          if (names && is_voice_name(field.name) && fits(Takes::text, member))
            offer(Role::voice, member, path + member.name, within + by_words);
        }
      });
    }
  }

  void offer_member(Role role, const Field& member, const std::string& path) {
    const auto row = std::ranges::find(rows, role, &Row::role);
    if (const auto rank = rank_of(*row, member)) offer(role, member, path, within + *rank);
  }

  // Where no input has a name that is known, the one free text that a model requires is what it
  // wants to be told.
  void take_only_text() {
    Found& text = best_of(Role::text);
    if (text.field != nullptr && !words("inputs", "text.added").has(text.field->name)) return;
    const Field* only = nullptr;
    for (const Field& field : schema_.inputs) {
      const bool free = field.required && field.types.string && takes_any_text(field);
      if (!free || is_file(field) || names_a_thing(field.name) || has_a_role(field)) continue;
      if (only != nullptr) return;
      only = &field;
    }
    if (only != nullptr) text = {only, only->name};
  }

  // A text that says which file, model or voice is used, and not what the result is to be.
  static bool names_a_thing(std::string_view name) noexcept {
    if (name.ends_with("_url") || name.ends_with("_id") || name.ends_with("_path")) return true;
    return std::ranges::any_of(words("words", "text.things"),
                               [&](const Word& thing) { return name.starts_with(thing.text); });
  }

  bool has_a_role(const Field& field) {
    return std::ranges::any_of(found_, [&](const Found& found) { return found.field == &field; });
  }

  void settle() {
    Found& count = best_of(Role::count);
    Found& per_run = best_of(Role::per_run);
    if (count.field == nullptr) std::swap(count, per_run);
    Found& guide = best_of(Role::guide);
    if (guide.field == best_of(Role::text).field) {
      guide = {};
      const auto row = std::ranges::find(rows, Role::guide, &Row::role);
      for (const Field& field : schema_.inputs) {
        const auto rank = rank_of(*row, field);
        if (rank && &field != best_of(Role::text).field)
          offer(Role::guide, field, field.name, *rank);
      }
    }
    const Found& length = best_of(Role::length);
    if (length.field == nullptr || length_unit(*length.field) != LengthUnit::frames)
      best_of(Role::frame_rate) = {};
  }

  const schema::ModelSchema& schema_;
  const std::optional<Medium> makes_;
  const std::vector<MediaInput>& media_;
  std::array<Found, rows.size()> found_{};
};

}  // namespace

std::string_view name_of(Role role) noexcept {
  return std::ranges::find(rows, role, &Row::role)->name;
}

std::optional<Role> role_named(std::string_view name) noexcept {
  const auto row = std::ranges::find(rows, name, &Row::asked_by);
  return row == rows.end() ? std::nullopt : std::optional(row->role);
}

LengthUnit length_unit(std::string_view name) {
  if (words("words", "milliseconds").any_in(name)) return LengthUnit::milliseconds;
  return words("words", "frames").any_in(name) ? LengthUnit::frames : LengthUnit::seconds;
}

LengthUnit length_unit(const Field& field) {
  const LengthUnit named = length_unit(field.name);
  const bool tells =
      named != LengthUnit::seconds || words("words", "length.units").any_in(field.name);
  const bool frames = !tells && words("prose", "frames").told_in(to_lower(field.description));
  return frames ? LengthUnit::frames : named;
}

std::vector<RoleInput> find_roles(const schema::ModelSchema& schema, std::optional<Medium> makes,
                                  const std::vector<MediaInput>& media) {
  return Finder(schema, makes, media).find();
}

}  // namespace falproxy::inline v0::profile
