#include "sse_writer.hpp"

#include <utility>

namespace falproxy::app {

SseWriter::SseWriter(Exchange& exchange, AnswerStream& out) : exchange_(exchange), out_(out) {
  exchange_.start_ticking(comment_interval, [this] {
    std::string text;
    {
      const std::lock_guard lock(mutex_);
      text = last_;
    }
    exchange_.interject(": " + text + "\n\n");
  });
}

SseWriter::~SseWriter() { exchange_.stop_ticking(); }

void SseWriter::queued(std::optional<int> position) {
  comment(position ? "queue position " + std::to_string(*position) : std::string("queued"));
}

void SseWriter::partial_image(const openai::ImageEvent& event) { out_.write(openai::write(event)); }

void SseWriter::comment(const std::string& text) {
  {
    const std::lock_guard lock(mutex_);
    if (text == last_) return;
    last_ = text;
  }
  exchange_.interject(": " + text + "\n\n");
}

}  // namespace falproxy::app
