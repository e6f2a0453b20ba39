// sse_writer.hpp: server-sent events (WHATWG HTML, 9.2): progress as comments, pictures and errors
// as events.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "connection/exchange.hpp"
#include "falproxy/gateway.hpp"

namespace falproxy::app {

/// Comments go out when the progress changes and at least every ten seconds, so that no hop times
/// out. Its Progress side is called from the threads that run the jobs.
class SseWriter final : public Progress {
 public:
  static constexpr Seconds comment_interval{10};

  SseWriter(Exchange& exchange, AnswerStream& out);
  ~SseWriter() override;
  SseWriter(const SseWriter&) = delete;
  SseWriter& operator=(const SseWriter&) = delete;

  /// `event`: whole, ended by a blank line.
  bool write(const Body& event) { return out_.write(event); }

  // Progress
  void queued(std::optional<int> position) override;
  void running() override { comment("running"); }
  void partial_image(const openai::ImageEvent& event) override;

 private:
  void comment(const std::string& text);
  Exchange& exchange_;
  AnswerStream& out_;
  std::mutex mutex_;
  std::string last_ = "waiting";
};

}  // namespace falproxy::app
