// catalog.hpp: the configured models and their OpenAPI documents: fetched once, kept, refreshed
// before they are old.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/log.hpp"
#include "falproxy/print.hpp"
#include "falproxy/profile.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0 {

/// A document as it was fetched.
struct StoredDocument {
  std::string text;  ///< the JSON as fal sent it
  WallTime fetched;  ///< when fal sent it; its age after a restart counts from here
  bool operator==(const StoredDocument&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const StoredDocument& document);

/// Where documents outlive the process. Thread-safe. `DiskStore` of the server is one; none is
/// fine.
class DocumentStore {
 public:
  virtual ~DocumentStore() = default;
  /// None if there is none, or if it is broken (the store then sets it aside).
  [[nodiscard]] virtual std::optional<StoredDocument> load(const std::string& endpoint) = 0;
  /// Called with every document that was fetched and can be used, from several threads at once. A
  /// failure is the store's own affair: the document still serves from memory.
  virtual void save(const std::string& endpoint, const StoredDocument& document) = 0;
};

/// One model as a request meets it: a snapshot that stays as it is while the request runs.
struct CatalogModel {
  std::string name;  ///< what clients call it: a name of SUPPORTED_MODELS, or the endpoint id
                     ///< (allow_any_model)
  /// It serves each name that its own matches, where '*' stands for any characters. Clients are not
  /// shown it in lists.
  [[nodiscard]] bool is_pattern() const noexcept { return name.find('*') != std::string::npos; }
  /// For requests without pictures; for all, if there is no edit_endpoint.
  fal::EndpointId endpoint;
  std::optional<fal::EndpointId> edit_endpoint;  ///< for requests that carry pictures
  ModelSettings settings;  ///< what MODELS_FILE says of it; all empty if it says nothing
  /// For requests that carry a video; none: the model takes none.
  std::optional<fal::EndpointId> remix_endpoint = std::nullopt;
  bool operator==(const CatalogModel&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const CatalogModel& model);

/// One thing that another document of the same endpoint says differently.
struct DocumentChange {
  WallTime time;     ///< when the document that says so was fetched
  std::string text;  ///< a line of schema::diff(), for people
  bool operator==(const DocumentChange&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const DocumentChange& change);

/// What is known of a document right now; for the status page, metrics and `falproxy check`.
struct DocumentStatus {
  std::string endpoint;    ///< the fal endpoint id; may stand twice, pinned and fetched
  bool available = false;  ///< requests can be mapped; an old document counts, however often
                           ///< fetching failed since
  /// Comes from a local file (ModelSettings::schema): never fetched, never old.
  bool pinned = false;
  std::optional<WallTime> fetched = std::nullopt;  ///< none: pinned, or never fetched
  std::string fault = {};                          ///< of the last attempt, if it failed
  /// Changes seen since the process began, also against what the store had; the newest first, at
  /// most 20.
  std::vector<DocumentChange> changes = {};
  /// Of the faults only whether there is one.
  bool operator==(const DocumentStatus& other) const noexcept {
    return endpoint == other.endpoint && available == other.available && pinned == other.pinned &&
           fetched == other.fetched && fault.empty() == other.fault.empty() &&
           changes == other.changes;
  }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const DocumentStatus& status);

/// Thread-safe. Background work is a function of time that the owner's timer calls: refresh_due().
class Catalog {
 public:
  /// Taken anew with reload().
  struct Options {
    fal::Addresses fal = {};              ///< only `schema` is asked
    std::chrono::seconds ttl{24 * 3600};  ///< a document is fetched again at 80 to 95 % of this
                                          ///< age, so that not all are due at once
    /// Of one fetch, whatever time the request that waits for it has.
    std::chrono::seconds fetch_timeout{30};
    bool allow_any_model = false;      ///< an endpoint id that is not configured is a model too
    std::size_t max_any_models = 200;  ///< documents kept for those
    std::size_t max_document_bytes = 8u << 20;  ///< a larger answer counts as failed
    int parallel_fetches = 8;                   ///< of one refresh_due(); less than 1 counts as 1
  };
  /// What the catalog works with. Everything that is referred to must outlive it.
  struct Parts {
    Transport& transport;            ///< for the fetches; no key is sent
    Clock& clock;                    ///< for ages, back-off and waiting
    Executor& executor;              ///< runs the fetches of refresh_due() side by side, and what
                                     ///< reads a document or the store
    DocumentStore* store = nullptr;  ///< null: documents live as long as the process
    /// In [0, 1), for jitter; called from several threads at once. Empty: no jitter.
    std::function<double()> random = {};
    LogLine log = {};  ///< documents that come, change and cannot be had
  };

  /// `pinned`: text of the documents that ModelSettings::schema names, by model name; nothing is
  /// fetched for those.
  Catalog(Parts parts, Options options, std::vector<CatalogModel> models,
          const std::map<std::string, std::string>& pinned);
  ~Catalog();
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  /// The configured models, in order.
  [[nodiscard]] std::vector<CatalogModel> models() const;
  /// The model of that name, else the first whose pattern it matches, else, with allow_any_model,
  /// an endpoint id. Errors: unknown_model.
  [[nodiscard]] Result<CatalogModel> find(std::string_view name) const;

  /// The document of `endpoint`. If it is being fetched, this waits for that fetch and for no
  /// other. `model`: its pinned document is used if `endpoint` is the model's own, and its taught
  /// names are used. Errors: model_unavailable (`retry_after`: when it is fetched again),
  /// timed_out, cancelled; unknown_model if an endpoint that is not configured does not exist or
  /// makes neither images nor videos, sound or text.
  [[nodiscard]] Result<std::shared_ptr<const profile::Profile>> profile(
      const fal::EndpointId& endpoint, std::string_view model, TimePoint deadline,
      const std::stop_token& stop);
  /// What is there without any fetch or wait; null: nothing.
  [[nodiscard]] std::shared_ptr<const profile::Profile> cached(const fal::EndpointId& endpoint,
                                                               std::string_view model) const;

  /// Loads what the store has, fetches what is missing or due at `now`, several at a time, and
  /// returns when to call again (at most five seconds later, so that contradicted() is acted on).
  /// Blocks while it fetches; one caller at a time.
  TimePoint refresh_due(TimePoint now, std::stop_token stop);
  /// fal contradicted the document of `endpoint`: it is due at once, at most once a minute.
  void contradicted(const fal::EndpointId& endpoint, TimePoint now);

  /// New models and options; documents that are known stay.
  void reload(Options options, std::vector<CatalogModel> models,
              const std::map<std::string, std::string>& pinned);

  /// One entry for each document: pinned ones by model name, then those of configured endpoints by
  /// id, then the others (allow_any_model) that serve.
  [[nodiscard]] std::vector<DocumentStatus> status() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0
