#include "runs/pictures.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/fmt.hpp"
#include "media/picture_end.hpp"
#include "runs/faults.hpp"
#include "runs/links.hpp"
#include "runs/side_by_side.hpp"

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t parallel_downloads = 4;
constexpr Milliseconds longest_download_silence = 15s;
// Enough for the size of every picture whose header is not preceded by a long colour profile.
constexpr std::size_t looked_at = 32u << 10;

enum class Form { bytes, base64 };

// Encodes as bytes arrive, if base64 is wanted; keeps the first of them to look at.
class PictureSink final : public ResponseSink {
 public:
  PictureSink(const World& world, Form form)
      : codecs_(world.parts.codecs),
        form_(form),
        max_(world.options.max_download_bytes),
        content_(world.parts.memory) {}

  bool head(HttpHead head) override {
    status_ = head.status;
    if (status_ < 200 || status_ >= 300) return false;
    const std::string_view text = head.headers.find("content-length").value_or("");
    std::size_t announced = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), announced).ec == std::errc()) {
      announced_ = announced;
      too_large_ = announced > max_;
      if (!too_large_) content_.charge_room(length_of(announced));
    }
    return !too_large_;
  }

  bool data(std::string_view bytes) override {
    too_large_ = bytes.size() > max_ - received_;
    if (too_large_) return false;
    received_ += bytes.size();
    end_.feed(bytes);
    first_.append(bytes.substr(0, looked_at - std::min(first_.size(), looked_at)));
    content_.charge_room(length_of(received_) - content_.text().size());
    if (form_ == Form::bytes) {
      content_.text().append(bytes);
      return true;
    }
    if (!rest_.empty()) {
      const std::size_t missing = std::min(3 - rest_.size(), bytes.size());
      rest_.append(bytes.substr(0, missing));
      bytes.remove_prefix(missing);
      if (rest_.size() == 3) codecs_.encode_base64(std::exchange(rest_, {}), content_.text());
    }
    const std::size_t whole = bytes.size() / 3 * 3;
    codecs_.encode_base64(bytes.substr(0, whole), content_.text());
    rest_.append(bytes.substr(whole));
    return true;
  }

  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }
  [[nodiscard]] std::size_t received() const noexcept { return received_; }
  [[nodiscard]] bool is_short() const noexcept { return received_ < announced_; }
  [[nodiscard]] bool is_whole() const noexcept { return announced_ > 0 && !is_short(); }
  [[nodiscard]] bool reached_end() const noexcept { return end_.reached(); }
  [[nodiscard]] Picture finish() {
    codecs_.encode_base64(rest_, content_.text());
    const std::shared_ptr<const std::string> text = content_.take();
    Body content;
    content.append(Piece{text, *text});
    return {.content = std::move(content),
            .type = media::sniff(first_),
            .dimensions = media::dimensions(first_)};
  }

 private:
  [[nodiscard]] std::size_t length_of(std::size_t bytes) const noexcept {
    return form_ == Form::bytes ? bytes : (bytes + 2) / 3 * 4;
  }

  const Codecs& codecs_;
  const Form form_;
  const std::size_t max_;
  int status_ = 0;
  bool too_large_ = false;
  std::size_t announced_ = 0, received_ = 0;
  media::PictureEnd end_;
  std::string first_, rest_;
  CountedText content_;
};

bool is_success(int status) noexcept { return status >= 200 && status < 300; }

// One picture that is fetched until it is there.
class Download {
 public:
  Download(const World& world, const std::string& address, Form form, const Patience& patience,
           const RetryPolicy& policy)
      : world_(world),
        form_(form),
        patience_(patience),
        address_(address),
        retry_(policy, world.parts.clock.now(), patience.deadline()) {}

  Result<Picture> run() {
    Clock& clock = world_.parts.clock;
    while (!patience_.stop().stop_requested()) {
      if (std::optional<Result<Picture>> end = attempt()) return *std::move(end);
      retry_.extend(patience_.deadline());
      if (retry_.exhausted(clock.now())) return last_resort();
      static_cast<void>(retry_.wait(clock, patience_.stop(), world_.random()));
    }
    return cancelled_error();
  }

