#include "callbacks.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/finally.hpp"
#include "base/fmt.hpp"
#include "base/hmac.hpp"
#include "falproxy/openai_videos.hpp"

namespace falproxy::app {
namespace {

constexpr Seconds longest_attempt{15};
// What ends in another process, or could not be looked up, is found after this.
constexpr Seconds between_looks{30};
constexpr std::size_t most_at_once = 16;
// Before the second attempt, the third and so on; after the last nobody is told.
constexpr std::array<Seconds, 8> pauses{Seconds(5),      Seconds(60),    Seconds(300),
                                        Seconds(1'800),  Seconds(7'200), Seconds(18'000),
                                        Seconds(36'000), Seconds(36'000)};

bool is_video(const RunStatus& status) { return status.record.surface == video_surface; }

// OpenAI has two events for videos.
std::string event_of(const RunStatus& status) {
  const bool completed = status.phase == RunPhase::completed;
  if (is_video(status)) return completed ? "video.completed" : "video.failed";
  return "falproxy.job." + std::string(completed || status.phase == RunPhase::cancelled
                                           ? name_of(status.phase)
                                           : name_of(RunPhase::failed));
}

std::string data_of(const RunStatus& status) {
  if (is_video(status)) return openai::write_video(status);
  // What is wanted in base64 is fetched by who wants it.
  const bool shows =
      status.phase == RunPhase::completed && status.response_format == ResponseFormat::url;
  return (shows ? job_json(status, status.products) : job_json(status)).str();
}

}  // namespace

HttpRequest callback_request(const RunStatus& status, const Callback& callback,
                             const Codecs& codecs, std::int64_t seconds) {
  const std::string id = "evt_" + status.record.id.to_string();
  const auto created = std::chrono::floor<Seconds>(status.record.changed.time_since_epoch());
  std::string body =
      fmt::format(R"({{"id":"{}","object":"event","created_at":{},"type":"{}","data":)", id,
                  created.count(), event_of(status));
  body += data_of(status) + "}";
  const std::string time = std::to_string(seconds);
  const std::string secret = codecs.decode_base64(callback.secret).value_or("");
  const Digest signature = hmac_sha256(codecs, secret, id + "." + time + "." + body);
  std::string signed_as = "v1,";
  codecs.encode_base64({reinterpret_cast<const char*>(signature.data()), signature.size()},
                       signed_as);
  HttpRequest request{.method = "POST", .url = callback.url, .body = Body(std::move(body))};
  request.headers.add("Content-Type", "application/json");
  request.headers.add("webhook-id", id);
  request.headers.add("webhook-timestamp", time);
  request.headers.add("webhook-signature", signed_as);
  return request;
}

void Callbacks::reload(const Settings& settings) {
  const std::string& hosts = settings.callback_hosts;
  Result<fal::MediaHosts> parsed = fal::MediaHosts::parse(hosts);
  {
    const std::lock_guard lock(mutex_);
    calls_anybody_ = parsed.has_value() && !hosts.empty();
    origin_ = settings.public_url;
    hosts_ = parsed ? *std::move(parsed) : fal::MediaHosts();
  }
  wake();
}

void Callbacks::wake() {
  std::unique_lock lock(mutex_);
  is_woken_ = true;
  Bell::Ring ring = woken_.take();
  lock.unlock();
  ring();
}

void Callbacks::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    TimePoint until = parts_.clock.now() + between_looks;
    {
      const std::lock_guard lock(mutex_);
      is_woken_ = false;
    }
    try {
      until = std::min(until, tell_due());
    } catch (...) {  // no memory: the next time
    }
    std::unique_lock lock(mutex_);
    while (!is_woken_ && !stop.stop_requested() && parts_.clock.now() < until)
      woken_.wait(lock, parts_.clock, until, stop);
  }
}

TimePoint Callbacks::tell_due() {
  const TimePoint now = parts_.clock.now();
  {
    const std::lock_guard lock(mutex_);
    if (!calls_anybody_) return no_deadline;
  }
  const Result<std::vector<RunStatus>> untold = parts_.runner.untold();
  if (!untold) return now + between_looks;
  TimePoint next = no_deadline;
  std::unique_lock lock(mutex_);
  std::erase_if(attempts_, [&](const auto& row) {
    return std::ranges::none_of(
        *untold, [&](const RunStatus& status) { return status.record.id == row.first; });
  });
  for (const RunStatus& status : *untold) {
    const RunId id = status.record.id;
    if (under_way_.contains(id)) continue;
    const Attempts& attempts = attempts_[id];
    if (attempts.next > now || under_way_.size() >= most_at_once) {
      next = std::min(next, std::max(attempts.next, now + Seconds(1)));
      continue;
    }
    under_way_.insert(id);
    lock.unlock();
    const bool begun = parts_.background.begin(
        [this, status](const std::stop_token& stop) { tell(status, stop); });
    lock.lock();
    if (begun) continue;
    under_way_.erase(id);
    next = std::min(next, now + Seconds(1));
  }
  return next;
}

void Callbacks::tell(const RunStatus& status, const std::stop_token& stop) {
  const RunId id = status.record.id;
  const Finally over([&] {
    {
      const std::lock_guard lock(mutex_);
      under_way_.erase(id);
    }
    wake();
  });
  const std::string why = attempt(status, stop);
  if (stop.stop_requested()) return;
  bool gives_up = false;
  if (!why.empty()) {
    const std::lock_guard lock(mutex_);
    Attempts& attempts = attempts_[id];
    gives_up = attempts.made == pauses.size();
    if (!gives_up) attempts.next = parts_.clock.now() + pauses[attempts.made];
    ++attempts.made;
  }
  if (gives_up) {
    parts_.log(LogLevel::warning,
               fmt::format("the end of {} could not be told: {}", job_id(id), why));
  }
  if (why.empty() || gives_up) parts_.runner.told(status);
}

std::string Callbacks::attempt(RunStatus status, const std::stop_token& stop) {
  const std::optional<Callback> callback = callback_in(status.details);
  if (!callback.has_value()) return "";
  const std::optional<Url> url = Url::parse(callback->url);
  std::string origin;
  {
    const std::lock_guard lock(mutex_);
    origin = origin_;
    if (!url.has_value() || !hosts_.allow(*url)) return "its host is not in CALLBACK_HOSTS";
  }
  if (status.left_out > 0) {
    auto whole = parts_.runner.find(status.record.owner, status.record.id);
    if (whole && whole->has_value()) status = **std::move(whole);
  }
  if (parts_.media != nullptr)
    parts_.media->show(status.products, status.record.owner, origin, stop);
  const auto wall = std::chrono::floor<Seconds>(parts_.clock.wall_now().time_since_epoch());
  const HttpRequest request = callback_request(status, *callback, parts_.codecs, wall.count());
  const auto answer =
      fetch(parts_.transport, request, parts_.clock.now() + longest_attempt, stop, 64u << 10);
  if (!answer) return answer.error().message;
  const int code = answer->head.status;
  // 410: nobody wants to hear of it any more.
  if ((code >= 200 && code < 300) || code == 410) return "";
  return fmt::format("{} was answered", code);
}

}  // namespace falproxy::app
