#include "plan/draft.hpp"

#include <algorithm>

#include "base/fmt.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;

const Draft::Entry* Draft::find(const schema::Field* field) const noexcept {
  const auto found = std::ranges::find(entries, field, &Entry::field);
  return field == nullptr || found == entries.end() ? nullptr : &*found;
}

void Draft::send(const schema::Field& field, Json value, Source source, std::string_view from,
                 std::string why) {
  plan.mappings.push_back({std::string(from), field.name, value, std::move(why)});
  entries.push_back({&field, std::move(value), source});
}

void Draft::drop(std::string_view field, Json value, std::string why) {
  if (plan.notes.size() < most_notes)
    plan.mappings.push_back({std::string(field), {}, std::move(value), why});
  note(field, std::move(why));
}

void Draft::note(std::string_view field, std::string text) {
  if (plan.notes.size() < most_notes) {
    plan.notes.push_back({std::string(field), std::move(text)});
  } else {
    ++more_notes_;
  }
}

void Draft::count_notes() {
  if (more_notes_ > 0) plan.notes.push_back({"", fmt::format("and {} more", more_notes_)});
}

std::string list_values(const schema::Field& field) {
  constexpr std::size_t most = 12;
  std::string text;
  std::size_t count = 0;
  for_each_listed(field, [&](const Json& value) {
    if (++count > most) return;
    if (!text.empty()) text += ", ";
    const auto word = value.as_string();
    text += word ? "'" + std::string(*word) + "'" : value.dump();
  });
  if (count > most) text += ", and more";
  return text;
}

}  // namespace falproxy::inline v0::plan