 private:
  // None: the picture may be there the next time.
  std::optional<Result<Picture>> attempt() {
    Result<std::string> where = opened(world_, address_, patience_.deadline(), patience_.stop());
    if (!where) {
      why_ = "fal gives no link to it";
      return std::nullopt;
    }
    const HttpRequest request{.url = *std::move(where),
                              .headers = {{"Accept", "image/*"}},
                              .max_silence = longest_download_silence};
    PictureSink sink(world_, form_);
    const Result<Done, TransportError> sent =
        world_.parts.transport.send(request, patience_.deadline(), patience_.stop(), sink);
    if (sink.too_large()) {
      return failed(fmt::format("it is larger than {} bytes (MAX_DOWNLOAD_BYTES)",
                                world_.options.max_download_bytes));
    }
    const bool arrived = sent && !sink.is_short();
    Picture picture;
    if (arrived) picture = sink.finish();
    if (picture.type.has_value() && sink.reached_end()) return picture;
    if (picture.type.has_value()) {
      why_ = "what its address holds ends before the picture does";
      // Some programs leave the end out: what comes alike twice is all that there is; at once if
      // its length was announced.
      same_twice_ = cut_.has_value() && cut_size_ == sink.received();
      cut_ = std::move(picture);
      cut_size_ = sink.received();
      if (same_twice_ && sink.is_whole()) return last_resort();
    } else if (arrived) {
      why_ = "what its address holds is no image";
    } else if (sink.status() != 0 && !is_success(sink.status())) {
      why_ = fmt::format("its address answered {}", sink.status());
    } else {
      why_ = "it could not be fetched";
    }
    world_.tally.upstream_faults.fetch_add(1);
    world_.debug([&] { return fmt::format("GET {} -> {}", address_, why_); });
    return std::nullopt;
  }

  Result<Picture> last_resort() {
    if (same_twice_) {
      cut_->is_cut = true;
      return *std::move(cut_);
    }
    return failed(why_);
  }

  // Who cannot wait any longer may fetch the picture there, unless files are not public.
  Error failed(std::string_view why) const {
    return {ErrorKind::download_failed,
            fmt::format("The image was made, but {}. It is at {}", why, address_)};
  }

  const World& world_;
  const Form form_;
  const Patience& patience_;
  const std::string address_;
  Retry retry_;
  std::string why_;
  std::optional<Picture> cut_;  // the last one whose end is missing
  std::size_t cut_size_ = 0;
  bool same_twice_ = false;
};

// Why nothing is fetched from there.
std::optional<Error> fault_of_address(const World& world, const std::string& address) {
  const std::optional<Url> url = Url::parse(address);
  if (url.has_value() && world.options.media_hosts.allow(*url)) return std::nullopt;
  return Error{ErrorKind::upstream_untrusted_url,
               "The image was made, but its address is not on a host that images may be fetched "
               "from (FAL_MEDIA_HOSTS)."};
}

Result<Picture> download(const World& world, const std::string& address, Form form,
                         const Patience& patience, const RetryPolicy& retry) {
  if (std::optional<Error> fault = fault_of_address(world, address)) return *std::move(fault);
  return Download(world, address, form, patience, retry).run();
}

Result<Picture> from_data_uri(const Codecs& codecs, const plan::ResultFile& image) {
  std::optional<Body> base64 = plan::base64_of(image);
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

Result<Picture> make_picture(const World& world, const plan::ResultFile& image,
                             ResponseFormat format, const Patience& patience,
                             const RetryPolicy& retry) {
  if (image.transcript.has_value()) return Picture{};
  if (image.svg.has_value()) return from_svg(world.parts.codecs, *image.svg, format);
  if (format == ResponseFormat::url) return Picture{.content = image.url};
  if (image.is_data_uri) return from_data_uri(world.parts.codecs, image);
  return download(world, image.url.str(), Form::base64, patience, retry);
}

}  // namespace

std::vector<Result<Picture>> make_pictures(const World& world,
                                           const std::vector<plan::ResultFile>& images,
                                           ResponseFormat format, const Patience& patience,
                                           const RetryPolicy& retry) {
  std::vector<Result<Picture>> made(images.size(), Result<Picture>(Error{}));
  side_by_side(world.parts.executor, images.size(), parallel_downloads, [&](std::size_t i) {
    made[i] = make_picture(world, images[i], format, patience, retry);
  });
  return made;
}

Result<Done> pass_on(const World& world, const std::string& address, std::string_view range,
                     const CallContext& context, ResponseSink& sink) {
  if (std::optional<Error> fault = fault_of_address(world, address)) return *std::move(fault);
  Result<std::string> where = opened(world, address, context.deadline, context.stop);
  if (!where) return std::move(where).error();
  HttpRequest request{.url = *std::move(where), .max_silence = longest_download_silence};
  if (!range.empty()) request.headers.add("Range", std::string(range));
  const Result<Done, TransportError> sent =
      world.parts.transport.send(request, context.deadline, context.stop, sink);
  if (sent) return Done();
  world.tally.upstream_faults.fetch_add(1);
  world.debug([&] { return fmt::format("GET {} -> {}", address, sent.error().message); });
  return Error{ErrorKind::download_failed, "The file could not be fetched."};
}

Result<Picture> fetch_picture(const World& world, const std::string& address,
                              const Patience& patience) {
  return download(world, address, Form::bytes, patience, retry_policies::download);
}

}  // namespace falproxy::inline v0::runs
