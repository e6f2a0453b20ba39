#include "base/endpoint_syntax.hpp"

#include <algorithm>
#include <vector>

#include "base/text.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::size_t max_length = 200;
constexpr std::size_t max_segments = 7;

bool is_segment_char(char c) noexcept { return is_alnum(c) || c == '.' || c == '_' || c == '-'; }

// `12345-name` -> `12345/name`; anything else stays.
std::string modern_form(std::string_view text) {
  std::string id(text);
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos || dash == 0 || dash + 1 == text.size()) return id;
  const std::string_view owner = text.substr(0, dash);
  const std::string_view alias = text.substr(dash + 1);
  const bool legacy = std::ranges::all_of(owner, is_digit) &&
                      std::ranges::all_of(alias, [](char c) { return is_alnum(c) || c == '-'; });
  if (legacy) id[dash] = '/';
  return id;
}

std::string segment_fault(std::string_view segment) {
  if (segment.empty()) return "has an empty part between slashes";
  if (segment == "." || segment == "..") return "has the part \"" + std::string(segment) + "\"";
  if (!std::ranges::all_of(segment, is_segment_char)) {
    return "may hold only letters, digits, '.', '_', '-' and '/'";
  }
  return {};
}

}  // namespace

EndpointSyntax read_endpoint_syntax(std::string_view text) {
  if (text.empty()) return {.fault = "is empty"};
  if (text.size() > max_length) return {.fault = "is longer than 200 characters"};
  EndpointSyntax syntax;
  const std::string id = modern_form(text);
  std::vector<std::string_view> segments;
  for_each_part(id, '/', [&](std::string_view segment) {
    if (syntax.fault.empty()) syntax.fault = segment_fault(segment);
    segments.push_back(segment);
  });
  if (!syntax.fault.empty()) return syntax;

  const bool has_namespace = segments.front() == "workflows" || segments.front() == "comfy";
  const std::size_t app_segments = has_namespace ? 3 : 2;
  if (segments.size() < app_segments) {
    return {.fault = has_namespace ? "must look like workflows/owner/name"
                                   : "must look like owner/name, for example fal-ai/flux/dev"};
  }
  if (segments.size() > max_segments) return {.fault = "has more than 7 parts"};
  for (std::size_t i = 0; i < app_segments; ++i) syntax.app_length += segments[i].size() + 1;
  syntax.app_length -= 1;
  syntax.id = id;
  return syntax;
}

}  // namespace falproxy::inline v0
