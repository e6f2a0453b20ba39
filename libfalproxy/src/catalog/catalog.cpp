#include "falproxy/catalog.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "base/bell.hpp"
#include "base/fmt.hpp"
#include "base/name_pattern.hpp"
#include "base/random.hpp"
#include "catalog/document.hpp"

namespace falproxy::inline v0 {

using namespace std::chrono_literals;
using catalog::Document;
using catalog::ProfilePointer;
using DocumentPointer = std::shared_ptr<Document>;

namespace {

// So that a contradiction is acted on soon.
constexpr auto longest_sleep = 5s;

catalog::FetchOptions fetch_options(const Catalog::Options& options) {
  return {options.fal, options.ttl, options.fetch_timeout, options.max_document_bytes};
}

// Profiles of one model whose names an operator taught, made anew where its documents are.
class TaughtProfiles {
 public:
  explicit TaughtProfiles(Teaching taught) : taught_(std::move(taught)) {}

  [[nodiscard]] ProfilePointer of(const ProfilePointer& plain) {
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find(made_, plain, &Made::from);
    if (known != made_.end()) return known->profile;
    if (made_.size() == most) made_.erase(made_.begin());
    made_.push_back({plain, std::make_shared<const profile::Profile>(
                                profile::make_profile(plain->schema, taught_))});
    return made_.back().profile;
  }

 private:
  static constexpr std::size_t most = 2;  // a model's own document, and that of its edits
  struct Made {
    ProfilePointer from, profile;
  };

  const Teaching taught_;
  std::mutex mutex_;
  std::vector<Made> made_;
};

// The configured models with their documents, as of one moment. Never changed once made.
struct Configured {
  Catalog::Options options;
  std::vector<CatalogModel> models;
  std::map<std::string, std::size_t, std::less<>> by_name;
  std::map<std::string, DocumentPointer, std::less<>> documents;               // by endpoint
  std::map<std::string, DocumentPointer, std::less<>> pinned;                  // by model name
  std::map<std::string, std::shared_ptr<TaughtProfiles>, std::less<>> taught;  // by model name

  [[nodiscard]] ProfilePointer as_taught(ProfilePointer plain, std::string_view model) const {
    const auto own = taught.find(model);
    if (own == taught.end() || plain == nullptr) return plain;
    return own->second->of(plain);
  }

  [[nodiscard]] DocumentPointer document(const fal::EndpointId& endpoint,
                                         std::string_view model) const {
    const auto own = pinned.find(model);
    if (own != pinned.end() && own->second->endpoint() == endpoint) return own->second;
    const auto found = documents.find(endpoint.str());
    return found == documents.end() ? nullptr : found->second;
  }
};

std::string first_names(const std::vector<CatalogModel>& models) {
  constexpr std::size_t most = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(models.size(), most); ++i) {
    text += (i == 0 ? "" : ", ") + models[i].name;
  }
  return models.size() > most ? text + ", ..." : text;
}

Error no_such_model(std::string_view name, const std::vector<CatalogModel>& models) {
  return {ErrorKind::unknown_model,
          fmt::format("The model '{}' does not exist. Configured: {}.", name.substr(0, 200),
                      first_names(models)),
          "model"};
}

// The documents of endpoints that are not configured (ALLOW_ANY_MODEL): the most recently used
// stay.
class AnyDocuments {
 public:
  DocumentPointer find_or_add(const fal::EndpointId& endpoint, std::size_t max) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(endpoint.str());
    if (found != entries_.end()) {
      found->second.used = ++clock_;
      return found->second.document;
    }
    while (!entries_.empty() && entries_.size() >= max) entries_.erase(least_worth());
    auto document = std::make_shared<Document>(endpoint);
    entries_.emplace(endpoint.str(), Entry{document, ++clock_});
    return document;
  }

  [[nodiscard]] DocumentPointer find(const fal::EndpointId& endpoint) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(endpoint.str());
    return found == entries_.end() ? nullptr : found->second.document;
  }

  [[nodiscard]] std::vector<DocumentPointer> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<DocumentPointer> documents;
    documents.reserve(entries_.size());
    for (const auto& [endpoint, entry] : entries_) documents.push_back(entry.document);
    return documents;
  }

 private:
  struct Entry {
    DocumentPointer document;
    std::uint64_t used = 0;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  // One that brought nothing goes before one that serves.
  Entries::iterator least_worth() {
    return std::ranges::min_element(entries_, {}, [](const Entries::value_type& entry) {
      return std::pair(entry.second.document->current() != nullptr, entry.second.used);
    });
  }

  mutable std::mutex mutex_;
  std::uint64_t clock_ = 0;
  Entries entries_;
};

