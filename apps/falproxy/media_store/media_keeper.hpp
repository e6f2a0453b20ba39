// media_keeper.hpp: keeps the files of answers, and knows who may have them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "background.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/log.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"
#include "media_store/media_links.hpp"
#include "media_store/media_status.hpp"
#include "media_store/media_store.hpp"

namespace falproxy::app {

/// Whose files they are, and what they were made for.
struct MediaOccasion {
  std::string client = {};
  std::string origin = {};  ///< of addresses: "https://host"
  std::string request_id = {};
  std::string model = {};
  std::optional<RunId> run = {};           ///< if that is asked for by its id
  std::optional<std::string> prompt = {};  ///< only if it is to be kept
  std::optional<Usd> cost = {};            ///< of all of them together
  bool is_repeat = false;                  ///< they may have been answered before
  bool is_answer = true;                   ///< somebody gets the addresses
};

/// Thread-safe. What waits is called on fibers.
class MediaKeeper {
 public:
  struct Parts {
    Runner& runner;
    Clock& clock;
    const Codecs& codecs;
    Executor& executor;
    Background& background;
    MediaIndex* index;     ///< null: there is none, and nothing is kept
    SpendingStore& texts;  ///< has the secret of the links
    LogLine log;
    /// Of an owner; none: no limit of its own.
    std::function<std::optional<std::uint64_t>(const std::string& owner)> quota_of;
    /// Has fal forget a request and its files; called on a fiber of its own. Empty: nobody may.
    std::function<void(const std::string& fal_request_id, const std::stop_token& stop)>
        forget_at_fal;
    /// Makes the store; called again as long as it fails.
    std::function<Result<std::shared_ptr<MediaStore>>()> make_store;
  };
  MediaKeeper(Parts parts, MediaPlace place);
  /// What goes on in the background has ended.
  ~MediaKeeper();
  MediaKeeper(const MediaKeeper&) = delete;
  MediaKeeper& operator=(const MediaKeeper&) = delete;

  /// Begins to keep the files behind the addresses of `products`, and puts its own addresses in
  /// their place; what cannot be kept stays as it is, with a Note. Files that stand in the answer
  /// itself (data URIs) are kept before it returns.
  void keep(std::vector<Product>& products, const MediaOccasion& occasion,
            std::vector<plan::Note>& notes);
  /// Puts its own addresses in place of those of files that it has, or is about to have; in place
  /// of others of files that are not public, links that fal signs for a week. `origin` may be
  /// empty: no address of its own is known. False: what is kept cannot be looked up now.
  bool show(std::vector<Product>& products, const std::string& client, const std::string& origin,
            const std::stop_token& stop);

  /// What is known of a file now. Errors: overloaded.
  [[nodiscard]] Result<std::optional<MediaRecord>> find(const RunId& id,
                                                        const std::string& owner = {});
  /// The same of the file of fal's that was answered to `client`; none: it has no such. Also if it
  /// was deleted.
  [[nodiscard]] std::optional<MediaRecord> find_source(const std::string& client,
                                                       const std::string& source);
  /// The same, once it is kept or lost, or `until`.
  [[nodiscard]] Result<std::optional<MediaRecord>> find_settled(const RunId& id, TimePoint until,
                                                                const std::stop_token& stop);
  /// Those of an owner, the newest first. Errors: overloaded.
  [[nodiscard]] Result<std::vector<MediaRecord>> list(const std::string& owner, std::size_t limit,
                                                      std::optional<RunId> after);
  /// File and record, for good: it does not come back with a repeat of its request. And fal's own
  /// files of that request, once none of them is still to be kept. Errors: overloaded; internal, if
  /// the store does not remove it.
  [[nodiscard]] Result<Done> remove(const MediaRecord& record);

  /// Null: it cannot be used now.
  [[nodiscard]] std::shared_ptr<MediaStore> store() const;
  /// Null: not known yet.
  [[nodiscard]] std::shared_ptr<const MediaLinks> links() const;
  [[nodiscard]] const MediaPlace& place() const noexcept;
  [[nodiscard]] MediaStatus status() const;

  /// Looks after the store, until `stop`: goes on with what an earlier process has left, and lets
  /// go of what is too old.
  void run(const std::stop_token& stop);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace falproxy::app
