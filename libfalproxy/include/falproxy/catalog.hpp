// catalog.hpp: the configured models and their OpenAPI documents: fetched once, kept, refreshed before they are old.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/result.hpp"
#include "falproxy/schema.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/transport.hpp"

namespace falproxy {

/// A document as it was fetched.
struct StoredDocument {
  std::string text;
  WallTime fetched;
};

/// Where documents outlive the process. Thread-safe. `DiskStore` of the server is one; none is fine.
class DocumentStore {
 public:
  virtual ~DocumentStore() = default;
  /// None where there is none, or it is broken (the store then sets it aside).
  [[nodiscard]] virtual std::optional<StoredDocument> load(const std::string& endpoint) = 0;
  virtual void save(const std::string& endpoint, const StoredDocument& document) = 0;
};

/// One model as a request meets it: a snapshot that stays as it is while the request runs.
struct CatalogModel {
  std::string name;
  fal::EndpointId endpoint;
  std::optional<fal::EndpointId> edit_endpoint;
  ModelSettings settings;
};

/// What is known of a document right now; for the status page, metrics and `falproxy check`.
struct DocumentStatus {
  std::string endpoint;
  bool available = false;
  bool pinned = false;
  std::optional<WallTime> fetched = std::nullopt;
  std::string fault = {};  ///< of the last attempt, where it failed
};

/// Thread-safe. Background work is a function of time that the owner's timer calls: refresh_due().
class Catalog {
 public:
  struct Options {
    fal::Addresses fal = {};
    std::chrono::seconds ttl{24 * 3600};
    std::chrono::seconds fetch_timeout{30};
    bool allow_any_model = false;      ///< an endpoint id that is not configured is a model too
    std::size_t max_any_models = 200;  ///< documents kept for those
    std::size_t max_document_bytes = 8u << 20;
    int parallel_fetches = 8;
  };
  struct Parts {
    Transport& transport;
    Clock& clock;
    Executor& executor;
    const Codecs& codecs;
    DocumentStore* store = nullptr;
    std::function<double()> random;
    std::function<void(std::string_view)> log;  ///< one line for the operator; may be empty
  };

  /// `pinned`: text of the documents that ModelSettings::schema names, by model name; nothing is fetched for those.
  Catalog(Parts parts, Options options, std::vector<CatalogModel> models, std::map<std::string, std::string> pinned);
  ~Catalog();
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  /// The configured models, in order.
  [[nodiscard]] std::vector<CatalogModel> models() const;
  /// By name; with allow_any_model also by endpoint id. Errors: unknown_model.
  [[nodiscard]] Result<CatalogModel> find(std::string_view name) const;

  /// The document of `endpoint`; where it is still on its way, waits for that one fetch (never for another's).
  /// `pinned_for`: the model whose pinned document counts, where `endpoint` is that model's own.
  /// Errors: model_unavailable (`retry_after`: when it is fetched again), timed_out, cancelled; unknown_model where an
  /// endpoint that is not configured does not exist or makes no images.
  [[nodiscard]] Result<std::shared_ptr<const schema::ModelSchema>> schema(const fal::EndpointId& endpoint,
                                                                          std::string_view pinned_for, TimePoint deadline,
                                                                          std::stop_token stop);
  /// What is there without any fetch or wait; null: nothing.
  [[nodiscard]] std::shared_ptr<const schema::ModelSchema> cached(const fal::EndpointId& endpoint,
                                                                  std::string_view pinned_for) const;

  /// Loads what the store has, fetches what is missing or due at `now`, several at a time, and returns when to call again
  /// (at most five seconds later, so that contradicted() is acted on). Blocks while it fetches; one caller at a time.
  TimePoint refresh_due(TimePoint now, std::stop_token stop);
  /// fal contradicted the document of `endpoint`: it is due at once, at most once a minute.
  void contradicted(const fal::EndpointId& endpoint, TimePoint now);

  /// New models and options; documents that are known stay.
  void reload(Options options, std::vector<CatalogModel> models, std::map<std::string, std::string> pinned);

  [[nodiscard]] std::vector<DocumentStatus> status() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy
