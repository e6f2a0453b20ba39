// passage.hpp: a request that goes to fal as its client wrote it, and its answer on the way back,
// as it comes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "door.hpp"
#include "falproxy/runner.hpp"
#include "pipe.hpp"

namespace falproxy::app {

/// What the fiber beside and the one that writes the answer share.
class Passage final : public ResponseSink {
 public:
  /// Hears the bytes of an answer that is no failure, and how it ended; on the fiber beside.
  struct Watch {
    std::function<void(const HttpHead&)> head = {};
    std::function<void(std::string_view)> data = {};
    std::function<void(const Result<Forwarded>&)> end = {};
  };

  Passage(Clock& clock, std::stop_token stop, Watch watch)
      : pipe_(clock), stop_(std::move(stop)), watch_(std::move(watch)) {}
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  /// A watch hears the end of what was never sent, too.
  ~Passage() override { tell_end(nothing_sent()); }

  /// Sends the request on a fiber beside that of `call`'s request. False: there is no room.
  [[nodiscard]] static bool begin(const std::shared_ptr<Passage>& passage, Call& call,
                                  ForwardedRequest request, CallContext context);

  // The answer's fiber.
  /// Waits for the head, or for why there is none.
  [[nodiscard]] Result<HttpHead> head();
  /// All of it. Errors: why it is not whole; upstream_failed, if it has more than so many bytes.
  [[nodiscard]] Result<std::string> whole(std::size_t most);
  /// What a line of an answer becomes; without its end, which stays.
  using Rewrite = std::function<std::string(std::string_view line)>;
  /// Writes it as it comes, with `rewrite` line by line. False: it is not whole, or the client has
  /// left.
  bool write_to(serving::Request& out, const Rewrite& rewrite = {});

  // ResponseSink: the fiber beside.
  bool head(HttpHead head) override;
  bool data(std::string_view bytes) override;

 private:
  [[nodiscard]] static Error nothing_sent();
  void tell_end(const Result<Forwarded>& how) noexcept;  // once

  Pipe pipe_;
  const std::stop_token stop_;
  const Watch watch_;
  bool end_told_ = false;
  std::optional<HttpHead> head_;  // set before the pipe has a byte or its end
};

/// The fields of fal's answer that a client is to see, and its type and length.
[[nodiscard]] serving::Response passed_head(const HttpHead& head);

}  // namespace falproxy::app
