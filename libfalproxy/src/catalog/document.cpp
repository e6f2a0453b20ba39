#include "catalog/document.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "catalog/freshness.hpp"

namespace falproxy::inline v0::catalog {
namespace {

using namespace std::chrono_literals;

constexpr Milliseconds between_contradictions = 60s;

// Kept of what changed, for the operator: so many lines, and so many bytes of each.
constexpr std::size_t most_changes = 20;
constexpr std::size_t longest_change = 300;

Milliseconds milliseconds(auto duration) noexcept {
  return std::chrono::duration_cast<Milliseconds>(duration);
}

void log(const Catalog::Parts& parts, LogLevel level, const std::string& line) {
  if (parts.log) parts.log(level, line);
}

// What was read from a document, for the debug log.
void log_read(const Catalog::Parts& parts, const fal::EndpointId& endpoint,
              const profile::Profile& profile) {
  if (!parts.log) return;
  std::string inputs;
  for (const schema::Field& field : profile.schema->inputs) {
    inputs += (inputs.empty() ? "" : ", ") + field.name + (field.required ? " (required)" : "");
  }
  parts.log(LogLevel::debug,
            fmt::format("{}: its document says: {}; inputs: {}", endpoint.str(),
                        profile::to_json(profile::describe(profile)).dump(), inputs));
}

std::string reason_of(const TransportError& error) {
  switch (error.fault) {
    case TransportFault::unreachable:
      return "the address of the documents cannot be reached";
    case TransportFault::interrupted:
      return "the connection broke while it was fetched";
    case TransportFault::timed_out:
      return "fetching it took too long";
    case TransportFault::too_large:
      return "it is too large";
    case TransportFault::cancelled:
      return "fetching it was stopped";
  }
  return "it could not be fetched";
}

// Empty: the answer may be a document.
std::string fault_of_answer(const HttpResponse& response) {
  const int status = response.head.status;
  if (status >= 300 && status < 400) {
    return fmt::format(
        "the address of the documents redirects elsewhere ({}), which is not followed", status);
  }
  if (status == 404) return "fal has no document for it (404)";
  if (status < 200 || status >= 300) {
    return fmt::format("the address of the documents answered {}", status);
  }
  const std::string_view body = trim(response.body);
  if (body.empty()) return "the answer was empty";
  if (body.front() == '<') return "the answer was a web page, not JSON";
  return {};
}

std::string place_of(const Error& error) {
  return fmt::format(" (at JSON Pointer \"{}\")", error.field);
}

}  // namespace

Result<std::string, FetchFault> fetch_document(const Catalog::Parts& parts,
                                               const FetchOptions& options,
                                               const fal::EndpointId& endpoint, TimePoint deadline,
                                               const std::stop_token& stop) {
  const TimePoint own_deadline = parts.clock.now() + options.timeout;
  Result<HttpResponse, TransportError> answer =
      fetch(parts.transport, fal::schema_request(options.fal, endpoint),
            std::min(deadline, own_deadline), stop, options.max_bytes);
  if (!answer) {
    const bool callers_deadline =
        answer.error().fault == TransportFault::timed_out && deadline < own_deadline;
    return FetchFault{.reason = reason_of(answer.error()),
                      .detail = std::move(answer).error().message,
                      .interrupted = stop.stop_requested() || callers_deadline};
  }
  if (std::string fault = fault_of_answer(*answer); !fault.empty()) {
    return FetchFault{.reason = std::move(fault), .http_status = answer->head.status};
  }
  return std::move(answer->body);
}

Document::Document(fal::EndpointId endpoint, const std::string& pinned_text)
    : endpoint_(std::move(endpoint)), pinned_(true), store_asked_(true), due_(TimePoint::max()) {
  Result<ProfilePointer> profile = profile::read_profile(pinned_text, endpoint_.str());
  if (!profile) profile = profile::read_profile(pinned_text);
  if (profile) {
    profile_ = *std::move(profile);
  } else {
    fault_ =
        "its local document cannot be used: " + profile.error().message + place_of(profile.error());
  }
}

ProfilePointer Document::current() const {
  const std::lock_guard lock(mutex_);
  return profile_;
}

DocumentStatus Document::status() const {
  const std::lock_guard lock(mutex_);
  return {.endpoint = endpoint_.str(),
          .available = profile_ != nullptr,
          .pinned = pinned_,
          .fetched = fetched_,
          .fault = fault_detail_.empty() ? fault_ : fault_ + ": " + fault_detail_,
          .changes = {changes_.begin(), changes_.end()}};
}

std::optional<TimePoint> Document::due() const {
  const std::lock_guard lock(mutex_);
  if (busy_ || pinned_) return std::nullopt;
  return due_;
}

bool Document::unknown_to_fal() const {
  const std::lock_guard lock(mutex_);
  return profile_ == nullptr && fault_status_ == 404;
}

Error Document::unavailable(TimePoint now) const {
  Error error{ErrorKind::model_unavailable,
              fmt::format("The document of '{}' cannot be had: {}.", endpoint_.str(), fault_)};
  if (!pinned_ && due_ > now) error.retry_after = milliseconds(due_ - now);
  return error;
}

Result<ProfilePointer> Document::get(const Catalog::Parts& parts, const FetchOptions& options,
                                     TimePoint deadline, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (profile_ == nullptr) {
    const TimePoint now = parts.clock.now();
    if (stop.stop_requested()) return Error{ErrorKind::cancelled, "The request was cancelled."};
    if (now >= deadline) {
      return Error{ErrorKind::timed_out,
                   fmt::format("The document of '{}' did not arrive in time.", endpoint_.str())};
    }
    if (busy_) {
      changed_.wait(lock, parts.clock, deadline, stop);
      continue;
    }
    if (pinned_ || (store_asked_ && now < due_)) return unavailable(now);
    {
      const Turn turn(*this);
      lock.unlock();
      ask_store(parts, options);
      if (current() == nullptr) work(parts, options, deadline, stop);
    }
    lock.lock();
  }
  return profile_;
}

bool Document::refresh(const Catalog::Parts& parts, const FetchOptions& options, TimePoint now,
                       const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (busy_ || pinned_ || now < due_) return false;
  const Turn turn(*this);
  lock.unlock();
  try {
    ask_store(parts, options);
    work(parts, options, TimePoint::max(), stop);
  } catch (const std::exception& fault) {
    // Nobody waits for this call who could be told otherwise.
    fail(parts, {.reason = "fetching it failed", .detail = fault.what()});
  }
  return true;
}

void Document::end() {
  std::unique_lock lock(mutex_);
  busy_ = false;
  Bell::Ring ring = changed_.take();
  lock.unlock();
  ring();
}

bool Document::contradicted(TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (pinned_) return false;
  if (contradicted_.has_value() && now - *contradicted_ < between_contradictions) return false;
  contradicted_ = now;
  due_ = std::min(due_, now);
  return true;
}

void Document::load(const Catalog::Parts& parts, const FetchOptions& options) {
  std::unique_lock lock(mutex_);
  if (busy_ || store_asked_) return;
  const Turn turn(*this);
  lock.unlock();
  ask_store(parts, options);
}

// What follows runs on the one thread whose turn it is; the lock is not held.

void Document::work(const Catalog::Parts& parts, const FetchOptions& options, TimePoint deadline,
                    const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    if (parts.clock.now() < due_) return;
  }
  Result<std::string, FetchFault> text = fetch_document(parts, options, endpoint_, deadline, stop);
  if (text) {
    parts.executor.run_blocking([&] { take(parts, options, std::move(*text)); });
  } else if (!text.error().interrupted) {
    fail(parts, std::move(text).error());
  }
}

