// What a model's document decides if a request for a video leaves it open.

#include <algorithm>

#include "base/fmt.hpp"
#include "plan/draft.hpp"
#include "profile/sizes.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

using schema::Field;

// A value as a Note names it.
std::string told_value(const Json& value) {
  const auto word = value.as_string();
  return word ? std::string(*word) : value.dump();
}

// What the size inputs are by default: pixels if they are known, else as the document has them.
std::string usual_size(const Draft& draft) {
  if (draft.plan.size) return *draft.plan.size;
  std::string text;
  for (const Field& field : draft.schema.inputs) {
    if (!draft.profile.sizes->has(field) || !field.default_value) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", field.name,
                        told_value(*field.default_value));
  }
  return text;
}

}  // namespace

void tell_defaults(Draft& draft) {
  if (draft.request.makes != Medium::video) return;
  const Field* length = draft.profile[Role::length];
  const bool is_open = length != nullptr && !draft.has(length) && !draft.request.seconds;
  if (is_open && length->default_value) {
    draft.note("seconds",
               "not given: the model's default, " +
                   (draft.plan.seconds
                        ? fmt::format("{} seconds", *draft.plan.seconds)
                        : fmt::format("{} {}", length->name, told_value(*length->default_value))));
  }
  const bool asked = draft.asked.wish.kind != SizeWish::Kind::none || asks_for_a_size(draft);
  const bool sent = std::ranges::any_of(draft.entries, [&](const Draft::Entry& entry) {
    return draft.profile.sizes->has(*entry.field);
  });
  const std::string size = asked || sent ? std::string() : usual_size(draft);
  if (!size.empty()) draft.note("size", "not given: the model's default, " + size);
  for (const Field& field : draft.schema.inputs) {
    const bool is_on = words("inputs", "sound").has(field.name) && !draft.has(&field) &&
                       field.default_value && field.default_value->as_boolean() == true;
    if (is_on) draft.note(field.name, "not given: the video has sound, which may cost more");
  }
}

}  // namespace falproxy::inline v0::plan
