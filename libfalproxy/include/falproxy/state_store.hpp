// state_store.hpp: the record of a run, and where records are kept: while a run is under way, so
// that a restart finds what is paid for, and afterwards, for who asks again.
//
// A record holds no picture and no key, and a prompt only if a surface has to say it again.
// `MemoryStore` keeps records as long as the process lives, `SqliteStore` of falproxy::sqlite in a
// file.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// The name of a run: 128 random bits, drawn by who begins it.
struct RunId {
  std::array<std::uint8_t, 16> bytes{};  ///< all zero: no run's

  /// None if `text` is not 32 hexadecimal digits, of either case.
  [[nodiscard]] static std::optional<RunId> parse(std::string_view text) noexcept;
  /// 32 hexadecimal digits, of lower case.
  [[nodiscard]] std::string to_string() const;

  /// By their bytes, the first one first.
  auto operator<=>(const RunId&) const = default;
};
/// RunId::to_string().
std::ostream& operator<<(std::ostream& out, const RunId& id);

/// How far a run, or one of its jobs, has come.
enum class RunState {
  intent,     ///< about to be submitted: from here on nobody knows whether fal has it
  accepted,   ///< fal has it, and it may be billed
  completed,  ///< what it made is there
  failed,     ///< it ended, and will make nothing
  cancelled,  ///< it was stopped before it made anything
};
/// As written above.
[[nodiscard]] std::string_view name_of(RunState value) noexcept;
/// intent and accepted: a restart has to look after it.
[[nodiscard]] constexpr bool is_open(RunState state) noexcept {
  return state <= RunState::accepted;
}

/// Why a run, or one of its jobs, failed.
struct RunFault {
  ErrorKind kind = ErrorKind::internal;  ///< what an answer is made from
  std::string message = {};              ///< as Error::message
  /// But for the message.
  bool operator==(const RunFault& other) const noexcept { return kind == other.kind; }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RunFault& fault);

