#include <algorithm>

#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/client.hpp"
#include "falproxy/http_transport.hpp"

namespace falproxy::inline v0 {

std::string_view name_of(CallProgress::Stage value) noexcept {
  constexpr std::string_view names[] = {"accepted", "queued", "running"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const CallProgress& progress) {
  return Printer(out, "CallProgress")("stage", progress.stage)("position", progress.position)(
             "fal_request_ids", progress.fal_request_ids)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ImageWish& wish) {
  return Printer(out, "ImageWish")("model", wish.model)("prompt", wish.prompt)("n", wish.n)(
             "size", wish.size)("quality", wish.quality)("style", wish.style)(
             "background", wish.background)("output_format", wish.output_format)(
             "images", wish.images)("mask", wish.mask)("native", wish.native)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Content& content) {
  const std::size_t size = content.bytes == nullptr ? 0 : content.bytes->size();
  return Printer(out, "Content")("bytes", fmt::format("{} bytes", size))(
             "content_type", content.content_type)("pixels", content.pixels)
      .end();
}

bool Made::operator==(const Made& other) const noexcept {
  return artifacts == other.artifacts && std::ranges::is_permutation(notes, other.notes) &&
         receipt == other.receipt && shortfall == other.shortfall;
}

std::ostream& operator<<(std::ostream& out, const Made& made) {
  return Printer(out, "Made")("artifacts", made.artifacts)("notes", made.notes)(
             "receipt", made.receipt)("shortfall", made.shortfall)
      .end();
}

std::ostream& operator<<(std::ostream& out, const HttpTransport::Counters& counters) {
  return Printer(out, "Counters")("connections_opened", counters.connections_opened)(
             "requests", counters.requests)("idle", counters.idle)
      .end();
}

}  // namespace falproxy::inline v0
