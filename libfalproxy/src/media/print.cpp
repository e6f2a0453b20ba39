#include "base/printer.hpp"
#include "falproxy/media.hpp"
#include "falproxy/wav.hpp"

namespace falproxy::inline v0::media {

std::ostream& operator<<(std::ostream& out, const Dimensions& dimensions) {
  return out << fmt::format("{}x{}", dimensions.width, dimensions.height);
}

std::ostream& operator<<(std::ostream& out, const DataUri& uri) {
  return Printer(out, "DataUri")("mime", uri.mime)("base64", uri.base64).end();
}

std::ostream& operator<<(std::ostream& out, const WavHead& head) {
  return Printer(out, "WavHead")("rate", head.rate)("channels", head.channels)("bits", head.bits)(
             "floats", head.floats)("begin", head.begin)("size", head.size)
      .end();
}

}  // namespace falproxy::inline v0::media
