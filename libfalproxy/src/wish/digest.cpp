#include "wish/digest.hpp"

#include <optional>
#include <string>
#include <string_view>

#include "base/fmt.hpp"
#include "falproxy/body_source.hpp"

namespace falproxy::inline v0 {
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
  void field(const std::optional<double>& value) {
    text_ += value.has_value() ? '+' : '-';
    if (value.has_value()) text(fmt::format("{}", *value));
  }
  void field(const std::optional<int>& value) {
    text_ += value.has_value() ? '+' : '-';
    if (value.has_value()) number(*value);
  }
  [[nodiscard]] const std::string& str() const noexcept { return text_; }

 private:
  std::string text_;
};

void add_image(Canonical& canonical, const InputFile& image, const Codecs& codecs) {
  canonical.text(image.url);
  if (!image.url.empty()) return;
  const Digest digest =
      image.source != nullptr ? image.source->sha256() : codecs.sha256(image.bytes);
  std::string bytes;
  for (const std::uint8_t byte : digest) bytes += static_cast<char>(byte);
  canonical.text(bytes);
}

}  // namespace

std::size_t bytes_in(const Wish& wish) {
  const auto size_of = [](const InputFile& image) { return image.url.size() + image.bytes.size(); };
  std::size_t bytes = wish.mask.has_value() ? size_of(*wish.mask) : 0;
  for (const InputFile& image : wish.images) bytes += size_of(image);
  for (const AttachedFile& one : wish.attached) bytes += size_of(one.picture);
  return bytes;
}

Digest digest_of(const Wish& wish, const Codecs& codecs) {
  Canonical canonical;
  canonical.number(static_cast<int>(wish.makes));
  canonical.number(static_cast<int>(wish.intent));
  canonical.field(wish.model);
  canonical.field(wish.prompt);
  canonical.field(wish.n);
  canonical.number(static_cast<int>(wish.size.kind));
  canonical.number(wish.size.width);
  canonical.number(wish.size.height);
  canonical.field(wish.size_word);
  canonical.field(wish.seconds);
  for (const auto* field :
       {&wish.quality, &wish.style, &wish.background, &wish.moderation, &wish.output_format}) {
    canonical.field(*field);
  }
  canonical.field(wish.output_compression);
  canonical.field(wish.input_fidelity);
  canonical.number(wish.response_format.has_value() ? static_cast<int>(*wish.response_format) : -1);
  canonical.field(wish.user);
  canonical.number(wish.stream ? 1 : 0);
  canonical.field(wish.partial_images);
  canonical.field(wish.instructions);
  canonical.field(wish.voice);
  canonical.field(wish.speed);
  canonical.field(wish.language);
  canonical.number(wish.translate ? 1 : 0);
  canonical.number(static_cast<int>(wish.times));
  canonical.number((wish.makes_one ? 4 : 0) + (wish.needs_times ? 2 : 0) + (wish.speakers ? 1 : 0));
  canonical.number(static_cast<std::int64_t>(wish.images.size()));
  for (const InputFile& image : wish.images) add_image(canonical, image, codecs);
  canonical.number(wish.mask.has_value() ? 1 : 0);
  if (wish.mask.has_value()) add_image(canonical, *wish.mask, codecs);
  for (const auto& [name, value] : wish.native) {
    canonical.text(name);
    canonical.text(value.dump());
  }
  for (const auto& [name, text] : wish.native_texts) {
    canonical.text(name);
    canonical.text(text);
  }
  for (const AttachedFile& one : wish.attached)
    add_image(canonical, one.picture, codecs);  // their places are told by the native fields
  return codecs.sha256(canonical.str());
}

}  // namespace falproxy::inline v0