void Document::ask_store(const Catalog::Parts& parts, const FetchOptions& options) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(store_asked_, true) || parts.store == nullptr) return;
  }
  try {
    parts.executor.run_blocking([&] { load_stored(parts, options); });
  } catch (const std::exception& fault) {
    log(parts, LogLevel::warning,
        fmt::format("{}: the stored document cannot be read ({}); it is fetched again",
                    endpoint_.str(), fault.what()));
  }
}

void Document::load_stored(const Catalog::Parts& parts, const FetchOptions& options) {
  const std::optional<StoredDocument> stored = parts.store->load(endpoint_.str());
  if (!stored.has_value()) return;
  Result<ProfilePointer> profile = profile::read_profile(stored->text, endpoint_.str());
  if (!profile) {
    log(parts, LogLevel::info,
        fmt::format("{}: the stored document cannot be used ({}); it is fetched again",
                    endpoint_.str(), profile.error().message));
    return;
  }
  log_read(parts, endpoint_, **profile);
  const Milliseconds age = milliseconds(parts.clock.wall_now() - stored->fetched);
  std::unique_lock lock(mutex_);
  profile_ = *std::move(profile);
  fetched_ = stored->fetched;
  due_ = parts.clock.now() + fresh_for(age, options.ttl, parts.random());
  Bell::Ring ring = changed_.take();
  lock.unlock();
  ring();
}

