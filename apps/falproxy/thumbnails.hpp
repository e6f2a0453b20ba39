// thumbnails.hpp: the sample pictures that fal's documents name, for the page's list of models. A
// browser is sent to no other host for them: they are fetched and kept here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/bell.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/media.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/result.hpp"
#include "falproxy/runner.hpp"

namespace falproxy::app {

/// A whole picture.
struct Thumbnail {
  media::ImageType type = media::ImageType::png;
  std::shared_ptr<const std::string> bytes;
};

/// Thread-safe. Bounded: one picture of `most_bytes`, all of `most_kept_bytes` and `most_kept`
/// entries (the one that was asked for longest ago goes first), and `most_at_once` fetches.
class Thumbnails {
 public:
  static constexpr std::size_t most_bytes = 3u << 20;
  static constexpr std::size_t most_kept_bytes = 24u << 20;
  static constexpr std::size_t most_kept = 1000;
  static constexpr int most_at_once = 8;
  static constexpr Seconds kept_for{24 * 3600};
  /// So long a picture that could not be had is not asked for again.
  static constexpr Seconds failed_for{300};

  /// What is given outlives this. The pictures count in `memory`.
  Thumbnails(Runner& runner, Clock& clock, MemoryBudget& memory)
      : runner_(runner), clock_(clock), memory_(memory) {}

  /// From a media host, by its address. Of `context` only `deadline` and `stop` count. Errors:
  /// upstream_untrusted_url, download_failed (also: too large, or no picture), overloaded,
  /// timed_out, cancelled.
  [[nodiscard]] Result<Thumbnail> get(const std::string& url, const CallContext& context);

 private:
  struct Entry {
    bool busy = false;  // somebody fetches it
    std::optional<Result<Thumbnail>> came = {};
    TimePoint until = {};    // that holds so long
    std::uint64_t used = 0;  // when it was asked for last, counted
  };
  class Turn;
  using Entries = std::map<std::string, Entry, std::less<>>;

  [[nodiscard]] Result<Thumbnail> fetch(const std::string& url, const CallContext& context);
  void keep(const std::string& url, const Result<Thumbnail>& came);  // the lock is held
  void drop(Entries::iterator entry);                                // the lock is held

  Runner& runner_;
  Clock& clock_;
  MemoryBudget& memory_;
  std::mutex mutex_;
  Bell changed_;
  Entries entries_;  // by address
  std::size_t bytes_ = 0;
  std::uint64_t asked_ = 0;
  int fetching_ = 0;
};

}  // namespace falproxy::app
