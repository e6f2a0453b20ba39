#include "tracing/tracer.hpp"

#include <algorithm>
#include <utility>

#include "serving/reactor.hpp"

namespace falproxy::app {

std::uint64_t Tracer::new_id() noexcept {
  while (true) {
    if (const std::uint64_t id = random_.next(); id != 0) return id;
  }
}

bool Tracer::is_sampled(const std::optional<SpanContext>& sender,
                        std::uint64_t low_half) const noexcept {
  const Sampling& rule = settings_.sampling;
  if (sender && rule.by_parent) return sender->sampled;
  // By the id, so that all programs that a trace goes through choose alike.
  return static_cast<double>(low_half >> 11) * 0x1.0p-53 < rule.ratio;
}

std::shared_ptr<const SpanContext> Tracer::begin_trace(const std::optional<SpanContext>& sender) {
  auto context = std::make_shared<SpanContext>();
  context->trace = sender ? sender->trace : std::array{new_id(), new_id()};
  context->span = new_id();
  context->sampled = is_sampled(sender, context->trace[1]);
  if (sender) context->state = sender->state;
  context->wall_began = std::chrono::system_clock::now();
  context->began = serving::steady_now();
  return context;
}

std::unique_ptr<Span> Tracer::begin(std::shared_ptr<const SpanContext> context,
                                    std::uint64_t parent, SpanKind kind,
                                    std::string name) noexcept {
  if (!context->sampled) return nullptr;
  std::unique_ptr<Span> span;
  serving::safely([&] {
    span = std::make_unique<Span>(*this, SpanRecord{.context = std::move(context),
                                                    .parent = parent,
                                                    .kind = kind,
                                                    .name = std::move(name),
                                                    .began = serving::steady_now(),
                                                    .ended = {},
                                                    .attributes = {}});
  });
  return span;
}

std::unique_ptr<Span> Tracer::begin_child(const std::shared_ptr<const SpanContext>& parent,
                                          SpanKind kind, std::string_view name) noexcept {
  if (parent == nullptr || !parent->sampled) return nullptr;
  std::unique_ptr<Span> span;
  serving::safely([&] {
    auto own = std::make_shared<SpanContext>(*parent);
    own->span = new_id();
    span = begin(std::move(own), parent->span, kind, std::string(name));
  });
  return span;
}

void Tracer::take(SpanRecord record) noexcept {
  std::unique_lock lock(mutex_);
  const std::size_t bytes = record.bytes();
  const bool has_room =
      waiting_.size() + being_sent_ < settings_.queue_spans && bytes_ + bytes <= most_bytes;
  if (!has_room || !serving::safely([&] { waiting_.push_back(std::move(record)); })) {
    ++counts_.dropped;
    return;
  }
  bytes_ += bytes;
  if (waiting_.size() != settings_.batch_spans) return;
  Bell::Ring wake = filled_.take();
  lock.unlock();
  serving::safely([&] { wake(); });
}

void Tracer::wait(Clock& clock, TimePoint until, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (waiting_.size() < settings_.batch_spans && !flush_ && clock.now() < until &&
         !stop.stop_requested())
    filled_.wait(lock, clock, until, stop);
}

std::vector<SpanRecord> Tracer::take_batch() {
  std::vector<SpanRecord> batch;
  const std::lock_guard lock(mutex_);
  batch.reserve(std::min(waiting_.size(), settings_.batch_spans));
  while (!waiting_.empty() && batch.size() < settings_.batch_spans) {
    bytes_ -= waiting_.front().bytes();
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  if (waiting_.empty()) flush_ = false;
  being_sent_ += batch.size();
  return batch;
}

void Tracer::sent(std::size_t spans) noexcept {
  const std::lock_guard lock(mutex_);
  being_sent_ -= spans;
  counts_.sent += spans;
}

void Tracer::lost(std::size_t spans) noexcept {
  const std::lock_guard lock(mutex_);
  being_sent_ -= spans;
  counts_.dropped += spans;
}

void Tracer::flush() {
  std::unique_lock lock(mutex_);
  flush_ = !waiting_.empty();
  Bell::Ring wake = filled_.take();
  lock.unlock();
  wake();
}

TraceStatus Tracer::status() const {
  const std::lock_guard lock(mutex_);
  TraceStatus status = counts_;
  status.waiting = waiting_.size() + being_sent_;
  return status;
}

}  // namespace falproxy::app
