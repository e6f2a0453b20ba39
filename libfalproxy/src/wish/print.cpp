#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/body_source.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0 {
namespace {

std::string bytes_of(std::string_view bytes) {
  return bytes.empty() ? std::string() : fmt::format("{} bytes", bytes.size());
}

}  // namespace

std::string_view name_of(Intent value) noexcept {
  constexpr std::string_view names[] = {"generation", "edit", "variation"};
  return name_at(names, value);
}

std::string_view name_of(Times value) noexcept {
  constexpr std::string_view names[] = {"none", "segments", "words"};
  return name_at(names, value);
}

std::string_view name_of(SizeWish::Kind value) noexcept {
  constexpr std::string_view names[] = {"none", "automatic", "pixels", "ratio"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const SizeWish& wish) {
  switch (wish.kind) {
    case SizeWish::Kind::pixels:
      return out << fmt::format("{}x{}", wish.width, wish.height);
    case SizeWish::Kind::ratio:
      return out << fmt::format("{}:{}", wish.width, wish.height);
    case SizeWish::Kind::automatic:
      return out << "auto";
    case SizeWish::Kind::none:
      break;
  }
  return out << "none";
}

std::ostream& operator<<(std::ostream& out, const InputFile& input) {
  const bool picture = input.medium == Medium::image;
  const std::string_view medium = picture ? std::string_view() : name_of(input.medium);
  return Printer(out, "InputFile")("url", input.url)("bytes", bytes_of(input.bytes))(
             "name", input.name)("medium", medium)(
             "source_bytes", input.source == nullptr
                                 ? std::nullopt
                                 : std::optional(input.source->size()))("is_own", input.is_own)
      .end();
}

std::ostream& operator<<(std::ostream& out, const AttachedFile& file) {
  return Printer(out, "AttachedFile")("field", file.field)("path", file.path)("picture",
                                                                              file.picture)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Wish& wish) {
  const std::string_view times =
      wish.times == Times::none ? std::string_view() : name_of(wish.times);
  return Printer(out, "Wish")("makes", wish.makes)("intent", wish.intent)("model", wish.model)(
             "prompt", wish.prompt)("n", wish.n)("makes_one", wish.makes_one)("size", wish.size)(
             "size_word", wish.size_word)("seconds", wish.seconds)("quality", wish.quality)(
             "style", wish.style)("background", wish.background)("moderation", wish.moderation)(
             "output_format", wish.output_format)("output_compression", wish.output_compression)(
             "input_fidelity", wish.input_fidelity)("response_format", wish.response_format)(
             "user", wish.user)("stream", wish.stream)("partial_images", wish.partial_images)(
             "instructions", wish.instructions)("voice", wish.voice)("speed", wish.speed)(
             "language", wish.language)("translate", wish.translate)("times", times)(
             "needs_times", wish.needs_times)("speakers", wish.speakers)("images", wish.images)(
             "mask", wish.mask)("native", wish.native)("native_texts", wish.native_texts)(
             "attached", wish.attached)
      .end();
}

}  // namespace falproxy::inline v0
