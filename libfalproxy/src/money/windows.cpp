#include <charconv>
#include <chrono>
#include <limits>

#include "base/enum_names.hpp"
#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/money.hpp"

namespace falproxy::inline v0 {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr NamedValue<BudgetWindow> windows[] = {{"day", BudgetWindow::day},
                                                {"week", BudgetWindow::week},
                                                {"month", BudgetWindow::month},
                                                {"total", BudgetWindow::total}};

constexpr std::int64_t day_seconds = 86'400;

template <class T>
std::optional<T> whole_number(std::string_view text) noexcept {
  T number{};
  const char* const end = text.data() + text.size();
  const auto [rest, fault] = std::from_chars(text.data(), end, number);
  if (text.empty() || !is_digit(text.front()) || fault != std::errc() || rest != end)
    return std::nullopt;
  return number;
}

}  // namespace

Day day_of(WallTime time) noexcept {
  return static_cast<Day>(std::chrono::floor<days>(time).time_since_epoch().count());
}
WallTime begin_of(Day day) noexcept { return WallTime(sys_days(days(day))); }

std::string date_text(Day day) {
  const year_month_day date{sys_days(days(day))};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::optional<Day> parse_day(std::string_view text) noexcept {
  if (text.size() == 10 && text[4] == '-' && text[7] == '-') {
    const auto year = whole_number<int>(text.substr(0, 4));
    const auto month = whole_number<unsigned>(text.substr(5, 2));
    const auto day = whole_number<unsigned>(text.substr(8, 2));
    if (!year || !month || !day || *year < 1970) return std::nullopt;
    const year_month_day date{std::chrono::year(*year), std::chrono::month(*month),
                              std::chrono::day(*day)};
    if (!date.ok()) return std::nullopt;
    return static_cast<Day>(sys_days(date).time_since_epoch().count());
  }
  const auto seconds = whole_number<std::int64_t>(text);
  // To the year 9999.
  if (!seconds || *seconds > 253'402'300'799) return std::nullopt;
  return static_cast<Day>(*seconds / day_seconds);
}

std::string_view name_of(BudgetWindow value) noexcept { return name_in(windows, value); }

Day first_day(BudgetWindow window, Day day) noexcept {
  const sys_days date{days(day)};
  switch (window) {
    case BudgetWindow::day:
      break;
    case BudgetWindow::week:
      return day - static_cast<Day>(std::chrono::weekday(date).iso_encoding() - 1);
    case BudgetWindow::month: {
      const year_month_day in(date);
      const sys_days first(in.year() / in.month() / 1);
      return static_cast<Day>(first.time_since_epoch().count());
    }
    case BudgetWindow::total:
      return std::numeric_limits<Day>::min();
  }
  return day;
}

std::optional<WallTime> end_of(BudgetWindow window, Day day) noexcept {
  switch (window) {
    case BudgetWindow::day:
      break;
    case BudgetWindow::week:
      return begin_of(first_day(window, day) + 7);
    case BudgetWindow::month: {
      const year_month_day in{sys_days(days(day))};
      return WallTime(sys_days((in.year() / in.month() + std::chrono::months(1)) / 1));
    }
    case BudgetWindow::total:
      return std::nullopt;
  }
  return begin_of(day + 1);
}

std::optional<Budget> Budget::parse(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<Usd> amount = Usd::parse(trim(text.substr(0, slash)));
  const std::optional<BudgetWindow> window = value_in(windows, trim(text.substr(slash + 1)));
  if (!amount || !window) return std::nullopt;
  return Budget{*amount, *window};
}

}  // namespace falproxy::inline v0
