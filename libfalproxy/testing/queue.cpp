#include "queue.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace falproxy::inline v0::testing {
namespace {

constexpr std::size_t remembered_jobs = 50'000;  // that have ended

}  // namespace

std::string_view app_of(std::string_view endpoint) {
  const bool has_namespace = endpoint.starts_with("workflows/") || endpoint.starts_with("comfy/");
  std::size_t end = 0;
  for (int segments = has_namespace ? 3 : 2; segments > 0; --segments) {
    end = endpoint.find('/', end == 0 ? 0 : end + 1);
    if (end == std::string_view::npos) return endpoint;
  }
  return endpoint.substr(0, end);
}

std::string Queue::new_id() {
  static constexpr char digits[] = "0123456789abcdef";
  std::string id = "00000000-0000-4000-8000-000000000000";
  std::array<std::uint64_t, 2> bits{random_(), random_()};
  std::size_t taken = 0;
  for (char& c : id) {
    if (c != '0') continue;
    c = digits[bits[taken / 16] >> (taken % 16 * 4) & 15u];
    ++taken;
  }
  return id;
}

void Queue::submit(const std::shared_ptr<Job>& job, std::optional<double> start_timeout_seconds) {
  submitting_ = true;
  job->id = new_id();
  jobs_.emplace(job->id, job);
  Line& line = lines_.try_emplace(job->app).first->second;
  job->place = line.joined++;
  ++stats_.in_queue;
  if (job->queue_time.count() == 0) {
    ready(job);
  } else {
    timeline_.at(timeline_.now() + job->queue_time, [this, job] { ready(job); });
  }
  if (start_timeout_seconds && job->state == JobState::in_queue) {
    const auto timeout = std::chrono::duration_cast<TimePoint::duration>(
        std::chrono::duration<double>(*start_timeout_seconds));
    timeline_.at(timeline_.now() + timeout, [this, job] {
      if (job->state != JobState::in_queue) return;
      end(job, {.status = 504,
                .error = "Request timed out",
                .error_type = "request_timeout",
                .user_timeout = true});
    });
  }
  submitting_ = false;
}

void Queue::ready(const std::shared_ptr<Job>& job) {
  if (job->state != JobState::in_queue) return;
  if (has_slot(job->key)) return start(job);
  accounts_[job->key].waiting.push_back(job);
}

bool Queue::has_slot(const std::string& key) const {
  if (slots_per_key_ == 0) return true;
  const auto account = accounts_.find(key);
  return account == accounts_.end() || account->second.running < slots_per_key_;
}

void Queue::leave_line(const Job& job) {
  --stats_.in_queue;
  ++lines_.find(job.app)->second.left;
}

void Queue::start(const std::shared_ptr<Job>& job) {
  leave_line(*job);
  job->state = JobState::in_progress;
  job->started = timeline_.now();
  job->calendar_started = timeline_.wall_now();
  ++accounts_[job->key].running;
  ++stats_.in_progress;
  stats_.most_in_progress = std::max(stats_.most_in_progress, stats_.in_progress);
  if (job->job_time.count() == 0) return finish(job);
  timeline_.at(timeline_.now() + job->job_time, [this, job] { finish(job); });
  tell(job);
}

void Queue::finish(const std::shared_ptr<Job>& job) {
  if (job->state != JobState::in_progress) return;
  if (!job->change.error.empty() || !job->change.error_type.empty()) {
    return end(job,
               {.status = 500, .error = job->change.error, .error_type = job->change.error_type});
  }
  if (const std::optional<Answer>& result = job->change.result) {
    return end(job, {.status = result->status, .body = result->body});
  }
  const nlohmann::json faults = validate(*job->model, job->input);
  if (faults.empty()) return end(job, {});
  end(job, {.status = 422,
            .body = nlohmann::json{{"detail", faults}}.dump(
                -1, ' ', false, nlohmann::json::error_handler_t::replace),
            .invalid_input = true});
}

void Queue::end(const std::shared_ptr<Job>& job, Outcome outcome) {
  if (job->state == JobState::in_queue) {
    leave_line(*job);
    job->started = timeline_.now();
  } else {
    --stats_.in_progress;
    --accounts_[job->key].running;
  }
  job->state = JobState::completed;
  job->ended = timeline_.now();
  if (job->cancelled) {
    ++stats_.cancelled;
  } else if (outcome.status < 400 && outcome.error.empty()) {
    ++stats_.completed;
  } else {
    ++stats_.failed;
  }
  job->outcome = std::move(outcome);
  ended_.push_back(job->id);
  if (ended_.size() > remembered_jobs) {
    jobs_.erase(ended_.front());
    ended_.pop_front();
  }
  tell(job);
  start_next(job->key);
}

void Queue::start_next(const std::string& key) {
  if (starting_)
    return;  // a job without job time ends inside the loop below, which then takes the next one
  starting_ = true;
  Account& account = accounts_[key];
  while (!account.waiting.empty() && has_slot(key)) {
    const std::shared_ptr<Job> next = std::move(account.waiting.front());
    account.waiting.pop_front();
    if (next->state == JobState::in_queue) start(next);
  }
  starting_ = false;
}

std::shared_ptr<Job> Queue::find(std::string_view id, std::string_view app) const {
  const auto found = jobs_.find(std::string(id));
  if (found == jobs_.end() || found->second->app != app || found->second->direct) return nullptr;
  return found->second;
}

std::shared_ptr<Job> Queue::find(std::string_view id) const {
  const auto found = jobs_.find(std::string(id));
  return found == jobs_.end() ? nullptr : found->second;
}

bool Queue::forget(std::string_view id) { return jobs_.erase(std::string(id)) > 0; }

bool Queue::cancel(const std::shared_ptr<Job>& job) {
  if (job->state == JobState::completed) return false;
  if (job->change.ignores_cancel) return true;
  job->cancelled = true;
  end(job, {.status = 499,
            .error = "Request was cancelled by the client",
            .error_type = "client_cancelled"});
  return true;
}

std::size_t Queue::position(const Job& job) const {
  const std::uint64_t left = lines_.find(job.app)->second.left;
  return job.place > left ? static_cast<std::size_t>(job.place - left) : 0;
}

std::size_t Queue::waiting(std::string_view app) const {
  const auto line = lines_.find(app);
  return line == lines_.end() ? 0
                              : static_cast<std::size_t>(line->second.joined - line->second.left);
}

}  // namespace falproxy::inline v0::testing
