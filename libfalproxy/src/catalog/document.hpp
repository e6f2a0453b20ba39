// document.hpp: one model document: what is known of it, and the one fetch of it at a time.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bell.hpp"
#include "base/retry.hpp"
#include "falproxy/catalog.hpp"

namespace falproxy::inline v0::catalog {

using ProfilePointer = std::shared_ptr<const profile::Profile>;

/// What a fetch needs to know.
struct FetchOptions {
  fal::Addresses fal;
  std::chrono::seconds ttl;
  std::chrono::seconds timeout;
  std::size_t max_bytes;
};

/// Why a document cannot be had.
struct FetchFault {
  std::string reason;       ///< for clients, too
  std::string detail = {};  ///< more, for the operator: what the transport says
  int http_status = 0;      ///< 0: no answer
  bool interrupted =
      false;  ///< the caller's stop or deadline ended it: says nothing of the document
};
/// The document's text.
[[nodiscard]] Result<std::string, FetchFault> fetch_document(const Catalog::Parts& parts,
                                                             const FetchOptions& options,
                                                             const fal::EndpointId& endpoint,
                                                             TimePoint deadline,
                                                             const std::stop_token& stop);

/// Thread-safe. A document begins unknown; the store is asked once, then fal.
class Document {
 public:
  explicit Document(fal::EndpointId endpoint) : endpoint_(std::move(endpoint)) {}
  /// One that is never fetched: a local file's. `text` that cannot be used makes the model
  /// unavailable.
  Document(fal::EndpointId endpoint, const std::string& pinned_text);

  [[nodiscard]] const fal::EndpointId& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] bool pinned() const noexcept { return pinned_; }
  [[nodiscard]] ProfilePointer current() const;
  [[nodiscard]] DocumentStatus status() const;
  /// When refresh() has work to do; none while another thread is at it, or for a pinned one.
  [[nodiscard]] std::optional<TimePoint> due() const;

  /// What is known; where nothing is, the fetch that is under way is waited for, or made on this
  /// thread. Errors: model_unavailable, timed_out, cancelled.
  [[nodiscard]] Result<ProfilePointer> get(const Catalog::Parts& parts, const FetchOptions& options,
                                           TimePoint deadline, const std::stop_token& stop);

  /// Asks the store, if nobody has yet.
  void load(const Catalog::Parts& parts, const FetchOptions& options);
  /// Loads or fetches it if that is due at `now`. False: there was nothing to do.
  bool refresh(const Catalog::Parts& parts, const FetchOptions& options, TimePoint now,
               const std::stop_token& stop);

  /// Due at once, but at most once a minute. False: too early.
  bool contradicted(TimePoint now);

  /// True where the last attempt brought 404: fal knows no such endpoint.
  [[nodiscard]] bool unknown_to_fal() const;

 private:
  // The right of one thread to load and fetch. Its end wakes those who wait, whatever was thrown.
  class Turn {
   public:
    explicit Turn(Document& document) noexcept : document_(document) { document.busy_ = true; }
    ~Turn() { document_.end(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Document& document_;
  };

  void work(const Catalog::Parts& parts, const FetchOptions& options, TimePoint deadline,
            const std::stop_token& stop);
  void ask_store(const Catalog::Parts& parts, const FetchOptions& options);
  void load_stored(const Catalog::Parts& parts, const FetchOptions& options);
  void take(const Catalog::Parts& parts, const FetchOptions& options, std::string text);
  void note_changes(const Catalog::Parts& parts, const std::vector<std::string>& lines);
  void fail(const Catalog::Parts& parts, FetchFault fault);
  void end();
  [[nodiscard]] Error unavailable(TimePoint now) const;  // the lock is held

  const fal::EndpointId endpoint_;
  const bool pinned_ = false;

  mutable std::mutex mutex_;
  Bell changed_;
  ProfilePointer profile_;
  std::optional<WallTime> fetched_;
  std::string fault_;         // for clients
  std::string fault_detail_;  // for the operator
  int fault_status_ = 0;
  std::deque<DocumentChange> changes_;  // the newest first
  std::optional<Retry> retry_;          // since it last came
  bool store_asked_ = false;
  bool busy_ = false;
  TimePoint due_ = TimePoint::min();
  std::optional<TimePoint> contradicted_;
};

}  // namespace falproxy::inline v0::catalog
