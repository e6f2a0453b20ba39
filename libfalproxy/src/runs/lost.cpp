#include "runs/lost.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_marked = 64u << 10;
constexpr std::size_t most_keys = 8, largest_history = 8u << 20, most_equal_runs = 100;
constexpr Milliseconds longest_search{5s};
// fal's clock may be behind.
constexpr std::chrono::seconds clock_slack{30};

// What the store has of runs of the same request now.
struct Equals {
  std::set<std::string> ids_of_others = {};  ///< fal's
  std::optional<RunRecord> found = {};       ///< the run itself, if somebody has just found it
};
std::optional<Equals> equals_of(const World& world, const RunRecord& record) {
  Clock& clock = world.parts.clock;
  const TimePoint until = clock.now() + longest_store_wait;
  const Awaited<std::vector<RunRecord>> found;
  RunQuery query = RunQuery::of_digest(record.owner, record.digest);
  query.limit = most_equal_runs;
  world.parts.state->find(query, until, found.callback());
  const Result<std::vector<RunRecord>, StoreError> equal = found.wait(clock, until);
  if (!equal) return std::nullopt;
  Equals equals;
  for (const RunRecord& one : *equal) {
    if (one.id == record.id) {
      if (!is_uncertain(one)) equals.found = one;
      continue;
    }
    for (const RunJob& job : one.jobs) equals.ids_of_others.insert(job.request_id);
  }
  return equals;
}

class Search {
 public:
  Search(const World& world, const RunRecord& record, std::set<std::string> others,
         const std::stop_token& stop)
      : world_(world),
        record_(record),
        others_(std::move(others)),
        stop_(stop),
        until_(world.parts.clock.now() + longest_search),
        recorder_(world, {}, record) {}

  std::optional<RunRecord> run() {
    std::vector<std::size_t> asked;
    while (asked.size() < most_keys && !stop_.stop_requested()) {
      Result<KeyLease> lease = world_.parts.keys.acquire_or_wait(
          world_.parts.clock, until_, stop_, {.except = asked, .counted = false});
      if (!lease) break;
      asked.push_back(lease->slot());
      look(*lease);
    }
    if (!any_) return std::nullopt;
    recorder_.settle();
    return recorder_.record();
  }

 private:
  void look(const KeyLease& lease) {
    std::set<std::string> endpoints;
    for (const RunJob& job : record_.jobs) {
      if (job.state == RunState::intent && job.input_mark != 0) endpoints.insert(job.endpoint);
    }
    for (const std::string& endpoint : endpoints) {
      const auto answer = exchange(world_,
                                   fal::history_request(world_.options.fal, endpoint,
                                                        record_.created - clock_slack, lease.key()),
                                   until_, stop_, largest_history);
      if (!answer || answer->head.status != 200) continue;
      const Result<Json> json = Json::parse(*answer->body);
      const auto history = json ? fal::read_history(*json) : json.error();
      if (history) take(endpoint, *history, lease.fingerprint());
    }
  }

  // Equal inputs are told apart by nothing.
  void take(const std::string& endpoint, const std::vector<fal::PastRequest>& history,
            const std::string& key) {
    std::set<std::uint64_t> marks;
    for (const RunJob& job : record_.jobs) {
      if (job.state == RunState::intent && job.endpoint == endpoint) marks.insert(job.input_mark);
    }
    marks.erase(0);
    for (const std::uint64_t mark : marks) {
      std::vector<std::size_t> places;
      for (std::size_t place = 0; place < record_.jobs.size(); ++place) {
        const RunJob& job = record_.jobs[place];
        const bool is_open = job.state == RunState::intent && !found_.contains(place);
        if (is_open && job.endpoint == endpoint && job.input_mark == mark) places.push_back(place);
      }
      std::vector<std::string> ids;
      for (const fal::PastRequest& request : history) {
        if (!others_.contains(request.request_id) && mark_of(Body(request.input.dump())) == mark)
          ids.push_back(request.request_id);
      }
      if (ids.size() > places.size()) continue;
      for (std::size_t i = 0; i < ids.size(); ++i) note(places[i], ids[i], key);
    }
  }

  void note(std::size_t place, const std::string& id, const std::string& key) {
    const Result<fal::EndpointId> endpoint = fal::EndpointId::parse(record_.jobs[place].endpoint);
    if (!endpoint) return;
    const auto submitted = fal::submitted_as(id, *endpoint, world_.options.fal.queue);
    if (!submitted.has_value()) return;
    recorder_.taken(place, *submitted, key);
    others_.insert(id);
    found_.insert(place);
    any_ = true;
  }

  const World& world_;
  const RunRecord& record_;
  std::set<std::string> others_;
  std::set<std::size_t> found_;
  const std::stop_token stop_;
  const TimePoint until_;
  Recorder recorder_;
  bool any_ = false;
};

}  // namespace

// FNV-1a, of 64 bits.
std::uint64_t mark_of(const Body& input) noexcept {
  if (input.size() > longest_marked) return 0;
  std::uint64_t mark = 0xcbf29ce484222325;
  for (const Piece& piece : input.pieces()) {
    for (const char c : piece.bytes) {
      mark ^= static_cast<unsigned char>(c);
      mark *= 0x100000001b3;
    }
  }
  return std::max<std::uint64_t>(mark, 1);
}

bool is_uncertain(const RunRecord& record) noexcept {
  return std::ranges::any_of(record.jobs,
                             [](const RunJob& job) { return job.state == RunState::intent; });
}

std::optional<RunRecord> find_lost(const World& world, const RunRecord& record,
                                   const std::stop_token& stop) {
  const bool is_marked = std::ranges::any_of(record.jobs, [](const RunJob& job) {
    return job.state == RunState::intent && job.input_mark != 0;
  });
  if (!world.options.looks_for_lost_jobs || world.parts.state == nullptr || !is_marked)
    return std::nullopt;
  std::optional<Equals> equals = equals_of(world, record);
  if (!equals.has_value()) return std::nullopt;
  if (equals->found.has_value()) return std::move(equals->found);
  return Search(world, record, std::move(equals->ids_of_others), stop).run();
}

}  // namespace falproxy::inline v0::runs
