#include "falproxy/memory_store.hpp"

#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "state/query.hpp"

namespace falproxy::inline v0 {
namespace {

// The newest first.
struct NewestFirst {
  bool operator()(const RunPlace& a, const RunPlace& b) const { return b < a; }
};

bool is_other(const RunRecord& a, const RunRecord& b) {
  return a.owner != b.owner || a.digest != b.digest || a.key_hash != b.key_hash ||
         a.surface != b.surface || a.created != b.created;
}

bool answers(const RunRecord& record, const RunQuery& query) {
  using enum RunQuery::By;
  if (!query.owner.empty() && record.owner != query.owner) return false;
  if (query.not_before && record.created < *query.not_before) return false;
  switch (query.by) {
    case id:
      return record.promised && record.id == query.id;
    case digest:
      return record.digest == query.digest;
    case key:
      return record.key_hash == query.digest && holds_key(record);
    case owner:
      return record.promised && (query.surface.empty() || record.surface == query.surface);
    case open:
      return is_open(record);
  }
  return false;
}

std::string_view bytes_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// What all answers to a query have in common, as a number; others may share it.
std::uint64_t drawer(RunQuery::By by, std::string_view owner, std::string_view rest) {
  const std::hash<std::string_view> hash;
  return (hash(owner) * 31 + hash(rest)) * 31 + static_cast<std::uint64_t>(by);
}

std::uint64_t drawer_of(const RunQuery& query) {
  using enum RunQuery::By;
  switch (query.by) {
    case digest:
    case key:
      return drawer(query.by, query.owner, bytes_of(query.digest));
    case owner:
      return drawer(query.by, query.owner, query.surface);
    case id:
    case open:
      break;
  }
  return drawer(open, {}, {});
}

std::vector<std::uint64_t> drawers_of(const RunRecord& record) {
  using enum RunQuery::By;
  std::vector<std::uint64_t> drawers{drawer(digest, record.owner, bytes_of(record.digest))};
  if (record.key_hash) drawers.push_back(drawer(key, record.owner, bytes_of(*record.key_hash)));
  if (record.promised) {
    drawers.push_back(drawer(owner, record.owner, {}));
    if (!record.surface.empty()) drawers.push_back(drawer(owner, record.owner, record.surface));
  }
  if (is_open(record)) drawers.push_back(drawer(open, {}, {}));
  return drawers;
}

}  // namespace

struct MemoryStore::Impl {
  struct Kept {
    RunRecord record;
    std::string packed;
  };

  Impl(const Clock& told, Limits given) : clock(told), limits(given) {}

  Result<Done, StoreError> write(const RunRecord& record) {
    Result<std::string, StoreError> packed = pack(record);
    if (!packed) return std::move(packed).error();
    const std::lock_guard lock(mutex);
    const auto old = records.find(record.id);
    if (old != records.end()) {
      const Kept& kept = old->second;
      if (record.fence == kept.record.fence && *packed == kept.packed) return Done();
      if (record.fence <= kept.record.fence) return outdated(record.fence, kept.record.fence);
      if (is_other(record, kept.record)) return other_run();
    }
    if (!make_room(record.id, old == records.end() ? 0 : old->second.packed.size(),
                   packed->size())) {
      return StoreError{StoreFault::overloaded,
                        "The store in memory is full of runs that are under way."};
    }
    forget(record.id);
    order.insert(place_of(record));
    for (const std::uint64_t drawer : drawers_of(record)) index[drawer].insert(place_of(record));
    bytes += packed->size();
    open += is_open(record) ? 1 : 0;
    records.emplace(record.id, Kept{record, *std::move(packed)});
    ++written;
    return Done();
  }

  // Forgets old ones until `more` bytes of one record find room, in place of `less` if it is there.
  bool make_room(const RunId& keep, std::size_t less, std::size_t more) {
    const std::size_t added = less == 0 ? 1 : 0;
    auto last = order.end();
    const auto full = [&] {
      return records.size() + added > limits.max_records || bytes - less + more > limits.max_bytes;
    };
    while (full()) {
      if (last == order.begin()) return false;
      --last;
      const RunId id = last->id;
      if (id == keep || is_open(records.at(id).record)) continue;
      ++last;
      forget(id);
    }
    return true;
  }