// One call of refresh_due(): its workers take what is due until nothing is and nobody works.
class RefreshRound {
 public:
  RefreshRound(const Catalog::Parts& parts, catalog::FetchOptions options,
               std::vector<DocumentPointer> documents, TimePoint now, std::stop_token stop)
      : parts_(parts),
        options_(std::move(options)),
        documents_(std::move(documents)),
        begin_(now),
        stop_(std::move(stop)) {}

  [[nodiscard]] std::size_t count_due() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        documents_, [&](const DocumentPointer& document) { return document->due() <= now(); }));
  }

  void work() {
    // Before the first fetch, which may be slow: what the store has can serve meanwhile.
    for (std::size_t i = next_to_load_++; i < documents_.size(); i = next_to_load_++) {
      documents_[i]->load(parts_, options_);
    }
    std::unique_lock lock(mutex_);
    while (!stop_.stop_requested()) {
      if (const DocumentPointer document = take_due()) {
        const Working working(*this, lock);
        document->refresh(parts_, options_, now(), stop_);
      } else if (working_ == 0) {
        return;
      } else {
        // A slow fetch of one document must not delay the next attempt at another.
        changed_.wait(lock, parts_.clock, std::clamp(next_due(), now() + 1ms, now() + 1s), stop_);
      }
    }
  }

  [[nodiscard]] TimePoint next_due() const {
    TimePoint next = now() + longest_sleep;
    for (const DocumentPointer& document : documents_) {
      if (const std::optional<TimePoint> due = document->due()) next = std::min(next, *due);
    }
    return std::max(next, now());
  }

 private:
  // One worker at one document. Lets go of the lock meanwhile, and wakes those who found nothing.
  class Working {
   public:
    Working(RefreshRound& round, std::unique_lock<std::mutex>& lock) : round_(round), lock_(lock) {
      ++round_.working_;
      lock_.unlock();
    }
    ~Working() {
      lock_.lock();
      --round_.working_;
      Bell::Ring ring = round_.changed_.take();
      lock_.unlock();
      ring();
      lock_.lock();
    }
    Working(const Working&) = delete;
    Working& operator=(const Working&) = delete;

   private:
    RefreshRound& round_;
    std::unique_lock<std::mutex>& lock_;
  };

  [[nodiscard]] TimePoint now() const { return std::max(begin_, parts_.clock.now()); }

  DocumentPointer take_due() {
    for (const DocumentPointer& document : documents_) {
      const std::optional<TimePoint> due = document->due();
      if (due.has_value() && *due <= now()) return document;
    }
    return nullptr;
  }

  const Catalog::Parts& parts_;
  const catalog::FetchOptions options_;
  const std::vector<DocumentPointer> documents_;
  const TimePoint begin_;
  const std::stop_token stop_;
  std::mutex mutex_;
  std::atomic<std::size_t> next_to_load_{0};
  Bell changed_;
  int working_ = 0;
};

}  // namespace

struct Catalog::Impl {
  explicit Impl(Parts given) : parts(std::move(given)) {
    parts.random = or_middle(std::move(parts.random));
  }

  [[nodiscard]] std::shared_ptr<const Configured> configured() const {
    const std::shared_lock lock(mutex);
    return configured_now;
  }

  void configure(Options options, std::vector<CatalogModel> models,
                 const std::map<std::string, std::string>& pinned) {
    const std::shared_ptr<const Configured> before = configured();
    auto next = std::make_shared<Configured>();
    const auto add_document = [&](const fal::EndpointId& endpoint) {
      if (next->documents.contains(endpoint.str())) return;
      DocumentPointer document = before == nullptr ? nullptr : before->document(endpoint, {});
      if (document == nullptr) document = any.find(endpoint);
      if (document == nullptr) document = std::make_shared<Document>(endpoint);
      next->documents.emplace(endpoint.str(), std::move(document));
    };
    for (const CatalogModel& model : models) {
      next->by_name.emplace(model.name, static_cast<std::size_t>(&model - models.data()));
      const auto text = pinned.find(model.name);
      if (text == pinned.end()) {
        add_document(model.endpoint);
      } else {
        next->pinned.emplace(model.name, std::make_shared<Document>(model.endpoint, text->second));
      }
      for (const auto& beside : {model.edit_endpoint, model.remix_endpoint}) {
        if (beside.has_value()) add_document(*beside);
      }
      if (model.settings.taught != Teaching{})
        next->taught.emplace(model.name, std::make_shared<TaughtProfiles>(model.settings.taught));
    }
    next->options = std::move(options);
    next->models = std::move(models);
    const std::unique_lock lock(mutex);
    configured_now = std::move(next);
  }

  // Configured ones in the order of their names, then the rest that serve.
  [[nodiscard]] std::vector<DocumentPointer> documents(const Configured& now) const {
    std::vector<DocumentPointer> all;
    for (const auto& [name, document] : now.pinned) all.push_back(document);
    for (const auto& [endpoint, document] : now.documents) all.push_back(document);
    for (const DocumentPointer& document : any.all()) {
      const bool listed = now.documents.contains(document->endpoint().str());
      if (!listed && document->current() != nullptr) all.push_back(document);
    }
    return all;
  }

