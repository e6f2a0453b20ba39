#include "gateway/pictures.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/fmt.hpp"
#include "gateway/faults.hpp"
#include "gateway/side_by_side.hpp"

namespace falproxy::gateway {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t parallel_downloads = 4;
constexpr int max_download_attempts = 3;
constexpr Milliseconds longest_download_silence = 15s;
// Enough for the size of every picture whose header is not preceded by a long colour profile.
constexpr std::size_t looked_at = 32u << 10;

// Encodes as bytes arrive; keeps the first of them to look at.
class Base64Sink final : public ResponseSink {
 public:
  Base64Sink(const Codecs& codecs, std::size_t max_bytes) : codecs_(codecs), max_(max_bytes) {}

  bool head(HttpHead head) override {
    status_ = head.status;
    if (status_ < 200 || status_ >= 300) return false;
    const std::string_view text = head.headers.find("content-length").value_or("");
    std::size_t announced = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), announced).ec == std::errc()) {
      too_large_ = announced > max_;
      if (!too_large_) base64_.reserve((announced + 2) / 3 * 4);
    }
    return !too_large_;
  }

  bool data(std::string_view bytes) override {
    too_large_ = bytes.size() > max_ - received_;
    if (too_large_) return false;
    received_ += bytes.size();
    first_.append(bytes.substr(0, looked_at - std::min(first_.size(), looked_at)));
    if (!rest_.empty()) {
      const std::size_t missing = std::min(3 - rest_.size(), bytes.size());
      rest_.append(bytes.substr(0, missing));
      bytes.remove_prefix(missing);
      if (rest_.size() == 3) codecs_.encode_base64(std::exchange(rest_, {}), base64_);
    }
    const std::size_t whole = bytes.size() / 3 * 3;
    codecs_.encode_base64(bytes.substr(0, whole), base64_);
    rest_.append(bytes.substr(whole));
    return true;
  }

  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }
  [[nodiscard]] Picture finish() {
    codecs_.encode_base64(rest_, base64_);
    return {.content = Body(std::move(base64_)),
            .type = media::sniff(first_),
            .dimensions = media::dimensions(first_)};
  }

 private:
  const Codecs& codecs_;
  const std::size_t max_;
  int status_ = 0;
  bool too_large_ = false;
  std::size_t received_ = 0;
  std::string first_, rest_, base64_;
};

Error download_failed(std::string_view why) {
  return {ErrorKind::download_failed, fmt::format("The image was made, but {}.", why)};
}

Result<Picture> download(const World& world, const std::string& address, const Patience& patience) {
  const std::optional<Url> url = Url::parse(address);
  if (!url.has_value() || !world.options.media_hosts.allow(*url)) {
    return Error{ErrorKind::upstream_untrusted_url,
                 "The image was made, but its address is not on a host that images may be fetched "
                 "from (FAL_MEDIA_HOSTS)."};
  }
  HttpRequest request{.url = address, .headers = {{"Accept", "image/*"}}};
  request.max_silence = longest_download_silence;
  Clock& clock = world.parts.clock;
  std::string why;
  for (int attempt = 1; attempt <= max_download_attempts; ++attempt) {
    if (attempt > 1) {
      clock.sleep_until(clock.now() + submit_backoff(attempt - 1, world.parts.random()),
                        patience.stop());
    }
    if (patience.stop().stop_requested()) return cancelled_error();
    if (clock.now() >= patience.deadline()) return timed_out_error();
    Base64Sink sink(world.parts.codecs, world.options.max_download_bytes);
    const Result<Done, TransportError> sent =
        world.parts.transport.send(request, patience.deadline(), patience.stop(), sink);
    if (sink.too_large()) {
      return download_failed(fmt::format("it is larger than {} bytes (MAX_DOWNLOAD_BYTES)",
                                         world.options.max_download_bytes));
    }
    if (sent) {
      Picture picture = sink.finish();
      if (picture.type.has_value()) return picture;
      return download_failed("what its address holds is no image");
    }
    world.tally.upstream_faults.fetch_add(1);
    const bool answered = sink.status() != 0 && (sink.status() < 200 || sink.status() >= 300);
    why = answered ? fmt::format("its address answered {}", sink.status())
                   : std::string("it could not be fetched");
    world.debug([&] { return fmt::format("GET {} -> {}", address, why); });
  }
  if (patience.stop().stop_requested()) return cancelled_error();
  if (clock.now() >= patience.deadline()) return timed_out_error();
  return download_failed(why);
}

Result<Picture> from_data_uri(const Codecs& codecs, const translate::FalImage& image) {
  std::optional<Body> base64 = translate::base64_of(image);
  if (!base64.has_value() || base64->empty()) {
    return Error{ErrorKind::upstream_failed,
                 "The model gave an image in a form that is not known."};
  }
  Picture picture{.content = *std::move(base64)};
  const std::string_view text = picture.content.pieces().front().bytes;
  if (const auto first = codecs.decode_base64(text.substr(0, (looked_at + 2) / 3 * 4))) {
    picture.type = media::sniff(*first);
    picture.dimensions = media::dimensions(*first);
  }
  return picture;
}

Picture from_svg(const Codecs& codecs, std::string_view svg, ResponseFormat format) {
  std::string content = format == ResponseFormat::url ? "data:image/svg+xml;base64," : "";
  codecs.encode_base64(svg, content);
  return {.content = Body(std::move(content)), .type = media::ImageType::svg};
}

Result<Picture> make_picture(const World& world, const translate::FalImage& image,
                             ResponseFormat format, const Patience& patience) {
  if (image.svg.has_value()) return from_svg(world.parts.codecs, *image.svg, format);
  if (format == ResponseFormat::url) return Picture{.content = image.url};
  if (image.is_data_uri) return from_data_uri(world.parts.codecs, image);
  return download(world, image.url.str(), patience);
}

}  // namespace

Result<std::vector<Picture>> make_pictures(const World& world,
                                           const std::vector<translate::FalImage>& images,
                                           ResponseFormat format, const Patience& patience) {
  std::vector<std::optional<Result<Picture>>> made(images.size());
  side_by_side(world.parts.executor, images.size(), parallel_downloads, [&](std::size_t i) {
    made[i].emplace(make_picture(world, images[i], format, patience));
  });
  std::vector<Picture> pictures;
  for (std::optional<Result<Picture>>& picture : made) {
    if (!picture->has_value()) return std::move(*picture).error();
    pictures.push_back(std::move(**picture));
  }
  return pictures;
}

}  // namespace falproxy::gateway