  void forget(const RunId& id) {
    const auto found = records.find(id);
    if (found == records.end()) return;
    order.erase(place_of(found->second.record));
    for (const std::uint64_t drawer : drawers_of(found->second.record)) {
      const auto drawn = index.find(drawer);
      drawn->second.erase(place_of(found->second.record));
      if (drawn->second.empty()) index.erase(drawn);
    }
    bytes -= found->second.packed.size();
    open -= is_open(found->second.record) ? 1 : 0;
    records.erase(found);
  }

  Result<std::vector<RunRecord>, StoreError> find(const RunQuery& query) {
    if (std::optional<StoreError> fault = fault_of(query)) return *std::move(fault);
    std::vector<RunRecord> found;
    const std::lock_guard lock(mutex);
    if (query.by == RunQuery::By::id) {
      const auto one = records.find(query.id);
      if (one != records.end() && answers(one->second.record, query))
        found.push_back(one->second.record);
      return found;
    }
    const auto drawn = index.find(drawer_of(query));
    if (drawn == index.end()) return found;
    const auto take = [&](const RunPlace& place) {
      const RunRecord& record = records.at(place.id).record;
      if (answers(record, query)) found.push_back(record);
    };
    if (query.oldest_first) {
      auto back = std::make_reverse_iterator(query.after ? drawn->second.lower_bound(*query.after)
                                                         : drawn->second.end());
      for (; back != drawn->second.rend() && found.size() < query.limit; ++back) take(*back);
      return found;
    }
    auto from = query.after ? drawn->second.upper_bound(*query.after) : drawn->second.begin();
    for (; from != drawn->second.end() && found.size() < query.limit; ++from) take(*from);
    return found;
  }

  std::uint64_t forget_expired(WallTime now) {
    const std::lock_guard lock(mutex);
    std::vector<RunId> gone;
    for (const auto& [id, kept] : records) {
      if (kept.record.expires <= now) gone.push_back(id);
    }
    for (const RunId& id : gone) forget(id);
    written += gone.size();
    return gone.size();
  }

  const Clock& clock;
  const Limits limits;
  mutable std::mutex mutex;
  std::map<RunId, Kept> records;
  std::set<RunPlace, NewestFirst> order;
  std::map<std::uint64_t, std::set<RunPlace, NewestFirst>> index;
  std::size_t bytes = 0;
  std::uint64_t open = 0;
  std::uint64_t written = 0;
};

MemoryStore::MemoryStore(const Clock& clock) : MemoryStore(clock, Limits()) {}
MemoryStore::MemoryStore(const Clock& clock, Limits limits)
    : impl_(std::make_unique<Impl>(clock, limits)) {}
MemoryStore::~MemoryStore() = default;

void MemoryStore::write(const RunRecord& record, Durability /*durability*/, TimePoint deadline,
                        Callback<Done> done) {
  if (deadline <= impl_->clock.now()) return done(too_late());
  done(impl_->write(record));
}

void MemoryStore::erase(const RunId& id, TimePoint deadline, Callback<Done> done) {
  if (deadline <= impl_->clock.now()) return done(too_late());
  {
    const std::lock_guard lock(impl_->mutex);
    const auto found = impl_->records.find(id);
    if (found != impl_->records.end() && found->second.record.promised) impl_->forget(id);
    ++impl_->written;
  }
  done(Done());
}

void MemoryStore::find(const RunQuery& query, TimePoint deadline,
                       Callback<std::vector<RunRecord>> done) {
  if (deadline <= impl_->clock.now()) return done(too_late());
  done(impl_->find(query));
}

void MemoryStore::forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) {
  if (deadline <= impl_->clock.now()) return done(too_late());
  done(impl_->forget_expired(now));
}

StoreStatus MemoryStore::status() const {
  const std::lock_guard lock(impl_->mutex);
  return {.name = "memory",
          .records = impl_->records.size(),
          .open = impl_->open,
          .written = impl_->written,
          .commits = impl_->written};
}

}  // namespace falproxy::inline v0
