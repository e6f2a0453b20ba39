// How much the jobs of a plan will bring and take: what fal bills by.

#include <charconv>

#include "falproxy/media.hpp"
#include "plan/draft.hpp"
#include "profile/roles.hpp"

namespace falproxy::inline v0::plan {
namespace {

// Of "1024x768".
std::optional<std::uint64_t> pixels_of(const std::string& size) {
  std::uint64_t width = 0, height = 0;
  const char* const end = size.data() + size.size();
  const auto [by, fault] = std::from_chars(size.data(), end, width);
  if (fault != std::errc() || by == end || *by != 'x') return std::nullopt;
  const auto [rest, other] = std::from_chars(by + 1, end, height);
  if (other != std::errc() || rest != end) return std::nullopt;
  return width * height;
}

// Code points.
std::uint64_t characters_in(std::string_view text) {
  std::uint64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1U : 0U;
  return count;
}

// Of a recording, as far as it tells.
std::optional<double> seconds_heard(const Wish& request) {
  for (const InputFile& file : request.images) {
    if (file.medium != Medium::audio) continue;
    return media::sound_seconds(file.bytes, file.source.get());
  }
  return std::nullopt;
}

}  // namespace

void tell_quantities(Draft& draft) {
  Quantities& expected = draft.plan.expected;
  if (draft.plan.makes == Medium::image && draft.plan.size)
    expected.pixels = pixels_of(*draft.plan.size);
  if (draft.plan.makes != Medium::image) expected.seconds = length_in_seconds(draft);
  if (draft.plan.makes == Medium::text) expected.seconds = seconds_heard(draft.request);
  const schema::Field* text = draft.profile[Role::text];
  const Draft::Entry* entry = text == nullptr ? nullptr : draft.find(text);
  if (entry != nullptr && entry->value.is_string())
    expected.characters = characters_in(*entry->value.as_string());
}

Quantities expected_of(const Plan& plan, const JobInput& job) {
  Quantities expected = plan.expected;
  if (plan.makes == Medium::image) expected.images = job.images;
  return expected;
}

}  // namespace falproxy::inline v0::plan