void Document::take(const Catalog::Parts& parts, const FetchOptions& options, std::string text) {
  Result<ProfilePointer> analyzed = profile::read_profile(text, endpoint_.str());
  if (!analyzed) {
    fail(parts,
         {.reason = "it cannot be used: " + analyzed.error().message + place_of(analyzed.error()),
          .http_status = 200});
    return;
  }
  log_read(parts, endpoint_, **analyzed);
  const ProfilePointer fresh = *std::move(analyzed);
  const WallTime wall_now = parts.clock.wall_now();
  std::unique_lock lock(mutex_);
  const ProfilePointer before = std::exchange(profile_, fresh);
  const bool recovered = retry_.has_value();
  fetched_ = wall_now;
  fault_.clear();
  fault_detail_.clear();
  fault_status_ = 0;
  retry_.reset();
  due_ = parts.clock.now() + fresh_for(Milliseconds(0), options.ttl, parts.random());
  Bell::Ring ring = changed_.take();
  lock.unlock();
  ring();
  if (recovered)
    log(parts, LogLevel::info, fmt::format("{}: the document is there", endpoint_.str()));
  if (before != nullptr) note_changes(parts, schema::diff(*before->schema, *fresh->schema));
  if (parts.store == nullptr) return;
  try {
    parts.store->save(endpoint_.str(), {std::move(text), wall_now});
  } catch (const std::exception& fault) {
    log(parts, LogLevel::warning,
        fmt::format("{}: the document could not be stored ({})", endpoint_.str(), fault.what()));
  }
}

void Document::note_changes(const Catalog::Parts& parts, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    log(parts, LogLevel::info, fmt::format("{}: the document changed: {}", endpoint_.str(), line));
  }
  const std::lock_guard lock(mutex_);
  for (std::size_t i = std::min(lines.size(), most_changes); i-- > 0;)
    changes_.push_front({*fetched_, cut(lines[i], longest_change)});
  if (lines.size() > most_changes) {
    changes_[most_changes - 1].text = fmt::format("and {} more", lines.size() - most_changes + 1);
  }
  changes_.resize(std::min(changes_.size(), most_changes));
}

void Document::fail(const Catalog::Parts& parts, FetchFault fault) {
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = parts.clock.now();
    if (!retry_.has_value()) retry_.emplace(retry_policies::document, now);
    due_ = retry_->next(now, parts.random()).value_or(TimePoint::max());
    line = fmt::format("{}: the document could not be {}: {}{}; again in {:.0f} s", endpoint_.str(),
                       profile_ == nullptr ? "fetched" : "refreshed, the old one serves on",
                       fault.reason, fault.detail.empty() ? "" : " (" + fault.detail + ")",
                       std::chrono::duration<double>(due_ - now).count());
    fault_ = std::move(fault.reason);
    fault_detail_ = std::move(fault.detail);
    fault_status_ = fault.http_status;
  }
  log(parts, LogLevel::warning, line);
}

}  // namespace falproxy::inline v0::catalog
