#include "openai/pictures.hpp"

#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "openai/wording.hpp"

namespace falproxy::openai {
namespace {

using media::ImageType;

bool is_supported(std::optional<ImageType> type) noexcept {
  return type == ImageType::png || type == ImageType::jpeg || type == ImageType::webp ||
         type == ImageType::gif;
}

std::string_view shown_type(std::optional<ImageType> type) noexcept {
  return type.has_value() ? media::mime_type(*type) : "application/octet-stream";
}

constexpr std::array<bool, 256> base64_alphabet = [] {
  std::array<bool, 256> table{};
  for (unsigned c = 0; c < 128; ++c) {
    table[c] = is_alnum(static_cast<char>(c)) || c == '+' || c == '/';
  }
  return table;
}();

bool is_base64(std::string_view text) noexcept {
  if (text.empty() || text.size() % 4 != 0) return false;
  for (int padding = 0; padding < 2 && text.back() == '='; ++padding) text.remove_suffix(1);
  return std::ranges::all_of(text,
                             [](char c) { return base64_alphabet[static_cast<unsigned char>(c)]; });
}

Error too_large(std::string_view field, std::size_t bytes, std::size_t most) {
  return {ErrorKind::body_too_large,
          fmt::format("Invalid file '{}': {} bytes are more than the {} that a picture may have.",
                      field, bytes, most),
          std::string(field)};
}

Error bad_mask(std::string_view why) {
  return {ErrorKind::invalid_mask, fmt::format("Invalid mask image: {}.", why), "mask"};
}

}  // namespace

Result<ImageInput> PictureReader::from_text(std::string text, std::string_view field) const {
  if (equal_ignoring_case(std::string_view(text).substr(0, 5), "data:")) {
    return from_data_url(std::move(text), field);
  }
  if (!Url::parse(text).has_value()) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid value for '{}': '{}' is neither a plain http(s) address nor "
                             "a data URL such as "
                             "'data:image/png;base64,...'.",
                             field, shown(text)),
                 std::string(field)};
  }
  return ImageInput{.url = std::move(text)};
}

Result<ImageInput> PictureReader::from_data_url(std::string text, std::string_view field) const {
  const std::optional<media::DataUri> uri = media::parse_data_uri(text);
  if (!uri.has_value() || !is_base64(uri->base64)) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid value for '{}': a data URL must look like "
                             "'data:image/png;base64,...' and hold "
                             "padded base64 without blanks.",
                             field),
                 std::string(field)};
  }
  const std::size_t decoded_size = uri->base64.size() / 4 * 3;
  if (decoded_size > limits_.max_upload_bytes + 2)
    return too_large(field, decoded_size, limits_.max_upload_bytes);

  const std::optional<std::string> head = codecs_.decode_base64(uri->base64.substr(0, 64));
  const std::optional<ImageType> type = media::sniff(head.value_or(""));
  if (!is_supported(type)) return unsupported_file(field, shown_type(type));
  if (!equal_ignoring_case(uri->mime, media::mime_type(*type))) {
    text = fmt::format("data:{};base64,{}", media::mime_type(*type), uri->base64);
  }
  return ImageInput{.url = std::move(text)};
}

Result<ImageInput> PictureReader::from_bytes(std::shared_ptr<const std::string> owner,
                                             std::string_view bytes, std::string name,
                                             std::string_view field) const {
  if (bytes.size() > limits_.max_upload_bytes)
    return too_large(field, bytes.size(), limits_.max_upload_bytes);
  const std::optional<ImageType> type = media::sniff(bytes);
  if (!is_supported(type)) return unsupported_file(field, shown_type(type));
  return ImageInput{.owner = std::move(owner), .bytes = bytes, .name = std::move(name)};
}

// The first bytes of a picture that came with the request, enough for its dimensions; nothing of
// one that is an address.
std::string PictureReader::head_of(const ImageInput& picture) const {
  constexpr std::size_t enough = 256u << 10;
  if (picture.url.empty()) return std::string(picture.bytes.substr(0, enough));
  const std::optional<media::DataUri> uri = media::parse_data_uri(picture.url);
  if (!uri.has_value()) return {};
  return codecs_.decode_base64(uri->base64.substr(0, enough / 3 * 4)).value_or("");
}

std::optional<Error> PictureReader::check_mask(const ImageRequest& request) const {
  const std::string mask = head_of(*request.mask);
  if (mask.empty()) return std::nullopt;  // an address, which falproxy never fetches
  if (media::sniff(mask) != ImageType::png) return bad_mask("it must be a PNG file");
  const std::optional<media::Dimensions> size = media::dimensions(mask);
  if (!size.has_value()) return bad_mask("the PNG file is broken");
  if (request.images.empty()) return std::nullopt;
  const std::optional<media::Dimensions> image = media::dimensions(head_of(request.images.front()));
  if (!image.has_value() || *image == *size) return std::nullopt;
  return bad_mask(
      fmt::format("it must be as large as the first image, but is {}x{} and the image {}x{}",
                  size->width, size->height, image->width, image->height));
}

Error as_mask_fault(Error fault) {
  if (fault.kind != ErrorKind::unsupported_file) return fault;
  return bad_mask("it must be a PNG file");
}

std::optional<Error> PictureReader::check(const ImageRequest& request) const {
  if (request.images.size() > limits_.max_input_images) {
    return Error{
        ErrorKind::invalid_value,
        fmt::format(
            "Invalid 'image': array too long. Expected an array with maximum length {}, but got an "
            "array with length {} instead.",
            limits_.max_input_images, request.images.size()),
        "image"};
  }
  const bool native_picture = std::ranges::any_of(request.native, [](const auto& field) {
    return field.first.find("image") != std::string::npos;
  });
  const bool has_picture = native_picture || !request.images.empty();
  if (request.mask.has_value() && !has_picture)
    return bad_mask("there is a mask, but no image that it belongs to");
  if (request.operation != ImageOperation::generation && !has_picture)
    return missing_parameter("image");
  if (request.operation == ImageOperation::generation && !has_picture &&
      !request.prompt.has_value()) {
    return missing_parameter("prompt");
  }
  return request.mask.has_value() ? check_mask(request) : std::nullopt;
}

}  // namespace falproxy::openai
