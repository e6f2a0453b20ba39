#include "falproxy/memory_budget.hpp"

#include <algorithm>

namespace falproxy::inline v0 {

std::shared_ptr<const std::string> counted(std::string text, MemoryShare share) {
  struct Counted {
    std::string text;
    MemoryShare share;
  };
  const auto owner = std::make_shared<const Counted>(Counted{std::move(text), std::move(share)});
  return {owner, &owner->text};
}

std::shared_ptr<const std::string> charged(std::string text, MemoryBudget* budget) {
  MemoryShare share(budget);
  share.charge_to(text.size());
  return counted(std::move(text), std::move(share));
}

bool CountedText::make_room(std::size_t more) {
  const std::size_t need = text_.size() + more;
  if (need <= text_.capacity()) return true;
  const std::size_t next = next_capacity(need);
  if (!share_.resize(text_.capacity() + next)) return false;
  move_to(next);
  return true;
}

void CountedText::charge_room(std::size_t more) {
  const std::size_t need = text_.size() + more;
  if (need <= text_.capacity()) return;
  const std::size_t next = next_capacity(need);
  share_.charge_to(text_.capacity() + next);
  move_to(next);
}

bool CountedText::append(std::string_view bytes) {
  if (!make_room(bytes.size())) return false;
  text_.append(bytes);
  return true;
}

// Twice as much, but not past what is expected.
std::size_t CountedText::next_capacity(std::size_t need) const noexcept {
  constexpr std::size_t least = 4096;
  const std::size_t next = std::max({need, 2 * text_.capacity(), least});
  return need <= expected_ ? std::min(next, expected_) : next;
}

// While it is copied it is there twice. reserve() of the old text would make more of it.
void CountedText::move_to(std::size_t capacity) {
  std::string larger;
  larger.reserve(capacity);
  larger.append(text_);
  text_.swap(larger);
  larger = std::string();
  share_.charge_to(text_.capacity());
}

std::shared_ptr<const std::string> CountedText::take() {
  if (text_.capacity() / 2 > text_.size()) move_to(text_.size());
  return counted(std::move(text_), std::move(share_));
}

Error no_memory_left() {
  return {.kind = ErrorKind::overloaded,
          .message = "The server holds as much of requests as it may; try again later."};
}

}  // namespace falproxy::inline v0
