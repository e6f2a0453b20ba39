#include <algorithm>

#include "base/fmt.hpp"
#include "falproxy/media.hpp"
#include "falproxy/translate.hpp"

namespace falproxy::translate {
namespace {

std::optional<std::string> format_of(std::string_view content_type) {
  const auto type = media::from_mime(content_type);
  return type ? std::optional(std::string(media::name_of(*type))) : std::nullopt;
}

}  // namespace

Result<FalResult> merge(const FalPlan& plan, std::vector<FalResult> results, const Options& options,
                        std::vector<Note>& notes) {
  FalResult merged;
  std::size_t marked = 0;
  for (FalResult& result : results) {
    for (std::size_t i = 0; i < result.images.size(); ++i) {
      const bool nsfw = i < result.nsfw.size() && result.nsfw[i];
      marked += nsfw ? 1 : 0;
      if (nsfw && options.nsfw_results == NsfwResults::leave_out) continue;
      merged.images.push_back(std::move(result.images[i]));
    }
  }
  if (merged.images.empty()) {
    if (marked == 0)
      return Error{ErrorKind::no_image, "The model finished, but its result holds no picture."};
    return Error{ErrorKind::content_policy,
                 "Your request was rejected by the safety system: the model marked every picture "
                 "as not safe for work."};
  }
  if (marked > 0) {
    const bool left_out = options.nsfw_results == NsfwResults::leave_out;
    notes.push_back({"data", fmt::format("{} of the pictures marked as not safe for work{}", marked,
                                         left_out ? ": left out" : ", and passed on")});
  }
  const auto wanted = static_cast<std::size_t>(std::max(plan.n, 1));
  if (merged.images.size() > wanted) {
    notes.push_back(
        {"n", fmt::format("{} pictures came, {} were asked for: the others were left out",
                          merged.images.size(), wanted)});
    merged.images.resize(wanted);
  } else if (merged.images.size() < wanted) {
    notes.push_back({"n", fmt::format("{} of {} pictures came", merged.images.size(), wanted)});
  }
  return merged;
}

openai::ImageResponse to_openai(const FalPlan& plan, const FalResult& merged,
                                std::vector<Body> pictures, std::int64_t created) {
  openai::ImageResponse response;
  response.created = created;
  response.size = plan.size;
  response.quality = plan.quality;
  response.background = plan.background;
  response.output_format = plan.output_format;
  if (!merged.images.empty()) {
    const FalImage& first = merged.images.front();
    if (first.width && first.height)
      response.size = fmt::format("{}x{}", *first.width, *first.height);
    const std::optional<std::string> format = format_of(first.content_type);
    if (format && !plan.output_format_sent) response.output_format = format;
  }
  response.data.reserve(pictures.size());
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    openai::ImageData item;
    item.content = std::move(pictures[i]);
    item.is_url = plan.response_format == ResponseFormat::url;
    if (i < merged.images.size()) item.revised_prompt = merged.images[i].revised_prompt;
    response.data.push_back(std::move(item));
  }
  return response;
}

}  // namespace falproxy::translate
