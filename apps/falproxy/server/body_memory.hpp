// body_memory.hpp: MAX_BODY_MEMORY: how much memory the bodies of all requests in flight may need
// together.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace falproxy::app {

/// Thread-safe.
class BodyMemory {
 public:
  explicit BodyMemory(std::size_t limit) noexcept : limit_(limit) {}
  void set_limit(std::size_t limit) noexcept { limit_ = limit; }
  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }

  /// What one request has been given; gives it back when it is destroyed. Not thread-safe.
  class Share {
   public:
    explicit Share(BodyMemory& memory) noexcept : memory_(memory) {}
    ~Share() { memory_.used_.fetch_sub(size_); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    /// False: there is no more. A share never shrinks.
    [[nodiscard]] bool grow_to(std::size_t size) noexcept {
      if (size <= size_) return true;
      const std::size_t more = size - size_;
      if (memory_.used_.fetch_add(more) + more > memory_.limit_.load()) {
        memory_.used_.fetch_sub(more);
        return false;
      }
      size_ = size;
      return true;
    }

   private:
    BodyMemory& memory_;
    std::size_t size_ = 0;
  };

 private:
  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace falproxy::app
