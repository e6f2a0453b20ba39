#include "relay.hpp"

#include <charconv>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/transport.hpp"
#include "media_store/media_fetch.hpp"
#include "media_store/media_names.hpp"
#include "pipe.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::append_field;
using serving::Request;
using serving::Response;

namespace {

// Enough to tell what a file is.
constexpr std::size_t looked_at = 512;

std::optional<std::uint64_t> length_of(const HttpHead& head) {
  const std::string_view text = head.headers.find("content-length").value_or("");
  std::uint64_t length = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return length;
}

// What the bytes are, if they tell; else as fal said, or as the CDN says.
std::string type_of(const HttpHead& head, std::string_view first, std::string_view known) {
  std::string type = plain_type(known);
  if (type.empty() || type == "application/octet-stream")
    type = plain_type(head.headers.find("content-type").value_or(""));
  return type_of_bytes(head.status == 200 ? first : std::string_view(), std::move(type));
}

Error fault_of(const HttpHead& head) {
  if (head.status == 404 || head.status == 403 || head.status == 410) {
    return {.kind = ErrorKind::result_expired, .message = "fal does not keep the file any longer."};
  }
  return {.kind = ErrorKind::download_failed,
          .message =
              fmt::format("The file could not be fetched: its address answered {}.", head.status)};
}

// Hands on what the CDN says.
class FileSink final : public ResponseSink {
 public:
  FileSink(Pipe& pipe, std::stop_token stop) : pipe_(pipe), stop_(std::move(stop)) {}
  bool head(HttpHead head) override {
    if (!head_.has_value()) head_ = std::move(head);
    return true;
  }
  bool data(std::string_view bytes) override { return pipe_.push(bytes, stop_); }
  /// Once the pipe has a byte, or its end.
  [[nodiscard]] const std::optional<HttpHead>& seen() const noexcept { return head_; }

 private:
  Pipe& pipe_;
  const std::stop_token stop_;
  std::optional<HttpHead> head_;
};

struct Relay {
  Relay(Clock& clock, std::stop_token stop) : pipe(clock), sink(pipe, std::move(stop)) {}
  Pipe pipe;
  FileSink sink;
};

}  // namespace

Result<Response> relay_file(Call& call, const std::string& url, const std::string& content_type,
                            std::function<void(bool whole)> ended) {
  static serving::FiberClock clock;
  Runner& runner = call.door.parts().runner;
  const CallContext context{.stop = call.request.stop()};
  const auto relay = std::make_shared<Relay>(clock, context.stop);
  const bool is_read = call.request.head().method != "POST";
  const std::string range(is_read ? call.field("range") : std::string_view());
  const bool begun = call.request.run_beside([relay, &runner, url, range, context] {
    Result<Done> how = Error{.kind = ErrorKind::download_failed, .message = "falproxy failed."};
    try {
      how = runner.pass_on(url, range, context, relay->sink);
    } catch (...) {  // the client sees that the file ends too early
    }
    relay->pipe.end(std::move(how));
  });
  if (!begun)
    return Error{.kind = ErrorKind::overloaded, .message = "The server has no room left."};
  const std::string first = relay->pipe.look(looked_at);
  const std::optional<HttpHead>& head = relay->sink.seen();
  if (!head.has_value()) {
    const Result<Done> how = relay->pipe.ending();
    if (!how) return how.error();
    return Error{.kind = ErrorKind::download_failed, .message = "The file could not be fetched."};
  }
  if (head->status != 200 && head->status != 206 && head->status != 416) {
    relay->pipe.close();
    return fault_of(*head);
  }
  Response response{.status = head->status,
                    .content_type = type_of(*head, first, content_type),
                    .length = length_of(*head)};
  for (const char* name : {"Content-Range", "ETag", "Last-Modified", "Accept-Ranges"}) {
    if (const auto value = head->headers.find(name))
      append_safe_field(response.fields, name, *value);
  }
  if (call.request.head().method == "HEAD") relay->pipe.close();
  response.stream = [relay, ended = std::move(ended)](Request& out) {
    bool whole = true;
    for (std::string bytes = relay->pipe.take(); whole && !bytes.empty();
         bytes = relay->pipe.take())
      whole = out.write(Body(std::move(bytes)));
    relay->pipe.close();
    if (whole && !relay->pipe.ending()) {
      whole = false;
      out.cut();
    }
    if (ended) ended(whole);
  };
  return response;
}

}  // namespace falproxy::app