/// One job of fal's queue.
struct RunJob {
  RunState state = RunState::intent;  ///< of this job alone
  std::string endpoint = {};          ///< fal's endpoint id: "fal-ai/flux/dev"
  std::string request_id = {};        ///< fal's; empty: none is known
  std::string account = {};           ///< a short fingerprint of the account that pays; no key
  /// @{
  /// fal's addresses; empty if they follow from endpoint and request id.
  std::string status_url = {};
  std::string response_url = {};
  std::string cancel_url = {};
  /// @}
  WallTime submitted = {};                    ///< 1970: it was not
  std::optional<double> expected_units = {};  ///< of fal's billing, before it ran
  std::optional<double> billable_units = {};  ///< as fal told them
  std::optional<Usd> held = {};  ///< against budgets, until its cost is known; none: that is done
  Day held_on = 0;               ///< the day that it counts for
  std::optional<Usd> cost = {};  ///< of a job that has ended; none: not known
  /// Of what it was submitted with, to know it again at fal; 0: not noted. See runs::mark_of().
  std::uint64_t input_mark = 0;
  std::optional<RunFault> fault = std::nullopt;  ///< why it failed
  bool operator==(const RunJob&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RunJob& job);

/// Something that a run made, where it lies.
struct RunArtifact {
  std::string url = {};                      ///< where it can be had
  std::string content_type = {};             ///< empty: not known
  std::optional<std::uint64_t> size = {};    ///< in bytes
  std::optional<std::uint32_t> width = {};   ///< in pixels
  std::optional<std::uint32_t> height = {};  ///< in pixels
  std::optional<double> seconds = {};        ///< how long it plays
  std::string thumbnail = {};                ///< where a picture of it can be had; empty: nowhere
  std::optional<std::uint32_t> job = {};     ///< that made it: its place in RunRecord::jobs
  bool operator==(const RunArtifact&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RunArtifact& artifact);

/// RunRecord::surface of a job of fal's own API. Runner::recover() passes over it, as who submitted
/// it follows it, too.
inline constexpr std::string_view native_surface = "fal";

/// What is kept of a run. pack() says how large it may be. The owner, both digests, the surface and
/// the time when it was created never change.
struct RunRecord {
  RunId id = {};  ///< not all zero
  /// Counts the writes of this record: a writer adds 1 to what it has read or written last, and who
  /// takes it up from another process goes to the next multiple of 2^32. See StateStore::write().
  std::uint64_t fence = 1;
  RunState state = RunState::intent;    ///< of the whole run
  std::string owner = {};               ///< the name of the access key whose run it is
  Digest digest = {};                   ///< of the request
  std::optional<Digest> key_hash = {};  ///< of its Idempotency-Key
  bool promised =
      false;  ///< somebody was told the id, or sent an Idempotency-Key, and may ask later
  std::string surface = {};          ///< what was asked: "images.generations"
  std::string user = {};             ///< whom its owner asked for; empty: nobody said
  std::string requested_model = {};  ///< as the client wrote it
  std::string served_model = {};     ///< as it is configured
  /// @{
  /// The last one is when it may be forgotten. `created` never changes.
  WallTime created = {};
  WallTime changed = {};
  WallTime expires = {};
  /// @}
  std::optional<double> chance = {};  ///< what the plan was made with, see plan::make_plan()
  /// Only if its surface must say it again later; it is neither printed nor looked at.
  std::optional<std::string> prompt = {};
  std::vector<RunJob> jobs = {};                 ///< in the order of their submits
  std::vector<RunArtifact> artifacts = {};       ///< in the order of the answer
  std::optional<RunFault> fault = std::nullopt;  ///< why the run failed
  std::string details = {};                      ///< what an answer is made from later: JSON text
  bool is_untold = false;                        ///< somebody waits to be told of its end
  /// The process that looks after it, of those that share a store; all zero: there is one alone.
  RunId holder = {};
  bool operator==(const RunRecord&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RunRecord& record);
/// A restart has to look after it: it is under way, or somebody waits to be told of its end.
[[nodiscard]] inline bool is_open(const RunRecord& record) noexcept {
  return is_open(record.state) || record.is_untold;
}

/// What the jobs of a run cost together; none: of one of them it is not known, or there are none.
[[nodiscard]] std::optional<Usd> cost_of(const RunRecord& record) noexcept;

/// How soon a write must be on the disk.
enum class Durability {
  durable,  ///< when it is done it survives a power failure
  /// When it is done it survives the end of the process. It may wait for a durable one, up to 50
  /// ms, so that both cost one.
  lazy,
};
/// As written above.
[[nodiscard]] std::string_view name_of(Durability value) noexcept;

/// Why a store did not do what it was asked for.
enum class StoreFault {
  outdated,     ///< the stored record carries a higher fence, or the same one and says otherwise
  invalid,      ///< the record or the query is none that a store takes; a defect of the caller
  too_large,    ///< the record is larger than `max_record_bytes`, or has too many artifacts
  overloaded,   ///< too many operations wait already
  timed_out,    ///< the deadline passed
  in_use,       ///< another process has the store
  newer,        ///< a newer version of falproxy wrote it; nothing was changed
  foreign,      ///< what is there is no store of falproxy's; nothing was changed
  unavailable,  ///< the disk is full, not to be written, or fails; later calls try again
  damaged,      ///< what is stored cannot be read; opening it anew sets it aside
  closed,       ///< the store is going, and did not come to it
};
/// As written above.
[[nodiscard]] std::string_view name_of(StoreFault value) noexcept;

/// A failure of a store.
struct StoreError {
  StoreFault fault = StoreFault::unavailable;  ///< what to branch on
  std::string message = {};                    ///< one sentence for the operator
  /// It was begun, and nobody knows whether it was done: read again. False: it was not done.
  bool may_be_done = false;
  /// But for the message.
  bool operator==(const StoreError& other) const noexcept {
    return fault == other.fault && may_be_done == other.may_be_done;
  }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const StoreError& error);

/// What pack() takes at most.
inline constexpr std::size_t max_record_bytes = 16'384;
/// What all artifacts of a record may take together, packed.
inline constexpr std::size_t max_artifact_bytes = 2'048;

/// The bytes that stand for a record in every store: the same bytes if the records are equal.
/// Errors: too_large; invalid if there is no id, no owner or no fence, the fence is beyond 2^63,
/// or a time is before 1970 or after 2262.
[[nodiscard]] Result<std::string, StoreError> pack(const RunRecord& record);
/// A record from what pack() made, of this version of falproxy or an older one; what a newer one
/// added is left out. Errors: damaged.
[[nodiscard]] Result<RunRecord, StoreError> unpack(std::string_view bytes);

/// Where a record stands among others; what is greater is newer.
struct RunPlace {
  WallTime created = {};  ///< decides
  RunId id = {};          ///< decides among equals
  /// By both.
  auto operator<=>(const RunPlace&) const = default;
};
/// The place of a record, whether or not it is still there.
[[nodiscard]] RunPlace place_of(const RunRecord& record) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RunPlace& place);

/// Another record with its Idempotency-Key must not be submitted: it is under way, fal has had a
/// job of it, or nobody knows whether fal has.
[[nodiscard]] bool holds_key(const RunRecord& record) noexcept;

/// Which records find() brings: the newest first, by `created`, and among equals by the id; or the
/// other way round.
struct RunQuery {
  /// What the records have in common.
  enum class By {
    id,      ///< `id`, if it is promised; with an owner, only if the run is the owner's
    digest,  ///< `owner` and `digest`
    key,     ///< `owner` and `digest`, which is the hash of an Idempotency-Key; if holds_key()
    owner,   ///< `owner`, of what is promised
    open,    ///< is_open() of the record; with an owner, the owner's only
  };
  By by = By::open;                    ///< decides which of the members below count
  std::string owner = {};              ///< empty, for `id` and `open`: whoever it is
  RunId id = {};                       ///< for `id` alone
  Digest digest = {};                  ///< for `digest` and `key`
  std::string surface = {};            ///< for `owner`: of this surface only; empty: of every one
  std::size_t limit = 1;               ///< of records; 1 to 1,000
  std::optional<RunPlace> after = {};  ///< only those behind it; not for `id`
  bool oldest_first = false;           ///< for `owner` alone
  std::optional<WallTime> not_before = {};  ///< none that was created earlier
  bool operator==(const RunQuery&) const = default;

