// memory_budget.hpp: how much memory all requests together may need for what they bring and what is
// made of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// One count of bytes under one limit. Thread-safe; it never waits.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t limit) noexcept : limit_(limit) {}  ///< in bytes
  /// What is taken already stays taken.
  void set_limit(std::size_t limit) noexcept { limit_ = limit; }
  /// Bytes; may be more than the limit if charge() was called.
  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }

  /// False: so much is not left, and nothing was taken.
  [[nodiscard]] bool take(std::size_t bytes) noexcept {
    const std::size_t limit = limit_.load(std::memory_order_relaxed);
    std::size_t before = used_.load(std::memory_order_relaxed);
    // Not added and taken back: others would be refused meanwhile.
    do {
      if (before > limit || bytes > limit - before) return false;
    } while (!used_.compare_exchange_weak(before, before + bytes));
    return true;
  }
  /// Takes, whatever is left: for answers that are paid for. Others wait for them to go.
  void charge(std::size_t bytes) noexcept { used_.fetch_add(bytes); }
  /// No more than was taken or charged.
  void give_back(std::size_t bytes) noexcept { used_.fetch_sub(bytes); }

 private:
  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> used_{0};
};

/// What somebody has of a budget, which must outlive it; given back by the destructor. Move-only,
/// and not thread-safe.
class MemoryShare {
 public:
  /// Nothing yet. Null: without a limit.
  explicit MemoryShare(MemoryBudget* budget) noexcept : budget_(budget) {}
  ~MemoryShare() {
    if (budget_ != nullptr) budget_->give_back(bytes_);
  }
  /// Takes over what `other` has.
  MemoryShare(MemoryShare&& other) noexcept
      : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
  /// What it had goes to `other`, and with it.
  MemoryShare& operator=(MemoryShare&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  /// What it has of the budget.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// False: there is not so much, and it stays as it was. To shrink always works.
  [[nodiscard]] bool resize(std::size_t bytes) noexcept {
    if (bytes > bytes_ && budget_ != nullptr && !budget_->take(bytes - bytes_)) return false;
    if (bytes < bytes_ && budget_ != nullptr) budget_->give_back(bytes_ - bytes);
    bytes_ = bytes;
    return true;
  }
  /// As resize(), but never refused; see MemoryBudget::charge().
  void charge_to(std::size_t bytes) noexcept {
    if (bytes <= bytes_) {
      static_cast<void>(resize(bytes));
      return;
    }
    if (budget_ != nullptr) budget_->charge(bytes - bytes_);
    bytes_ = bytes;
  }

 private:
  MemoryBudget* budget_;
  std::size_t bytes_ = 0;
};

/// `text` with what it has of a budget: both go with the last owner.
[[nodiscard]] std::shared_ptr<const std::string> counted(std::string text, MemoryShare share);
/// The same of `budget` (null: without a limit), never refused; see MemoryBudget::charge().
[[nodiscard]] std::shared_ptr<const std::string> charged(std::string text, MemoryBudget* budget);

/// Text that grows and is counted, with the room that it has ready, as long as anybody holds it.
/// Move-only, and not thread-safe.
class CountedText {
 public:
  /// `expected`: in the end, in bytes; 0: not known. The budget must outlive all that holds the
  /// text. Null: without a limit.
  explicit CountedText(MemoryBudget* budget, std::size_t expected = 0) noexcept
      : expected_(expected), share_(budget) {}

  /// As far as it has come.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  /// To append to, as far as there is room.
  [[nodiscard]] std::string& text() noexcept { return text_; }
  /// Room for `more` bytes. False: there is no memory for it.
  [[nodiscard]] bool make_room(std::size_t more);
  /// As make_room(), but never refused; see MemoryBudget::charge().
  void charge_room(std::size_t more);
  /// False: there is no memory for it, and nothing was appended.
  [[nodiscard]] bool append(std::string_view bytes);

  /// The text, counted until the last owner goes; called once.
  [[nodiscard]] std::shared_ptr<const std::string> take();

 private:
  [[nodiscard]] std::size_t next_capacity(std::size_t need) const noexcept;
  void move_to(std::size_t capacity);

  std::string text_;
  std::size_t expected_;
  MemoryShare share_;
};

/// `overloaded`, for what a share was refused.
[[nodiscard]] Error no_memory_left();

}  // namespace falproxy::inline v0
