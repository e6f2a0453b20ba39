#include <algorithm>
#include <utility>

#include "base/enum_names.hpp"
#include "base/text.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {
namespace {

std::optional<std::uint8_t> hex_value(char c) noexcept {
  if (is_digit(c)) return static_cast<std::uint8_t>(c - '0');
  if (is_hex_digit(c)) return static_cast<std::uint8_t>(to_lower(c) - 'a' + 10);
  return std::nullopt;
}

}  // namespace

std::optional<RunId> RunId::parse(std::string_view text) noexcept {
  RunId id;
  if (text.size() != 2 * id.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    const auto high = hex_value(text[2 * i]);
    const auto low = hex_value(text[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    id.bytes[i] = static_cast<std::uint8_t>(*high << 4 | *low);
  }
  return id;
}

std::string RunId::to_string() const {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string_view name_of(RunState value) noexcept {
  constexpr std::string_view names[] = {"intent", "accepted", "completed", "failed", "cancelled"};
  return name_at(names, value);
}

std::string_view name_of(Durability value) noexcept {
  constexpr std::string_view names[] = {"durable", "lazy"};
  return name_at(names, value);
}

std::string_view name_of(StoreFault value) noexcept {
  constexpr std::string_view names[] = {"outdated",    "invalid", "too_large", "overloaded",
                                        "timed_out",   "in_use",  "newer",     "foreign",
                                        "unavailable", "damaged", "closed"};
  return name_at(names, value);
}

std::string_view name_of(RunQuery::By value) noexcept {
  constexpr std::string_view names[] = {"id", "digest", "key", "owner", "open"};
  return name_at(names, value);
}

std::optional<Usd> cost_of(const RunRecord& record) noexcept {
  std::optional<Usd> sum;
  for (const RunJob& job : record.jobs) {
    if (!job.cost) return std::nullopt;
    sum = sum.value_or(Usd{}) + *job.cost;
  }
  return sum;
}

bool holds_key(const RunRecord& record) noexcept {
  return is_open(record.state) || std::ranges::any_of(record.jobs, [](const RunJob& job) {
           const bool is_uncertain = job.state == RunState::intent;
           return is_uncertain || (!job.request_id.empty() && job.state != RunState::cancelled);
         });
}

// Others than this one take the ids.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
void StateStore::claim(const RunRecord& record, std::vector<RunId> /*known*/, TimePoint deadline,
                       Callback<std::optional<RunId>> done) {
  write(record, Durability::durable, deadline,
        [done = std::move(done)](const Result<Done, StoreError>& written) {
          if (!written) return done(written.error());
          done(std::optional<RunId>());
        });
}

RunPlace place_of(const RunRecord& record) noexcept { return {record.created, record.id}; }

RunQuery RunQuery::of_id(const RunId& id, std::string owner) {
  return {.by = By::id, .owner = std::move(owner), .id = id};
}

RunQuery RunQuery::of_digest(std::string owner, const Digest& digest) {
  return {.by = By::digest, .owner = std::move(owner), .digest = digest};
}

RunQuery RunQuery::of_key(std::string owner, const Digest& key_hash) {
  return {.by = By::key, .owner = std::move(owner), .digest = key_hash};
}

RunQuery RunQuery::of_owner(std::string owner, std::size_t limit) {
  return {.by = By::owner, .owner = std::move(owner), .limit = limit};
}

RunQuery RunQuery::of_open(std::size_t limit) { return {.by = By::open, .limit = limit}; }

std::string_view name_of(MediaState value) noexcept {
  constexpr std::string_view names[] = {"waiting", "kept", "lost", "deleted"};
  return name_at(names, value);
}

std::string_view name_of(MediaQuery::By value) noexcept {
  constexpr std::string_view names[] = {"id", "owner", "oldest", "expired", "waiting"};
  return name_at(names, value);
}

}  // namespace falproxy::inline v0
