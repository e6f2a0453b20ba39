#include "sse_writer.hpp"

#include <utility>

namespace falproxy::app {

SseWriter::SseWriter(Exchange& exchange, std::string fields)
    : exchange_(exchange), fields_(std::move(fields)) {
  exchange_.start_ticking(comment_interval, [this] {
    std::string text;
    {
      const std::lock_guard lock(mutex_);
      text = last_;
    }
    send_comment(text);
  });
}

SseWriter::~SseWriter() { exchange_.stop_ticking(); }

void SseWriter::queued(std::optional<int> position) {
  comment(position ? "queue position " + std::to_string(*position) : std::string("queued"));
}

void SseWriter::partial_image(const openai::ImageEvent& event) {
  exchange_.begin_early(content_type, fields_);
  exchange_.write_early(openai::write(event).str());
}

void SseWriter::comment(const std::string& text) {
  {
    const std::lock_guard lock(mutex_);
    if (text == last_) return;
    last_ = text;
  }
  send_comment(text);
}

void SseWriter::send_comment(std::string_view text) {
  exchange_.begin_early(content_type, fields_);
  exchange_.interject(std::string(": ").append(text).append("\n\n"));
}

}  // namespace falproxy::app
