// service.hpp: a whole falproxy: from a Configuration to a listening server. Who is plugged into
// whom stands in service.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "configuration.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/result.hpp"
#include "falproxy/state_store.hpp"
#include "log.hpp"

namespace falproxy::app {

/// Thread-safe, but start() is called once.
class Service {
 public:
  struct Options {
    std::function<void(std::string_view)> write_log;  ///< gets whole lines
    bool colours = false;
    /// For the places of the cache and of the state; null: none.
    const Environment* environment = nullptr;
    std::unique_ptr<StateStore> state = nullptr;  ///< in place of the one in STATE_DIR; null: that
  };
  /// Binds its ports, and opens its state. Errors: invalid_settings.
  [[nodiscard]] static Result<std::unique_ptr<Service>> create(Configuration configuration,
                                                               Options options);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Serves from now on; documents are fetched in the background.
  void start();
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] std::uint16_t metrics_port() const noexcept;  ///< 0: none

  /// Swaps a checked configuration in; requests in flight finish on what they began with. HOST,
  /// PORT, METRICS_HOST, METRICS_PORT, SCHEMA_CACHE_DIR, SSL_CERT_FILE, STATE_DIR, MEDIA_STORE
  /// and the proxies stay as they are until a restart; the log says so.
  void reload(Configuration configuration);

  /// Accepts no more, lets what runs finish for at most `grace`, then cancels it, also at fal; what
  /// fal does not answer then is given up. Takes less than `grace` and longest_end. A second call
  /// does nothing.
  void stop(Milliseconds grace);
  static constexpr Seconds longest_end{5};

  [[nodiscard]] Log& log() noexcept;
  [[nodiscard]] const Catalog& catalog() const noexcept;

 private:
  struct Impl;
  explicit Service(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::app
