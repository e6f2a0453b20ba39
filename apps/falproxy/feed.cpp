#include "feed.hpp"

#include <utility>

namespace falproxy::app {
namespace {

std::string comment_line(std::string_view text) {
  return std::string(": ").append(text).append("\n\n");
}

}  // namespace

void Feed::ring(std::unique_lock<std::mutex> lock) {
  Bell::Ring wake = changed_.take();
  lock.unlock();
  wake();
}

void Feed::accepted(const Underway& underway) {
  const std::lock_guard lock(mutex_);
  underway_ = underway;
  all_taken_ = underway.fal_request_ids.size() >= underway.jobs;
}

void Feed::queued(std::optional<int> position) {
  comment(position ? "queue position " + std::to_string(*position) : std::string("queued"));
}

void Feed::comment(std::string text) {
  std::unique_lock lock(mutex_);
  if (text == comment_) return;
  comment_ = std::move(text);
  comment_is_new_ = true;
  begin_ = begin_ || (all_taken_ && kind_ == Kind::events);
  ring(std::move(lock));
}

void Feed::preview(const Product& product, int index) {
  Body written = write_(product, index, std::nullopt);
  std::unique_lock lock(mutex_);
  partial_ = std::move(written);
  begin_ = true;
  ring(std::move(lock));
}

// What comes last is left to the answer's end, which may have its own head.
void Feed::completed(const Product& product, bool more) {
  if (!more) {
    const std::lock_guard lock(mutex_);
    return last_.push_back(product);
  }
  Body written = write_(product, std::nullopt, std::nullopt);
  std::unique_lock lock(mutex_);
  picture_bytes_ += written.size();
  pictures_.push_back(std::move(written));
  begin_ = true;
  ring(std::move(lock));
}

void Feed::end(Outcome outcome) {
  std::unique_lock lock(mutex_);
  outcome_ = std::move(outcome);
  ring(std::move(lock));
}

bool Feed::wait_to_begin() {
  const TimePoint until = silent_since_ + interval_;
  std::unique_lock lock(mutex_);
  while (!begin_ && !outcome_ && clock_.now() < until) changed_.wait(lock, clock_, until, {});
  return !outcome_;
}

Body Feed::next() {
  const TimePoint until = silent_since_ + interval_;
  std::unique_lock lock(mutex_);
  while (!outcome_) {
    Body body = due();
    if (!body.empty()) {
      silent_since_ = clock_.now();
      return body;
    }
    changed_.wait(lock, clock_, until, {});
  }
  return {};
}

Body Feed::due() {
  Body body;
  if (kind_ == Kind::events) body = take();
  if (body.empty() && clock_.now() >= silent_since_ + interval_)
    body.append(kind_ == Kind::blanks ? std::string(" ") : comment_line(comment_));
  return body;
}

Body Feed::take() {
  Body body;
  if (std::exchange(comment_is_new_, false)) body.append(comment_line(comment_));
  body.append(std::exchange(partial_, {}));
  for (; !pictures_.empty(); pictures_.pop_front()) body.append(pictures_.front());
  return body;
}

std::optional<Underway> Feed::underway() {
  const std::lock_guard lock(mutex_);
  return underway_;
}

Body Feed::rest(std::optional<Usd> cost) {
  const std::lock_guard lock(mutex_);
  for (; !last_.empty(); last_.pop_front()) {
    Body written = write_(last_.front(), std::nullopt, last_.size() == 1 ? cost : std::nullopt);
    picture_bytes_ += written.size();
    pictures_.push_back(std::move(written));
  }
  return take();
}

}  // namespace falproxy::app
