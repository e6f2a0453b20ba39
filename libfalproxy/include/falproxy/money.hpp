// money.hpp: amounts, prices and budgets, in integers: nothing is lost by adding up.
//
// What is not known is none, never 0.
#pragma once

#include <compare>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/json.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// An amount of US dollars, in billionths. Sums that do not fit stay at the largest or smallest
/// amount there is, about 9.2 billion dollars.
struct Usd {
  std::int64_t nano = 0;  ///< may be negative, in a balance

  /// "5", "5.00" or "0.000000001": digits, and at most nine behind the point. None: anything else,
  /// or more than fits.
  [[nodiscard]] static std::optional<Usd> parse(std::string_view text) noexcept;
  /// The nearest amount. None: negative, not finite, or more than fits.
  [[nodiscard]] static std::optional<Usd> nearest(double dollars) noexcept;
  /// Two digits behind the point, or as many as it takes: "5.00", "0.025", "-0.10".
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Usd&) const = default;
};
/// Usd::to_string() with a dollar sign.
std::ostream& operator<<(std::ostream& out, const Usd& amount);
[[nodiscard]] Usd operator+(Usd a, Usd b) noexcept;  ///< see Usd
[[nodiscard]] Usd operator-(Usd a, Usd b) noexcept;  ///< see Usd

/// How much fal bills, in billionths of what it counts by: pictures, megapixels, seconds.
struct Units {
  std::int64_t nano = 0;  ///< never negative, if parse() or nearest() made it

  /// As Usd::parse().
  [[nodiscard]] static std::optional<Units> parse(std::string_view text) noexcept;
  /// As Usd::nearest(); exact for what has at most nine digits behind the point, and fifteen in
  /// all.
  [[nodiscard]] static std::optional<Units> nearest(double number) noexcept;
  /// The shortest: "1", "0.5".
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Units&) const = default;
};
/// Units::to_string().
std::ostream& operator<<(std::ostream& out, const Units& units);
[[nodiscard]] Units operator+(Units a, Units b) noexcept;  ///< as of Usd

/// To the nearest billionth of a dollar; half of one counts as one. As sums, if it does not fit.
[[nodiscard]] Usd cost(Usd unit_price, Units units) noexcept;

/// What an endpoint's unit is, as far as it can be told before the job runs.
enum class UnitKind {
  image,       ///< a picture
  megapixel,   ///< of each picture, begun ones count whole
  second,      ///< of the video or sound that is made
  characters,  ///< of the text, by the thousand or what Price::per says
  request,     ///< one for each job
  other        ///< time on a machine, tokens and what else is known afterwards only
};
/// As written above.
[[nodiscard]] std::string_view name_of(UnitKind value) noexcept;

/// What fal takes for one unit of an endpoint.
struct Price {
  Usd unit_price = {};    ///< before discounts of the account, but for those that fal's list has
  std::string unit = {};  ///< in fal's words: "images", "1000 characters"
  bool operator==(const Price&) const = default;

  /// By the words of `unit`.
  [[nodiscard]] UnitKind kind() const;
  /// How many of its kind are one unit: 1000 for "1000 characters".
  [[nodiscard]] std::int64_t per() const;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Price& price);

/// By fal's endpoint id.
using PriceTable = std::map<std::string, Price, std::less<>>;
/// Adds what fal's `GET /models/pricing` answers to `into`. What it does not say in full, or in
/// another currency, is left out. Errors: upstream_failed, if it is no such answer.
[[nodiscard]] Result<Done> read_prices(const Json& answer, PriceTable& into);
/// The table as read_prices() reads it again.
[[nodiscard]] Json to_json(const PriceTable& prices);

/// What a call of an endpoint took on average, by fal's endpoint id.
using UsualCosts = std::map<std::string, Usd, std::less<>>;
/// Of what fal's `POST /models/pricing/estimate` answers for one call. None: it does not say, or in
/// another currency.
[[nodiscard]] std::optional<Usd> read_usual_cost(const Json& answer);

/// What fal has billed for one request, discounts taken off.
struct Bill {
  std::string fal_request_id = {};  ///< fal's id of the request
  Usd cost = {};                    ///< of all that was billed for it
  bool operator==(const Bill&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Bill& bill);
/// What fal's `GET /models/billing-events` answers, one for each request. What it does not say in
/// full is left out. Errors: upstream_failed, if it is no such answer.
[[nodiscard]] Result<std::vector<Bill>> read_bills(const Json& answer);

/// What is left on fal's account, by what `GET /account/billing?expand=credits` answers; it may be
/// negative. None: it does not say, or in another currency.
[[nodiscard]] std::optional<Usd> read_balance(const Json& answer);

/// How much of something a job is expected to bring or to take; none: it is not known.
struct Quantities {
  std::optional<int> images = {};                ///< pictures
  std::optional<std::uint64_t> pixels = {};      ///< of each of them
  std::optional<double> seconds = {};            ///< of a video or a sound
  std::optional<std::uint64_t> characters = {};  ///< of the text
  bool operator==(const Quantities&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Quantities& quantities);
/// What fal will bill by that price; none: that is not known beforehand.
[[nodiscard]] std::optional<Units> expected_units(const Price& price, const Quantities& job);

/// Days since 1970-01-01, in UTC.
using Day = std::int32_t;
[[nodiscard]] Day day_of(WallTime time) noexcept;   ///< the day that it is in
[[nodiscard]] WallTime begin_of(Day day) noexcept;  ///< its midnight
/// "2026-11-29"
[[nodiscard]] std::string date_text(Day day);
/// Of "2026-11-29", or of seconds of Unix time; none: it is neither.
[[nodiscard]] std::optional<Day> parse_day(std::string_view text) noexcept;

/// The time that a budget is for, in UTC.
enum class BudgetWindow {
  day,    ///< from midnight
  week,   ///< from Monday
  month,  ///< from the 1st
  total   ///< for ever
};
/// As written above.
[[nodiscard]] std::string_view name_of(BudgetWindow value) noexcept;
/// The first day of the window that `day` is in; of `total` the first day there is.
[[nodiscard]] Day first_day(BudgetWindow window, Day day) noexcept;
/// When the window that `day` is in has ended; none: `total`.
[[nodiscard]] std::optional<WallTime> end_of(BudgetWindow window, Day day) noexcept;

/// What a key may spend.
struct Budget {
  Usd amount = {};                            ///< in each window
  BudgetWindow window = BudgetWindow::total;  ///< begins anew by itself
  /// "5.00/day". None: anything else.
  [[nodiscard]] static std::optional<Budget> parse(std::string_view text) noexcept;
  bool operator==(const Budget&) const = default;
};
/// As Budget::parse() reads it.
std::ostream& operator<<(std::ostream& out, const Budget& budget);

}  // namespace falproxy::inline v0