  Parts parts;
  mutable std::shared_mutex mutex;
  std::shared_ptr<const Configured> configured_now;
  AnyDocuments any;
};

Catalog::Catalog(Parts parts, Options options, std::vector<CatalogModel> models,
                 const std::map<std::string, std::string>& pinned)
    : impl_(std::make_unique<Impl>(std::move(parts))) {
  impl_->configure(std::move(options), std::move(models), pinned);
}

Catalog::~Catalog() = default;

void Catalog::reload(Options options, std::vector<CatalogModel> models,
                     const std::map<std::string, std::string>& pinned) {
  impl_->configure(std::move(options), std::move(models), pinned);
}

std::vector<CatalogModel> Catalog::models() const { return impl_->configured()->models; }

Result<CatalogModel> Catalog::find(std::string_view name) const {
  const std::shared_ptr<const Configured> now = impl_->configured();
  const auto found = now->by_name.find(name);
  if (found != now->by_name.end()) return now->models[found->second];
  const auto fits = [name](const CatalogModel& model) {
    return model.is_pattern() && matches_pattern(model.name, name);
  };
  const auto pattern = std::ranges::find_if(now->models, fits);
  if (pattern != now->models.end()) return *pattern;
  if (now->options.allow_any_model) {
    if (Result<fal::EndpointId> endpoint = fal::EndpointId::parse(name)) {
      return CatalogModel{std::string(name), std::move(*endpoint), std::nullopt, {}};
    }
  }
  return no_such_model(name, now->models);
}

Result<ProfilePointer> Catalog::profile(const fal::EndpointId& endpoint, std::string_view model,
                                        TimePoint deadline, const std::stop_token& stop) {
  const std::shared_ptr<const Configured> now = impl_->configured();
  DocumentPointer document = now->document(endpoint, model);
  if (document != nullptr) {
    ProfilePointer known = document->current();
    if (known == nullptr) {
      Result<ProfilePointer> fetched =
          document->get(impl_->parts, fetch_options(now->options), deadline, stop);
      if (!fetched) return fetched;
      known = *std::move(fetched);
    }
    return now->as_taught(std::move(known), model);
  }
  if (!now->options.allow_any_model) return no_such_model(endpoint.str(), now->models);

  document = impl_->any.find_or_add(endpoint, now->options.max_any_models);
  Result<ProfilePointer> profile =
      document->get(impl_->parts, fetch_options(now->options), deadline, stop);
  if (!profile && document->unknown_to_fal()) return no_such_model(endpoint.str(), now->models);
  const auto serves = [](std::optional<Medium> makes) {
    return makes == Medium::image || makes == Medium::video || makes == Medium::audio ||
           makes == Medium::text;
  };
  if (profile && !serves((*profile)->makes)) {
    return Error{ErrorKind::unknown_model,
                 fmt::format("The fal endpoint '{}' makes no images, videos, sound or text.",
                             endpoint.str()),
                 "model"};
  }
  return profile;
}

ProfilePointer Catalog::cached(const fal::EndpointId& endpoint, std::string_view model) const {
  const std::shared_ptr<const Configured> now = impl_->configured();
  DocumentPointer document = now->document(endpoint, model);
  if (document == nullptr) document = impl_->any.find(endpoint);
  return document == nullptr ? nullptr : now->as_taught(document->current(), model);
}

TimePoint Catalog::refresh_due(TimePoint now, std::stop_token stop) {
  const std::shared_ptr<const Configured> configured = impl_->configured();
  RefreshRound round(impl_->parts, fetch_options(configured->options),
                     impl_->documents(*configured), now, std::move(stop));
  const auto parallel = static_cast<std::size_t>(std::max(configured->options.parallel_fetches, 1));
  const std::size_t workers = std::min(parallel, round.count_due());
  if (workers > 0) {
    const std::vector<std::function<void()>> tasks(workers, [&round] { round.work(); });
    impl_->parts.executor.run_all(tasks);
  }
  return round.next_due();
}

void Catalog::contradicted(const fal::EndpointId& endpoint, TimePoint now) {
  DocumentPointer document = impl_->configured()->document(endpoint, {});
  if (document == nullptr) document = impl_->any.find(endpoint);
  if (document != nullptr && document->contradicted(now) && impl_->parts.log) {
    impl_->parts.log(LogLevel::info,
                     fmt::format("{}: fal refused what the document allows; it is fetched again",
                                 endpoint.str()));
  }
}

std::vector<DocumentStatus> Catalog::status() const {
  std::vector<DocumentStatus> all;
  for (const DocumentPointer& document : impl_->documents(*impl_->configured())) {
    all.push_back(document->status());
  }
  return all;
}

}  // namespace falproxy::inline v0
