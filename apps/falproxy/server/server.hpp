// server.hpp: what falproxy answers: routes, keys, limits, and which requests become image tasks.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "connection/application.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/gateway.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/settings.hpp"
#include "log.hpp"
#include "metrics.hpp"
#include "rate_limit.hpp"
#include "server/answers.hpp"
#include "server/body_memory.hpp"
#include "server/model_list.hpp"
#include "server/routes.hpp"

namespace falproxy::app {

/// A JSON body may be as large as this where it carries images; RequestLimits has the limit for the
/// rest of it.
inline constexpr std::size_t max_json_bytes = 64u << 20;

/// What the settings say, as of one moment: a request keeps the rules that it began with.
struct Rules {
  explicit Rules(Settings from);
  const Settings settings;
  const openai::RequestLimits limits;
  const Cors cors;
};

/// Thread-safe.
class Server final : public Application {
 public:
  struct Parts {
    ImageGateway& gateway;
    Catalog& catalog;
    KeyRing& keys;
    const Codecs& codecs;
    Metrics& metrics;
    Log& log;
    std::function<Gauges()> gauges;  ///< but for what the server itself knows
  };
  Server(Parts parts, Settings settings);

  // Application
  std::unique_ptr<Task> receive(const RequestHead& head, Reply& reply) override;
  void refuse(const RequestHead* head, const Error& error, Reply& reply) override;

  /// New settings for requests that begin from now on.
  void reload(Settings settings);
  /// Makes the list of models again where a document has come or changed; cheap where none has.
  void refresh_models();
  [[nodiscard]] std::size_t usable_models() const { return model_list()->usable(); }
  /// From now on /ready says no, and no image request is begun.
  void drain() noexcept { draining_ = true; }

  // For tasks.
  [[nodiscard]] const Parts& parts() const noexcept { return parts_; }
  [[nodiscard]] BodyMemory& body_memory() noexcept { return body_memory_; }
  [[nodiscard]] bool draining() const noexcept { return draining_.load(); }
  [[nodiscard]] Gauges gauges() const;

  /// One image request of those that may run at once.
  class InFlight {
   public:
    explicit InFlight(std::atomic<int>& count) noexcept : count_(&count) { count.fetch_add(1); }
    InFlight(InFlight&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    InFlight& operator=(InFlight&&) = delete;
    ~InFlight() {
      if (count_ != nullptr) count_->fetch_sub(1);
    }

   private:
    std::atomic<int>* count_;
  };

 private:
  struct Asked;
  std::unique_ptr<Task> answer(const Asked& asked, Reply& reply);
  std::unique_ptr<Task> fail(const Asked& asked, const Error& error, Reply& reply);
  std::unique_ptr<Task> give(const Asked& asked, const Piece& body, Reply& reply);
  std::unique_ptr<Task> give_model(const Asked& asked, Reply& reply);
  std::unique_ptr<Task> give_page(const Asked& asked, Reply& reply);
  std::unique_ptr<Task> give_readiness(const Asked& asked, Reply& reply);
  std::unique_ptr<Task> begin_image_request(const Asked& asked, Reply& reply);
  [[nodiscard]] std::shared_ptr<const Rules> rules() const;
  [[nodiscard]] std::shared_ptr<const ModelList> model_list() const;

  const Parts parts_;
  const WallTime started_;
  RequestIds ids_;
  RateLimiter limiter_;
  BodyMemory body_memory_;
  std::atomic<bool> draining_{false};
  std::atomic<int> in_flight_{0};

  mutable std::mutex mutex_;
  std::shared_ptr<const Rules> rules_;
  std::shared_ptr<const ModelList> models_;
};

/// The name of the access key that `head` brings. Every key is looked at, whichever is right.
/// Errors: missing_access_key, invalid_access_key.
[[nodiscard]] Result<std::string> check_access(const RequestHead& head,
                                               const std::vector<AccessKey>& keys);

}  // namespace falproxy::app
