#include "falproxy/test_mapping.hpp"

#include <utility>

#include "falproxy/plain_codecs.hpp"

namespace falproxy::inline v0::testing {

Mapping::Mapping(std::string_view document, ModelSettings settings, plan::Options options)
    : profile_(profile::read_profile(document, {}, settings.taught)),
      settings_(std::move(settings)),
      options_(std::move(options)) {}

std::string Mapping::json(std::string_view body, Intent intent) {
  const Result<plan::Plan> made = plan(body, intent);
  if (!made.has_value()) return printed(made.error());
  std::string lines;
  for (const plan::JobInput& job : made->jobs)
    lines += (lines.empty() ? "" : "\n") + job.input.dump();
  return lines;
}

Result<plan::Plan> Mapping::plan(std::string_view body, Intent intent) {
  Result<plan::Plan> made = map(body, intent);
  notes_ = made.has_value() ? made->notes : std::vector<plan::Note>();
  error_ = made.has_value() ? std::nullopt : std::optional(made.error());
  return made;
}

Result<plan::Plan> Mapping::map(std::string_view body, Intent intent) const {
  if (!profile_.has_value()) return profile_.error();
  RequestLimits limits;
  limits.max_images = options_.max_images;
  const Result<Wish> request = openai::parse_json(intent, body, limits, PlainCodecs());
  if (!request.has_value()) return request.error();
  return plan::make_plan(*request, **profile_, settings_, options_);
}

}  // namespace falproxy::inline v0::testing
