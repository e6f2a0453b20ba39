// chores.hpp: what the server does besides answering requests.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>
#include <utility>

#include "alerts.hpp"
#include "background.hpp"
#include "bills.hpp"
#include "callbacks.hpp"
#include "earlier_runs.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/http_transport.hpp"
#include "falproxy/log.hpp"
#include "falproxy/runner.hpp"
#include "media_store/media_keeper.hpp"
#include "prices.hpp"
#include "serving/offload.hpp"
#include "serving/reactor.hpp"
#include "state.hpp"
#include "stored_keys.hpp"
#include "tracing/span_exporter.hpp"

namespace falproxy::app {

/// Each chore has a fiber of its own.
class Chores {
 public:
  struct Parts {
    Clock& clock;
    serving::Offload& pool;
    HttpTransport& upstream;
    Catalog& catalog;
    Runner& runner;
    State& state;
    Budgets& budgets;
    BillKeeper& bills;
    PriceKeeper& prices;
    StoredKeys& stored_keys;
    Alerts& alerts;
    EarlierRuns& earlier_runs;
    Callbacks& callbacks;
    MediaKeeper* media;   ///< null: files are not kept
    SpanExporter* spans;  ///< null: nobody wants traces
    std::function<void()> keys_changed;
    std::function<std::size_t()> busy;  ///< connections whose request is being answered
    LogLine log;
  };
  explicit Chores(Parts parts) : parts_(std::move(parts)) {}

  /// Begins all of them on that reactor, and waits until they have begun. Once.
  void begin(serving::Reactor& reactor);
  /// Asks all to end.
  void stop() { fibers_.stop(); }
  /// After stop(): until all have ended.
  void wait() { fibers_.wait(); }

 private:
  // On fibers.
  void keep_documents_fresh(const std::stop_token& stop);
  void keep_accounts(const std::stop_token& stop);
  void keep_prices(const std::stop_token& stop);
  void keep_bills(const std::stop_token& stop);
  void keep_media(const std::stop_token& stop);
  void follow_earlier_runs(const std::stop_token& stop);
  void tell_ends(const std::stop_token& stop);
  void send_alerts(const std::stop_token& stop);
  void send_spans(const std::stop_token& stop);

  void forget_expired();
  void tell_usable();
  void give_memory_back();

  const Parts parts_;
  Background fibers_;
  // Of the fiber that keeps documents fresh.
  std::size_t told_usable_ = 0;
  std::size_t most_busy_ = 0;  // since memory was given back
};

}  // namespace falproxy::app