  /// @{
  /// The queries there are; limit, after and not_before can be set then.
  [[nodiscard]] static RunQuery of_id(const RunId& id, std::string owner = {});
  [[nodiscard]] static RunQuery of_digest(std::string owner, const Digest& digest);
  [[nodiscard]] static RunQuery of_key(std::string owner, const Digest& key_hash);
  [[nodiscard]] static RunQuery of_owner(std::string owner, std::size_t limit);
  [[nodiscard]] static RunQuery of_open(std::size_t limit);
  /// @}
};
/// As written above.
[[nodiscard]] std::string_view name_of(RunQuery::By value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const RunQuery& query);

/// How a store stands; for /ready, metrics and the status page.
struct StoreStatus {
  std::string name = {};                      ///< "memory", "sqlite"
  std::optional<std::uint64_t> records = {};  ///< none: not counted yet
  std::uint64_t open = 0;                     ///< of them, those with is_open() of the record
  std::uint64_t waiting = 0;                  ///< operations that are not done yet
  std::uint64_t written = 0;  ///< writes and erasures that were done, since the start
  std::uint64_t commits = 0;  ///< in so many steps, since the start
  std::string degraded = {};  ///< why writes fail now, in one sentence; empty: they do not
  bool operator==(const StoreStatus&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const StoreStatus& status);

/// Keeps records. Thread-safe, and asynchronous: each operation returns at once, and its callback
/// is called exactly once, from whatever thread, perhaps before the operation returns. A callback
/// does not block; it may call the store again, but not destroy it.
///
/// What is not begun by its deadline is not done, and fails as `timed_out`. What was begun fails so
/// with `may_be_done`. Operations of one thread are done in their order, but for find(), which sees
/// what is done and may overtake the rest. Errors of all of them: overloaded, timed_out,
/// unavailable, damaged, closed.
class StateStore {
 public:
  /// Called once, with what came of an operation.
  template <class T>
  using Callback = std::function<void(Result<T, StoreError>)>;

  /// What is not done yet is done, or its callback hears `closed`.
  virtual ~StateStore() = default;

  /// Keeps `record` in place of the one with its id. Of two writers only one gets through: the
  /// record's fence must be higher than that of the stored record. If both are equal, and the
  /// records, too, it is there already, and that is a success: so a write may be repeated. What is
  /// not there takes any fence. More errors: outdated, too_large, invalid.
  virtual void write(const RunRecord& record, Durability durability, TimePoint deadline,
                     Callback<Done> done) = 0;
  /// As write() (durable), of a record with an Idempotency-Key that is about to be submitted. If
  /// another record of its owner and key is under way, or fal had a job of it, nothing is written,
  /// and the callback hears its id; none: it is written. `known` are ids that do not count. Stores
  /// that one process has alone need no more than write().
  virtual void claim(const RunRecord& record, std::vector<RunId> known, TimePoint deadline,
                     Callback<std::optional<RunId>> done);
  /// Forgets a record that is promised, for good (durable); a success also if there is none.
  virtual void erase(const RunId& id, TimePoint deadline, Callback<Done> done) = 0;
  /// Nothing found is a success. More errors: invalid.
  virtual void find(const RunQuery& query, TimePoint deadline,
                    Callback<std::vector<RunRecord>> done) = 0;
  /// Forgets (lazy) whatever has `expires` at or before `now`, open or not; the callback hears how
  /// many that were. If it fails on the way, some are forgotten.
  virtual void forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) = 0;
  /// Never waits for the disk.
  [[nodiscard]] virtual StoreStatus status() const = 0;
};

}  // namespace falproxy::inline v0
