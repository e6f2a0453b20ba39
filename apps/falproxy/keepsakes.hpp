// keepsakes.hpp: what is remembered of a request though it is no run: addresses of pictures that a
// talk goes on with, and which account has a job of fal's own API.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/result.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::app {

/// Kept in the state store, so that a restart or another process finds it. Thread-safe; waits for
/// the store.
class Keepsakes {
 public:
  /// `kind`: whose they are, as part of their owner: those of one kind and client do not meet
  /// others, nor runs.
  Keepsakes(StateStore& store, std::string_view kind) : store_(store), kind_(kind) {}

  /// Kept for so long. Its id, owner and times are filled in here; one whose state is open is found
  /// again by find_open(). False: it is not kept.
  bool keep(const std::string& client, const RunId& id, RunRecord record, Seconds time,
            Durability durability = Durability::lazy) const;
  /// One that was found, and changed since, with a higher fence; durable. The same may be kept
  /// again if nobody knows whether it is. Errors: outdated, if somebody else has changed it
  /// meanwhile; those of any write.
  [[nodiscard]] Result<Done, StoreError> keep_again(const RunRecord& record) const;
  /// None: there is none, or it is another client's. Errors: overloaded (the store is slow, or
  /// fails).
  [[nodiscard]] Result<std::optional<RunRecord>> find(const std::string& client,
                                                      const RunId& id) const;
  /// All of them that are open, whosever they are. Errors: those of the store.
  [[nodiscard]] Result<std::vector<RunRecord>, StoreError> find_open() const;
  /// Whose one that was found is.
  [[nodiscard]] std::string client_of(const RunRecord& record) const;

 private:
  [[nodiscard]] std::string owner_of(const std::string& client) const;
  [[nodiscard]] Result<Done, StoreError> write(const RunRecord& record,
                                               Durability durability) const;

  StateStore& store_;
  const std::string kind_;
};

/// Nobody can guess it.
[[nodiscard]] RunId draw_run_id();
/// That of a name that somebody else gives, such as fal's of a job.
[[nodiscard]] RunId run_id_of(std::string_view name, const Codecs& codecs);

}  // namespace falproxy::app
