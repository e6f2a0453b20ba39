#include "wish/files.hpp"

#include <algorithm>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/http.hpp"
#include "falproxy/media.hpp"

namespace falproxy::inline v0 {
namespace {

// Something that can be an address, by itself or in a list or an object.
bool holds_address(const Json& value) {
  if (const auto text = value.as_string())
    return is_data_url(*text) || Url::parse(*text).has_value();
  for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
    if (holds_address(value.at(i))) return true;
  }
  return value.is_object() && std::ranges::any_of(value.keys(), [&](std::string_view name) {
           return holds_address(*value.find(name));
         });
}

}  // namespace

Error bad_mask(std::string_view why) {
  return {ErrorKind::invalid_mask, fmt::format("Invalid mask image: {}.", why), "mask"};
}

std::optional<Error> check_mask_size(std::string_view mask, std::string_view image) {
  const std::optional<media::Dimensions> size = media::dimensions(mask);
  const std::optional<media::Dimensions> whole = media::dimensions(image);
  if (!size.has_value() || !whole.has_value() || *whole == *size) return std::nullopt;
  return bad_mask(fmt::format("it must be as large as the image, but is {}x{} and the image {}x{}",
                              size->width, size->height, whole->width, whole->height));
}

bool holds_picture(const Wish& request, const std::pair<std::string, Json>& field) {
  const auto& [name, value] = field;
  return (name.find("image") != std::string::npos && holds_address(value)) ||
         std::ranges::find(request.attached, name, &AttachedFile::field) != request.attached.end();
}

bool is_data_url(std::string_view text) noexcept {
  return equal_ignoring_case(text.substr(0, 5), "data:");
}

}  // namespace falproxy::inline v0
