// media_index.hpp: what is known of the files that are kept of answers, and where that is noted.
// The files themselves lie elsewhere.
//
// `SqliteStore` of falproxy::sqlite keeps it in its file, beside the runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

/// How far a file of an answer has come on its way into the place where files are kept.
enum class MediaState {
  waiting,  ///< it is about to be fetched and kept
  kept,     ///< it is there, whole
  lost,     ///< it could not be kept, and is not tried again
  deleted,  ///< its owner does not want it; it stays so, and nothing else of it is known
};
/// As written above.
[[nodiscard]] std::string_view name_of(MediaState value) noexcept;

/// What is known of one file.
struct MediaRecord {
  RunId id = {};                           ///< 128 bits that nobody can guess; not all zero
  MediaState state = MediaState::waiting;  ///< how far it has come
  std::string owner = {};                  ///< the name of the access key whose file it is
  WallTime created = {};                   ///< when it was answered
  WallTime expires = WallTime::max();      ///< from then on it may be forgotten
  std::uint64_t size = 0;                  ///< in bytes; 0 until it is kept
  std::string content_type = {};           ///< "image/png"; until it is kept, as far as it is known
  std::string extension = {};              ///< "png": of its address
  std::string model = {};                  ///< as it is configured
  std::string request_id = {};             ///< of the request that it answered
  std::optional<RunId> run = {};           ///< the run that made it, if that is asked for by its id
  std::string source = {};                 ///< where it came from; empty: from the answer itself
  std::string fal_request_id = {};         ///< of the job that made it; empty: not known
  std::optional<Usd> cost = {};            ///< none: not known
  std::optional<std::string> prompt = {};  ///< only if prompts are kept
  bool operator==(const MediaRecord&) const = default;
};
/// For people, in one line, without the prompt.
std::ostream& operator<<(std::ostream& out, const MediaRecord& record);

/// Which records look_up() brings.
struct MediaQuery {
  /// What they have in common, and their order.
  enum class By {
    id,       ///< `id`; with an owner, only if it is the owner's
    owner,    ///< `owner`, of what is not deleted; the newest first
    oldest,   ///< kept; with an owner, the owner's only; the oldest first
    expired,  ///< `expires` at or before `now`, in any order
    waiting,  ///< not kept yet; the oldest first
  };
  By by = By::id;                   ///< decides which of the members below count
  RunId id = {};                    ///< for `id` alone
  std::string owner = {};           ///< empty, but for `owner`: whoever it is
  std::optional<RunId> after = {};  ///< for `owner`: only those older than that one of its records
  WallTime now = {};                ///< for `expired` alone
  std::size_t limit = 1;            ///< of records; 1 to 1,000
  bool operator==(const MediaQuery&) const = default;
};
/// As written above.
[[nodiscard]] std::string_view name_of(MediaQuery::By value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const MediaQuery& query);

/// What an owner has in all.
struct MediaTotal {
  std::string owner = {};   ///< the name of an access key
  std::uint64_t files = 0;  ///< that are kept
  std::uint64_t bytes = 0;  ///< of them
  bool operator==(const MediaTotal&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const MediaTotal& total);

/// Thread-safe, and asynchronous, with the errors and the promises of StateStore. All that is
/// written is lazy.
class MediaIndex {
 public:
  /// Called once, with what came of an operation.
  template <class T>
  using Callback = StateStore::Callback<T>;

  virtual ~MediaIndex() = default;

  /// Notes new ones; what is there under an id already stays as it is.
  virtual void note(std::vector<MediaRecord> records, TimePoint deadline, Callback<Done> done) = 0;
  /// Changes state, size and content type of a record; a success also if there is none, or if it is
  /// deleted, and stays so.
  virtual void change(const MediaRecord& record, TimePoint deadline, Callback<Done> done) = 0;
  /// Forgets a record; a success also if there is none.
  virtual void forget(const RunId& id, TimePoint deadline, Callback<Done> done) = 0;
  /// Nothing found is a success.
  virtual void look_up(const MediaQuery& query, TimePoint deadline,
                       Callback<std::vector<MediaRecord>> done) = 0;
  /// Of every owner who has something that is kept, in no order.
  virtual void totals(TimePoint deadline, Callback<std::vector<MediaTotal>> done) = 0;
};

}  // namespace falproxy::inline v0
