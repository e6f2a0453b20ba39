#include "runs/relay.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "base/retry.hpp"
#include "falproxy/media.hpp"
#include "runs/faults.hpp"
#include "runs/links.hpp"

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;

constexpr Milliseconds longest_silence = 15s;

// Hands on what an earlier attempt has not.
class RelaySink final : public ResponseSink {
 public:
  RelaySink(std::size_t most, std::size_t& handed_on,
            const std::function<bool(std::string_view)>& take)
      : most_(most), handed_on_(handed_on), take_(take) {}

  bool head(HttpHead head) override {
    status_ = head.status;
    const std::string_view text = head.headers.find("content-length").value_or("");
    std::size_t announced = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), announced).ec == std::errc())
      announced_ = announced;
    too_large_ = announced_ > most_;
    return is_success() && !too_large_;
  }

  bool data(std::string_view bytes) override {
    too_large_ = bytes.size() > most_ - std::min(most_, received_);
    if (too_large_) return false;
    const std::size_t begin = received_;
    received_ += bytes.size();
    if (received_ <= handed_on_) return true;
    bytes.remove_prefix(handed_on_ - std::min(handed_on_, begin));
    handed_on_ += bytes.size();
    left_ = !take_(bytes);
    return !left_;
  }

  [[nodiscard]] bool is_success() const noexcept { return status_ >= 200 && status_ < 300; }
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }
  [[nodiscard]] bool left() const noexcept { return left_; }
  [[nodiscard]] bool is_whole() const noexcept {
    return is_success() && received_ > 0 && received_ >= announced_;
  }

 private:
  const std::size_t most_;
  std::size_t& handed_on_;
  const std::function<bool(std::string_view)>& take_;
  std::size_t announced_ = 0, received_ = 0;
  int status_ = 0;
  bool too_large_ = false, left_ = false;
};

Result<Done> hand_on_data(const World& world, std::string_view address,
                          const std::function<bool(std::string_view)>& take) {
  const std::optional<media::DataUri> data = media::parse_data_uri(address);
  std::optional<std::string> bytes;
  if (data.has_value()) bytes = world.parts.codecs.decode_base64(data->base64);
  if (!bytes.has_value())
    return Error{ErrorKind::upstream_failed, "The model gave a file in a form that is not known."};
  if (take(*bytes)) return Done{};
  return cancelled_error();
}

Error failed(const std::string& address, std::string_view why) {
  return {ErrorKind::download_failed,
          fmt::format("The file was made, but {}. It is at {}", why, address)};
}

}  // namespace

Result<Done> relay(const World& world, const std::string& address, const Patience& patience,
                   const std::function<bool(std::string_view)>& take) {
  if (address.starts_with("data:")) return hand_on_data(world, address, take);
  const std::optional<Url> url = Url::parse(address);
  if (!url.has_value() || !world.options.media_hosts.allow(*url)) {
    return Error{ErrorKind::upstream_untrusted_url,
                 "The file was made, but its address is not on a host that files may be fetched "
                 "from (FAL_MEDIA_HOSTS)."};
  }
  Clock& clock = world.parts.clock;
  Retry retry(retry_policies::download, clock.now(), patience.deadline());
  std::size_t handed_on = 0;
  while (!patience.stop().stop_requested()) {
    std::string why = "fal gives no link to it";
    Result<std::string> where = opened(world, address, patience.deadline(), patience.stop());
    if (where) {
      const HttpRequest request{
          .url = *std::move(where), .headers = {{"Accept", "*/*"}}, .max_silence = longest_silence};
      RelaySink sink(world.options.max_download_bytes, handed_on, take);
      const Result<Done, TransportError> sent =
          world.parts.transport.send(request, patience.deadline(), patience.stop(), sink);
      if (sink.left()) return cancelled_error();
      if (sink.too_large()) {
        return failed(address, fmt::format("it is larger than {} bytes (MAX_DOWNLOAD_BYTES)",
                                           world.options.max_download_bytes));
      }
      if (sent && sink.is_whole()) return Done{};
      world.tally.upstream_faults.fetch_add(1);
      why = sink.status() != 0 && !sink.is_success()
                ? fmt::format("its address answered {}", sink.status())
                : std::string("it could not be fetched");
      world.debug([&] { return fmt::format("GET {} -> {}", address, why); });
    }
    retry.extend(patience.deadline());
    if (retry.exhausted(clock.now())) return failed(address, why);
    static_cast<void>(retry.wait(clock, patience.stop(), world.random()));
  }
  return cancelled_error();
}

}  // namespace falproxy::inline v0::runs
