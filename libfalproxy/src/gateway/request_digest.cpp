#include "gateway/request_digest.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace falproxy::gateway {
namespace {

// Fields one after the other, each with its length, so that no two requests give the same text.
class Canonical {
 public:
  void text(std::string_view value) {
    text_ += std::to_string(value.size());
    text_ += ':';
    text_ += value;
  }
  void number(std::int64_t value) { text(std::to_string(value)); }
  void field(const std::optional<std::string>& value) {
    text_ += value.has_value() ? '+' : '-';
    if (value.has_value()) text(*value);
  }
  void field(const std::optional<int>& value) {
    text_ += value.has_value() ? '+' : '-';
    if (value.has_value()) number(*value);
  }
  [[nodiscard]] const std::string& str() const noexcept { return text_; }

 private:
  std::string text_;
};

void add_image(Canonical& canonical, const openai::ImageInput& image, const Codecs& codecs) {
  canonical.text(image.url);
  if (!image.url.empty()) return;
  const Digest digest = codecs.sha256(image.bytes);
  std::string bytes;
  for (const std::uint8_t byte : digest) bytes += static_cast<char>(byte);
  canonical.text(bytes);
}

}  // namespace

Digest digest_of(const openai::ImageRequest& request, const Codecs& codecs) {
  Canonical canonical;
  canonical.number(static_cast<int>(request.operation));
  canonical.field(request.model);
  canonical.field(request.prompt);
  canonical.field(request.n);
  canonical.number(static_cast<int>(request.size.kind));
  canonical.number(request.size.width);
  canonical.number(request.size.height);
  for (const auto* field : {&request.quality, &request.style, &request.background,
                            &request.moderation, &request.output_format}) {
    canonical.field(*field);
  }
  canonical.field(request.output_compression);
  canonical.field(request.input_fidelity);
  canonical.number(request.response_format.has_value() ? static_cast<int>(*request.response_format)
                                                       : -1);
  canonical.field(request.user);
  canonical.number(request.stream ? 1 : 0);
  canonical.field(request.partial_images);
  canonical.number(static_cast<std::int64_t>(request.images.size()));
  for (const openai::ImageInput& image : request.images) add_image(canonical, image, codecs);
  canonical.number(request.mask.has_value() ? 1 : 0);
  if (request.mask.has_value()) add_image(canonical, *request.mask, codecs);
  for (const auto& [name, value] : request.native) {
    canonical.text(name);
    canonical.text(value.dump());
  }
  return codecs.sha256(canonical.str());
}

}  // namespace falproxy::gateway
