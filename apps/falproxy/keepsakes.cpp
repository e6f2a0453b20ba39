#include "keepsakes.hpp"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "base/handed.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {
namespace {

constexpr Seconds longest_store_wait{5};
constexpr std::size_t page = 1'000, most_open = 100'000;

template <class T>
Result<T, StoreError> waited(const Handed<Result<T, StoreError>>& handed, Clock& clock,
                             TimePoint until) {
  std::optional<Result<T, StoreError>> brought = handed.wait(clock, until);
  if (brought.has_value()) return *std::move(brought);
  return StoreError{StoreFault::timed_out, "The store did not answer in time."};
}

}  // namespace

std::string Keepsakes::owner_of(const std::string& client) const { return kind_ + ":" + client; }

Result<Done, StoreError> Keepsakes::write(const RunRecord& record, Durability durability) const {
  serving::FiberClock clock;
  const TimePoint until = clock.now() + longest_store_wait;
  const Handed<Result<Done, StoreError>> done;
  store_.write(record, durability, until, done.callback());
  return waited(done, clock, until);
}

bool Keepsakes::keep(const std::string& client, const RunId& id, RunRecord record, Seconds time,
                     Durability durability) const {
  serving::FiberClock clock;
  record.id = id;
  record.owner = owner_of(client);
  record.promised = true;
  record.created = record.changed = clock.wall_now();
  record.expires = record.created + time;
  return write(record, durability).has_value();
}

Result<Done, StoreError> Keepsakes::keep_again(const RunRecord& record) const {
  return write(record, Durability::durable);
}

Result<std::optional<RunRecord>> Keepsakes::find(const std::string& client, const RunId& id) const {
  serving::FiberClock clock;
  const TimePoint until = clock.now() + longest_store_wait;
  const Handed<Result<std::vector<RunRecord>, StoreError>> found;
  store_.find(RunQuery::of_id(id, owner_of(client)), until, found.callback());
  Result<std::vector<RunRecord>, StoreError> records = waited(found, clock, until);
  if (!records) {
    return Error{.kind = ErrorKind::overloaded,
                 .message = "What was noted before cannot be read now. Try again.",
                 .retry_after = Seconds(1)};
  }
  if (records->empty() || records->front().expires <= clock.wall_now())
    return std::optional<RunRecord>();
  return std::optional(std::move(records->front()));
}

Result<std::vector<RunRecord>, StoreError> Keepsakes::find_open() const {
  serving::FiberClock clock;
  std::vector<RunRecord> all;
  RunQuery query = RunQuery::of_open(page);
  for (bool more = true; more && all.size() < most_open;) {
    const TimePoint until = clock.now() + longest_store_wait;
    const Handed<Result<std::vector<RunRecord>, StoreError>> found;
    store_.find(query, until, found.callback());
    Result<std::vector<RunRecord>, StoreError> some = waited(found, clock, until);
    if (!some) return std::move(some).error();
    more = some->size() == page;
    if (more) query.after = place_of(some->back());
    for (RunRecord& record : *some) {
      if (record.owner.starts_with(owner_of({}))) all.push_back(std::move(record));
    }
  }
  return all;
}

std::string Keepsakes::client_of(const RunRecord& record) const {
  return record.owner.substr(owner_of({}).size());
}

RunId draw_run_id() {
  RunId id;
  if (::getentropy(id.bytes.data(), id.bytes.size()) != 0) throw std::bad_alloc();
  return id;
}

RunId run_id_of(std::string_view name, const Codecs& codecs) {
  const Digest digest = codecs.sha256(name);
  RunId id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

}  // namespace falproxy::app
