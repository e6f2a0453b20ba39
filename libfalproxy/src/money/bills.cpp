#include <algorithm>
#include <cmath>

#include "base/text.hpp"
#include "falproxy/money.hpp"

namespace falproxy::inline v0 {
namespace {

bool is_in_dollars(const Json& object) {
  return equal_ignoring_case(object["currency"].as_string().value_or("USD"), "usd");
}

// The whole number of billionths is exact; it is not always there.
std::optional<Usd> billed_in(const Json& event) {
  if (const auto nano = event["cost_estimate_nano_usd"].as_integer(); nano && *nano >= 0)
    return Usd{*nano};
  const std::optional<double> total = event["cost_total"].as_number();
  return total ? Usd::nearest(*total) : std::nullopt;
}

}  // namespace

std::optional<Usd> read_usual_cost(const Json& answer) {
  const std::optional<double> total = answer["total_cost"].as_number();
  return total && is_in_dollars(answer) ? Usd::nearest(*total) : std::nullopt;
}

Result<std::vector<Bill>> read_bills(const Json& answer) {
  const Json events = answer["billing_events"];
  if (!events.is_array())
    return Error{ErrorKind::upstream_failed, "fal's answer holds no list of bills."};
  std::vector<Bill> bills;
  for (const Json& event : events.elements()) {
    const std::optional<std::string_view> id = event["request_id"].as_string();
    const std::optional<Usd> cost = billed_in(event);
    if (!id || id->empty() || !cost || !is_in_dollars(event)) continue;
    const auto known = std::ranges::find(bills, *id, &Bill::fal_request_id);
    if (known == bills.end()) {
      bills.push_back({std::string(*id), *cost});
    } else {
      known->cost = known->cost + *cost;
    }
  }
  return bills;
}

std::optional<Usd> read_balance(const Json& answer) {
  const Json credits = answer["credits"];
  const std::optional<double> balance = credits["current_balance"].as_number();
  if (!balance || !is_in_dollars(credits)) return std::nullopt;
  const std::optional<Usd> size = Usd::nearest(std::abs(*balance));
  if (!size || *balance >= 0) return size;
  return Usd{} - *size;
}

}  // namespace falproxy::inline v0
