#include "alerts.hpp"

#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/json.hpp"

namespace falproxy::app {

void Alerts::reload(std::string url) {
  const std::lock_guard lock(mutex_);
  url_ = std::move(url);
}

void Alerts::add(const SpendingAlert& alert) {
  using Kind = SpendingAlert::Kind;
  // Of costly jobs the budgets have told themselves, and of accounts whoever uses their keys.
  if (alert.kind != Kind::costly_job && alert.kind != Kind::account_locked)
    log_(LogLevel::warning, alert.message);
  std::unique_lock lock(mutex_);
  if (url_.empty() || waiting_.size() >= most_waiting) return;
  waiting_.push_back(alert);
  Bell::Ring wake = filled_.take();
  lock.unlock();
  wake();
}

void Alerts::send_all(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    SpendingAlert alert;
    std::string url;
    {
      std::unique_lock lock(mutex_);
      if (waiting_.empty()) {
        filled_.wait(lock, clock_, clock_.now() + Seconds(60), stop);
        continue;
      }
      alert = std::move(waiting_.front());
      waiting_.pop_front();
      url = url_;
    }
    if (!url.empty()) send(url, alert, stop);
  }
}

void Alerts::send(const std::string& url, const SpendingAlert& alert, const std::stop_token& stop) {
  std::vector<std::pair<std::string, Json>> members{{"event", name_of(alert.kind)},
                                                    {"text", alert.message}};
  if (!alert.key.empty()) {
    members.insert(members.end(), {{"key", alert.key},
                                   {"spent_usd", alert.spent.to_string()},
                                   {"limit_usd", alert.limit.to_string()}});
  }
  if (alert.kind == SpendingAlert::Kind::low_balance)
    members.emplace_back("balance_usd", alert.limit.to_string());
  HttpRequest request{.method = "POST", .url = url, .body = Body(Json::object(members).dump())};
  request.headers.add("Content-Type", "application/json");
  std::string fault;
  for (int attempt = 0; attempt < attempts && !stop.stop_requested(); ++attempt) {
    if (attempt > 0 && !clock_.sleep_until(clock_.now() + pause, stop)) return;
    const auto got = fetch(transport_, request, clock_.now() + longest_exchange, stop, 64u << 10);
    if (got && got->head.status < 300) return;
    fault = got ? fmt::format("it answers {}", got->head.status) : got.error().message;
  }
  log_(LogLevel::warning, "ALERT_URL does not take an alert: " + fault);
}

}  // namespace falproxy::app
