// sse_writer.hpp: server-sent events (WHATWG HTML, 9.2) while a request runs: its progress as
// comments, its partial pictures as events.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "connection/exchange.hpp"
#include "falproxy/gateway.hpp"

namespace falproxy::app {

/// The answer begins with the first progress, or after ten seconds: a request that fails before can
/// still be told so with a status of its own. From then on a comment goes out at least every ten
/// seconds, so that no hop times out. Its Progress side is called from the threads that run the
/// jobs.
class SseWriter final : public Progress {
 public:
  static constexpr Seconds comment_interval{10};
  static constexpr std::string_view content_type = "text/event-stream; charset=utf-8";

  /// `fields`: more header fields of the answer, each "Name: value\r\n".
  SseWriter(Exchange& exchange, std::string fields);
  ~SseWriter() override;
  SseWriter(const SseWriter&) = delete;
  SseWriter& operator=(const SseWriter&) = delete;

  // Progress
  void queued(std::optional<int> position) override;
  void running() override { comment("running"); }
  void partial_image(const openai::ImageEvent& event) override;

 private:
  void comment(const std::string& text);
  void send_comment(std::string_view text);
  Exchange& exchange_;
  const std::string fields_;
  std::mutex mutex_;
  std::string last_ = "waiting";
};

}  // namespace falproxy::app
