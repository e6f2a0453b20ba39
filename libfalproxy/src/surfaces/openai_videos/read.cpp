#include <algorithm>

#include "base/fmt.hpp"
#include "falproxy/openai_videos.hpp"
#include "wish/length.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {
namespace {

constexpr std::string_view id_prefix = "video_";

// Takes the field out of the model's own.
std::optional<Json> take(Wish& wish, std::string_view name) {
  const auto found = std::ranges::find(wish.native, name, &std::pair<std::string, Json>::first);
  if (found == wish.native.end()) return std::nullopt;
  Json value = std::move(found->second);
  wish.native.erase(found);
  std::erase_if(wish.native_texts, [&](const auto& text) { return text.first == name; });
  return value;
}

std::optional<Error> take_seconds(Wish& wish) {
  constexpr double longest = 86'400;
  // A model's own word for a length ("auto") stays what it is.
  const auto own = std::ranges::find(wish.native, "duration", &std::pair<std::string, Json>::first);
  if (own != wish.native.end() && read_length(own->second).has_value())
    wish.seconds = read_length(*take(wish, "duration"));
  const std::optional<Json> value = take(wish, "seconds");
  if (!value.has_value() || wish.seconds.has_value() || value->as_string() == "") {
    if (!wish.seconds.has_value() || (*wish.seconds > 0 && *wish.seconds <= longest))
      return std::nullopt;
  } else {
    if (!value->is_numeric() && !value->is_string())
      return wording::invalid_type("seconds", "a number of seconds", *value);
    wish.seconds = read_length(*value);
  }
  if (wish.seconds.has_value() && *wish.seconds > 0 && *wish.seconds <= longest)
    return std::nullopt;
  return Error{ErrorKind::invalid_value,
               "Invalid 'seconds': it must be a number of seconds, such as \"8\".", "seconds"};
}

}  // namespace

Result<Wish> as_video(Wish wish) {
  wish.makes = Medium::video;
  wish.intent = Intent::generation;
  wish.stream = false;
  wish.partial_images.reset();
  wish.response_format.reset();
  // Its answer has room for one, and each is paid for.
  if (wish.n.value_or(1) != 1) {
    return Error{ErrorKind::invalid_value,
                 "Invalid 'n': a request makes one video. Send a request for each.", "n"};
  }
  wish.n.reset();
  wish.makes_one = true;
  if (std::optional<Error> fault = take_seconds(wish)) return *std::move(fault);
  return wish;
}

Error video_error(Error error) {
  if (error.field == "image" || error.field == "images") error.field = "input_reference";
  constexpr std::string_view files = "Files are taken in 'image' and 'mask'.";
  if (const std::size_t at = error.message.find(files); at != std::string::npos) {
    error.message.replace(at, files.size(),
                          "A file is taken in 'input_reference'; send others as an address or as a "
                          "data URL.");
  }
  constexpr std::string_view name = "'image'";
  if (const std::size_t at = error.message.find(name); at != std::string::npos)
    error.message.replace(at, name.size(), "'input_reference'");
  return error;
}

std::string video_id(const RunId& id) { return std::string(id_prefix) + id.to_string(); }

std::optional<RunId> parse_video_id(std::string_view text) noexcept {
  if (!text.starts_with(id_prefix)) return std::nullopt;
  return RunId::parse(text.substr(id_prefix.size()));
}

}  // namespace falproxy::inline v0::openai
