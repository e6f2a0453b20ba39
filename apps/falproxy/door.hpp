// door.hpp: what all requests have in common: who asks, which rules hold, and what is told of the
// answer. What is asked for is the handlers' affair (handlers/handlers.hpp); which handler answers
// what stands in routes.cpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access.hpp"
#include "answers.hpp"
#include "background.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/state_store.hpp"
#include "log.hpp"
#include "metrics.hpp"
#include "model_list.hpp"
#include "rate_limit.hpp"
#include "serving/reactor.hpp"
#include "serving/request.hpp"
#include "stored_keys.hpp"
#include "thumbnails.hpp"
#include "tracing/tracer.hpp"
#include "users.hpp"

namespace falproxy::app {

class Door;
class MediaKeeper;
class NativeJobs;
class Spools;
struct Call;

/// Who may have what a row of the table answers with.
enum class For {
  everybody,
  key_holders,
  model_readers,   ///< key_holders, or everybody with PUBLIC_MODELS
  picture_makers,  ///< key_holders, but for the operator's own key
  the_operator,
};

using Handler = serving::Response (*)(Call& call);

/// One row of the table of routes.
struct RouteRow {
  std::string_view method;   ///< GET also answers HEAD
  std::string_view pattern;  ///< see serving::Route
  std::string_view name;     ///< for logs and metrics
  For whom;
  Handler handler;
};

/// What the settings say, as of one moment: a request keeps the rules that it began with.
struct Rules {
  Rules(Settings from, const Codecs& codecs, std::vector<StoredKey> stored);
  const Settings settings;
  const AccessBook access;
  const RequestLimits limits;
  const Cors cors;
};

/// One request that was let in. Lives while its handler runs.
struct Call {
  Door& door;
  serving::Request& request;
  const RouteRow& row;
  std::shared_ptr<const Rules> rules;
  Caller caller = {};
  bool told = false;  ///< it is, or will be, logged and counted

  /// The first field of that name; empty: there is none.
  [[nodiscard]] std::string_view field(std::string_view name) const {
    return request.head().find(name).value_or("");
  }
  /// The answer to a request that fails.
  [[nodiscard]] serving::Response fail(const Error& error);
};

/// What a run must know of its client, which `head` may say more of.
void append_client(CallContext& context, std::shared_ptr<const Rules> rules,
                   const std::string& client, const serving::RequestHead& head);

/// Thread-safe.
class Door final : public serving::Application {
 public:
  struct Parts {
    Runner& runner;
    Catalog& catalog;
    KeyRing& keys;
    const Codecs& codecs;
    Executor& executor;      ///< for what computes for milliseconds
    Background& background;  ///< for runs that outlive their request
    /// One of Runner::untold() is new.
    std::function<void()> end_is_untold;
    Metrics& metrics;
    Log& log;
    MemoryBudget& memory;                ///< MAX_BODY_MEMORY
    Spools& spools;                      ///< the files of forms, as far as they are long
    Budgets& budgets;                    ///< what keys may spend, and what jobs cost
    SpendingStore& spending;             ///< for reports
    Users& users;                        ///< whom they tell apart
    StoredKeys& stored_keys;             ///< that the operator has made
    MediaKeeper* media;                  ///< keeps the files of answers; null: nobody does
    NativeJobs& native_jobs;             ///< of fal's own API
    StateStore& store;                   ///< for what outlives a request and is no run
    std::function<StoreStatus()> state;  ///< of the store that runs are noted in
    std::function<Gauges()> gauges;      ///< but for what the door itself knows
    Tracer* tracer = nullptr;            ///< null: there are no traces
    Peers* peers = nullptr;              ///< who shares limits of access keys; null: nobody
  };
  Door(Parts parts, Settings settings);

  /// As serving::Server wants it. `table` and this outlive it.
  [[nodiscard]] std::vector<serving::Route> routes(std::span<const RouteRow> table);
  serving::Response refuse(serving::Request* request, const Error& error) override;

  /// New settings for requests that begin from now on.
  void reload(Settings settings);
  /// The stored keys are others, for requests that begin from now on.
  void keys_changed();
  /// From now on /ready says no, and no picture is begun.
  void drain() noexcept { draining_ = true; }

  // For handlers.
  [[nodiscard]] const Parts& parts() const noexcept { return parts_; }
  [[nodiscard]] std::shared_ptr<const Rules> rules() const;
  [[nodiscard]] bool draining() const noexcept { return draining_.load(); }
  [[nodiscard]] Gauges gauges() const;
  /// As the catalogue is now.
  [[nodiscard]] std::shared_ptr<const ModelList> models();
  [[nodiscard]] Thumbnails& thumbnails() noexcept { return thumbnails_; }
  [[nodiscard]] WallTime started() const noexcept { return started_; }
  /// Counts and logs what became of a run. `error`: why it, or a part of it, failed; null: nothing
  /// did.
  void tell(RequestRecord record, const Error* error, const Rules& rules);

  /// The answer to a request whose key is wrong or missing: late, if many were wrong.
  serving::Response wrong_key(Call& call, const Error& error);

  /// One picture request of those that may run at once, held until its answer is out.
  struct Admission {
    Place in_flight;  ///< of MAX_IN_FLIGHT
    Place of_client = {};
  };
  /// `counts`: against the caller's own limits. Errors: overloaded, rate_limited.
  [[nodiscard]] Result<Admission> admit(const Call& call, bool counts);
  /// A run of that client that goes on though its request has ended, as long as the place is held.
  [[nodiscard]] Place follow(const std::string& client);

 private:
  friend struct Call;
  serving::Response answer(const RouteRow& row, serving::Request& request);
  serving::Response let_in(const RouteRow& row, serving::Request& request);
  serving::Response failure(std::string_view request_id, std::string_view route,
                            const Error& error);
  /// Gives it an id and the fields of every answer, unless it has them.
  void identify(serving::Request& request, const Rules& rules);
  void take(Settings settings);

  const Parts parts_;
  const WallTime started_;
  Random random_;
  RateLimiter limiter_;
  WrongKeys wrong_keys_;
  std::atomic<bool> draining_{false};
  const Count in_flight_ = new_count(), followed_ = new_count();
  serving::FiberClock clock_;
  Thumbnails thumbnails_{parts_.runner, clock_, parts_.memory};
  std::atomic<bool> listing_{false};  // somebody makes the list of models

  std::mutex reloading_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Rules> rules_;
  std::shared_ptr<const ModelList> models_;
  TimePoint models_checked_;
};

/// An answer that is JSON.
[[nodiscard]] serving::Response json_answer(Piece text);
[[nodiscard]] serving::Response json_answer(std::string text);

}  // namespace falproxy::app
