#include "runs/live_runs.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace falproxy::inline v0::runs {
namespace {

std::string key_of(const std::string& owner, char kind, const Digest& digest) {
  std::string key(1, kind);
  key.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return key + owner;
}

}  // namespace

void LiveRun::accepted(const Underway& underway) {
  if (on_taken_) on_taken_(underway);
}

void LiveRun::queued(std::optional<int> position) {
  const std::lock_guard lock(mutex_);
  position_ = position;
}

void LiveRun::running() {
  const std::lock_guard lock(mutex_);
  running_ = true;
  position_.reset();
}

bool LiveRun::is_running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::optional<int> LiveRun::queue_position() const {
  const std::lock_guard lock(mutex_);
  return position_;
}

int LiveRun::tell_progress(int percent) {
  const std::lock_guard lock(mutex_);
  return told_ = std::max(told_, percent);
}

void LiveRun::note() {
  std::unique_lock lock(mutex_);
  noted_ = true;
  Bell::Ring wake = changed_.take();
  lock.unlock();
  wake();
}

bool LiveRun::wait_for_note() {
  std::unique_lock lock(mutex_);
  while (!noted_ && !ended_) changed_.wait(lock, clock_, no_deadline, {});
  return noted_;
}

void LiveRun::end() {
  std::unique_lock lock(mutex_);
  ended_ = true;
  Bell::Ring wake = changed_.take();
  lock.unlock();
  wake();
}

bool LiveRun::wait(TimePoint until) {
  std::unique_lock lock(mutex_);
  while (!ended_ && clock_.now() < until) changed_.wait(lock, clock_, until, {});
  return ended_;
}

LiveRuns::Entry LiveRuns::enter(const Asked& asked, const RunId& id, Clock& clock) {
  std::vector<std::string> keys{key_of(asked.owner, 'd', asked.digest)};
  if (asked.key_hash.has_value()) keys.push_back(key_of(asked.owner, 'k', *asked.key_hash));
  auto run = std::make_shared<LiveRun>(
      id, asked.owner, clock,
      asked.later != nullptr ? asked.later->taken : std::function<void(const Underway&)>());
  const std::lock_guard lock(mutex_);
  if (const auto same = runs_.find(id); same != runs_.end()) return {nullptr, same->second.run};
  const bool is_repeat = asked.key_hash.has_value() || asked.retry_count > 0;
  if (const auto found = equal_.find(keys.back()); is_repeat && found != equal_.end()) {
    const auto& [equal, digest] = found->second;
    return {nullptr, digest == asked.digest ? runs_.at(equal).run : nullptr};
  }
  for (const std::string& key : keys) equal_.emplace(key, std::pair(id, asked.digest));
  Place place(run.get(), [this](LiveRun* ended) { leave(ended->id()); });
  runs_.emplace(id, Kept{std::move(run), std::move(keys)});
  return {std::move(place), nullptr};
}

void LiveRuns::leave(const RunId& id) {
  std::shared_ptr<LiveRun> run;
  {
    const std::lock_guard lock(mutex_);
    const auto kept = runs_.find(id);
    for (const std::string& key : kept->second.keys) {
      const auto [first, last] = equal_.equal_range(key);
      const auto own =
          std::find_if(first, last, [&](const auto& row) { return row.second.first == id; });
      if (own != last) equal_.erase(own);
    }
    run = std::move(kept->second.run);
    runs_.erase(kept);
  }
  run->end();
}

std::shared_ptr<LiveRun> LiveRuns::find(const std::string& owner, const RunId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = runs_.find(id);
  return found != runs_.end() && found->second.run->owner() == owner ? found->second.run : nullptr;
}

void LiveRuns::cancel(const RunId& id) const {
  std::shared_ptr<LiveRun> run;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = runs_.find(id); found != runs_.end()) run = found->second.run;
  }
  if (run != nullptr) run->cancel();
}

void LiveRuns::note_duration(const std::string& endpoint, std::chrono::microseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  if (endpoint.empty() || seconds <= 0) return;
  const std::lock_guard lock(mutex_);
  const auto [place, is_new] = durations_.emplace(endpoint, seconds);
  if (!is_new) place->second += (seconds - place->second) / 4;
}

std::optional<double> LiveRuns::usual_seconds(const std::string& endpoint) const {
  const std::lock_guard lock(mutex_);
  const auto found = durations_.find(endpoint);
  return found == durations_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace falproxy::inline v0::runs
