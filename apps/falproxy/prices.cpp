#include "prices.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "base/fmt.hpp"
#include "base/handed.hpp"
#include "falproxy/options.hpp"

namespace falproxy::app {
namespace {

constexpr const char* stored = "prices";
constexpr const char* usual_stored = "prices.usual";
constexpr Seconds longest_exchange{20}, longest_store_wait{5};
constexpr std::size_t largest_answer = 4u << 20;

std::vector<std::string> endpoints_of(const std::vector<CatalogModel>& models) {
  std::set<std::string> all;
  for (const CatalogModel& model : models) {
    all.emplace(model.endpoint.str());
    if (model.edit_endpoint) all.emplace(model.edit_endpoint->str());
    if (model.remix_endpoint) all.emplace(model.remix_endpoint->str());
  }
  return {all.begin(), all.end()};
}

}  // namespace

// The lock is held.
void PriceKeeper::publish() {
  if (!published_ && told_.empty() && written_.empty() && usual_.empty()) return;
  published_ = true;
  PriceTable all = written_;
  all.insert(told_.begin(), told_.end());
  parts_.budgets.set_prices(std::move(all), usual_);
}

// Once for each kind of trouble. The lock is held.
void PriceKeeper::tell(const std::string& trouble) {
  if (std::exchange(trouble_, trouble) == trouble) return;
  if (trouble.empty()) return parts_.log(LogLevel::info, "fal tells its prices again");
  parts_.log(LogLevel::warning,
             fmt::format("fal does not tell its prices: {}; those that are known stay as they are",
                         trouble));
}

void PriceKeeper::reload(const Settings& settings) {
  const std::lock_guard lock(mutex_);
  asks_ = asks_for_prices(settings);
  fal_ = fal_addresses(settings);
  if (!settings.ai_keys.empty() && !settings.ai_keys.front().empty())
    key_ = settings.ai_keys.front().front();
  written_ = settings.prices;
  may_ask_usual_ = true;
  publish();
}

void PriceKeeper::restore() {
  const auto kept = [&](const char* name) {
    const TimePoint until = parts_.clock.now() + longest_store_wait;
    const Handed<Result<std::string, StoreError>> text;
    parts_.store.get(name, until, text.callback());
    const std::optional<Result<std::string, StoreError>> got = text.wait(parts_.clock, until);
    return got && *got ? Json::parse(**got) : Result<Json>(Json());
  };
  const Result<Json> prices = kept(stored), usual = kept(usual_stored);
  const std::lock_guard lock(mutex_);
  if (prices) static_cast<void>(read_prices(*prices, told_));
  for (const auto& [endpoint, amount] : usual.value_or(Json()).members()) {
    if (const auto cost = Usd::parse(amount.as_string().value_or("")))
      usual_.try_emplace(std::string(endpoint), *cost);
  }
  publish();
}

Seconds PriceKeeper::refresh(const std::vector<CatalogModel>& models, const std::stop_token& stop) {
  fal::Addresses fal;
  Secret key;
  {
    const std::lock_guard lock(mutex_);
    if (!asks_) return interval;
    fal = fal_;
    key = key_;
  }
  PriceTable news;
  std::string trouble;
  const std::vector<std::string> all = endpoints_of(models);
  for (std::span<const std::string> left(all); !left.empty() && trouble.empty();
       left = left.subspan(std::min(left.size(), fal::most_priced))) {
    const auto some = left.first(std::min(left.size(), fal::most_priced));
    const auto got = fetch(parts_.transport, fal::pricing_request(fal, some, key),
                           parts_.clock.now() + longest_exchange, stop, largest_answer);
    if (!got) {
      trouble = got.error().message;
    } else if (got->head.status != 200) {
      trouble = fmt::format("it answers {}", got->head.status);
    } else if (const Result<Json> answer = Json::parse(got->body);
               !answer || !read_prices(*answer, news)) {
      trouble = "its answer holds no prices";
    }
  }
  if (stop.stop_requested()) return interval;
  {
    const std::lock_guard lock(mutex_);
    tell(trouble);
    for (auto& [endpoint, price] : news) told_.insert_or_assign(endpoint, std::move(price));
    publish();
    if (!news.empty()) {
      parts_.store.put(stored, to_json(told_).dump(), parts_.clock.now() + longest_store_wait,
                       [](const Result<Done, StoreError>&) {});
    }
  }
  if (trouble.empty()) ask_for_usual_costs(fal, key, all, stop);
  return trouble.empty() ? interval : pause_after_fault;
}

// For jobs of which nobody knows beforehand how many units they will take. A key that may not ask
// is not tried again until the next reload.
void PriceKeeper::ask_for_usual_costs(const fal::Addresses& fal, const Secret& key,
                                      const std::vector<std::string>& endpoints,
                                      const std::stop_token& stop) {
  std::size_t asked = 0;
  bool is_new = false;
  for (const std::string& endpoint : endpoints) {
    const TimePoint now = parts_.clock.now();
    {
      const std::lock_guard lock(mutex_);
      if (!may_ask_usual_ || asked == most_usual || stop.stop_requested()) break;
      const auto due = usual_due_.find(endpoint);
      if (due != usual_due_.end() && now < due->second) continue;
    }
    ++asked;
    const auto got = fetch(parts_.transport, fal::usual_cost_request(fal, endpoint, key),
                           now + longest_exchange, stop, largest_answer);
    if (!got) break;
    const int status = got->head.status;
    const Result<Json> answer = Json::parse(got->body);
    const std::optional<Usd> cost =
        status == 200 && answer ? read_usual_cost(*answer) : std::optional<Usd>();
    const std::lock_guard lock(mutex_);
    may_ask_usual_ = status != 401 && status != 403;
    usual_due_[endpoint] = now + usual_interval;
    if (!cost || *cost == Usd{}) continue;
    is_new = true;
    usual_.insert_or_assign(endpoint, *cost);
  }
  if (!is_new) return;
  std::vector<std::pair<std::string, Json>> rows;
  {
    const std::lock_guard lock(mutex_);
    publish();
    for (const auto& [endpoint, cost] : usual_) rows.emplace_back(endpoint, cost.to_string());
  }
  parts_.store.put(usual_stored, Json::object(rows).dump(), parts_.clock.now() + longest_store_wait,
                   [](const Result<Done, StoreError>&) {});
}

}  // namespace falproxy::app
