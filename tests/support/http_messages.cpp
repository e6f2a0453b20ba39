#include "support/http_messages.hpp"

#include <algorithm>

#include "serving/head.hpp"

namespace falproxy_test {

using namespace falproxy::serving;

namespace {

class Reading {
 public:
  // Takes what it can off the front of `bytes`.
  void go_on(std::string_view& bytes) {
    while (keep_alive_ && !messages.refused && (in_body_ ? take_body(bytes) : take_head(bytes))) {
    }
  }
  HttpMessages messages;

 private:
  bool take_head(std::string_view& bytes) {
    while (scanned_ <= 1 && bytes.starts_with("\r\n")) {
      bytes.remove_prefix(2);
      scanned_ = 0;
    }
    const std::size_t end = find_head_end(bytes, scanned_);
    if (end == 0) return false;
    RequestHead head;
    messages.refused = !parse_head(bytes.substr(0, end), head);
    if (messages.refused) return false;
    bytes.remove_prefix(end);
    scanned_ = 0;
    in_body_ = true;
    message_ = {std::string(head.method), std::string(head.target), head.minor_version, ""};
    left_ = head.content_length.value_or(0);
    stays_ = head.keep_alive;
    chunks_.reset();
    if (head.chunked) chunks_.emplace();
    return true;
  }

  bool take_body(std::string_view& bytes) {
    bool over = false;
    if (chunks_) {
      std::string_view data;
      do {
        messages.refused = !chunks_->read(bytes, data);
        message_.body.append(data);
      } while (!data.empty() && !messages.refused);
      over = chunks_->is_over();
    } else {
      const std::size_t n = std::min<std::size_t>(left_, bytes.size());
      message_.body.append(bytes.substr(0, n));
      bytes.remove_prefix(n);
      left_ -= n;
      over = left_ == 0;
    }
    if (!over) return false;
    messages.whole.push_back(std::move(message_));
    in_body_ = false;
    keep_alive_ = stays_;  // what comes after the last request of a connection is never read
    return true;
  }

  std::size_t scanned_ = 0;
  bool in_body_ = false;
  HttpMessage message_;
  std::uint64_t left_ = 0;
  bool keep_alive_ = true, stays_ = true;
  std::optional<ChunkReader> chunks_;
};

}  // namespace

HttpMessages read_http_messages(std::string_view bytes, std::size_t step) {
  Reading reading;
  std::size_t from = 0;
  for (std::size_t to = 0; to < bytes.size();) {
    to = std::min(to + step, bytes.size());
    std::string_view arrived = bytes.substr(from, to - from);
    reading.go_on(arrived);
    from = to - arrived.size();
  }
  return reading.messages;
}

}  // namespace falproxy_test
