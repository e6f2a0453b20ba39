#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/enum_names.hpp"
#include "base/text.hpp"
#include "falproxy/money.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::string_view unit_kinds[] = {"image",      "megapixel", "second",
                                           "characters", "request",   "other"};

// In small letters, without the s of more than one.
std::vector<std::string> words_of(std::string_view unit) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : std::string(unit) + " ") {
    if (is_alnum(c)) {
      word += to_lower(c);
      continue;
    }
    if (word.size() > 3 && word.back() == 's') word.pop_back();
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  }
  return words;
}

// "1000", "1k", "1m"; none: no number.
std::optional<std::int64_t> number_in(std::string_view word) {
  std::int64_t number = 0;
  const char* const end = word.data() + word.size();
  const auto [rest, fault] = std::from_chars(word.data(), end, number);
  if (fault != std::errc() || number < 1 || number > 1'000'000'000) return std::nullopt;
  const std::string_view factor(rest, end);
  if (factor.empty()) return number;
  if (factor == "k") return number * 1'000;
  return factor == "m" ? std::optional(number * 1'000'000) : std::nullopt;
}

struct UnitWord {
  std::string_view word;
  UnitKind kind;
  std::int64_t per = 1;
};
constexpr UnitWord unit_words[] = {
    {"image", UnitKind::image},         {"picture", UnitKind::image},
    {"megapixel", UnitKind::megapixel}, {"second", UnitKind::second},
    {"minute", UnitKind::second, 60},   {"character", UnitKind::characters},
    {"char", UnitKind::characters},     {"request", UnitKind::request},
    {"video", UnitKind::request},       {"generation", UnitKind::request},
    {"call", UnitKind::request},
};
// With one of them nobody knows beforehand how many there will be.
constexpr std::string_view known_afterwards[] = {"compute", "gpu",  "cpu",   "token",
                                                 "input",   "step", "credit"};

struct Reading {
  UnitKind kind = UnitKind::other;
  std::int64_t per = 1;
};

Reading read_unit(std::string_view unit) {
  Reading reading;
  for (const std::string& word : words_of(unit)) {
    if (std::ranges::find(known_afterwards, word) != std::end(known_afterwards)) return {};
    if (const std::optional<std::int64_t> number = number_in(word)) reading.per *= *number;
    const auto* const known = std::ranges::find(unit_words, word, &UnitWord::word);
    if (known == std::end(unit_words)) continue;
    // "video seconds" are seconds.
    if (reading.kind != UnitKind::other && known->kind == UnitKind::request) continue;
    reading.kind = known->kind;
    reading.per *= known->per;
  }
  return reading;
}

std::optional<Usd> amount_in(const Json& value) {
  if (const std::optional<std::string_view> text = value.as_string()) return Usd::parse(*text);
  const std::optional<double> number = value.as_number();
  return number ? Usd::nearest(*number) : std::nullopt;
}

}  // namespace

std::string_view name_of(UnitKind value) noexcept { return name_at(unit_kinds, value); }

UnitKind Price::kind() const { return read_unit(unit).kind; }
std::int64_t Price::per() const { return read_unit(unit).per; }

Result<Done> read_prices(const Json& answer, PriceTable& into) {
  const Json prices = answer["prices"];
  if (!prices.is_array())
    return Error{ErrorKind::upstream_failed, "fal's answer holds no list of prices."};
  for (const Json& row : prices.elements()) {
    const std::optional<std::string_view> id = row["endpoint_id"].as_string();
    const std::optional<std::string_view> unit = row["unit"].as_string();
    const std::optional<Usd> amount = amount_in(row["unit_price"]);
    const std::string_view currency = row["currency"].as_string().value_or("USD");
    if (!id || id->empty() || !unit || !amount || !equal_ignoring_case(currency, "usd")) continue;
    into.insert_or_assign(std::string(*id), Price{*amount, std::string(unit->substr(0, 100))});
  }
  return Done{};
}

Json to_json(const PriceTable& prices) {
  std::vector<Json> rows;
  for (const auto& [id, price] : prices) {
    rows.push_back(Json::object({{"endpoint_id", id},
                                 {"unit_price", price.unit_price.to_string()},
                                 {"unit", price.unit},
                                 {"currency", "USD"}}));
  }
  return Json::object({{"prices", Json::array(rows)}});
}

std::optional<Units> expected_units(const Price& price, const Quantities& job) {
  const Reading unit = read_unit(price.unit);
  const auto of = [&](double number) {
    return Units::nearest(number / static_cast<double>(unit.per));
  };
  switch (unit.kind) {
    case UnitKind::image:
      if (job.images) return of(*job.images);
      break;
    case UnitKind::megapixel:
      if (job.images && job.pixels) {
        const double of_each = std::ceil(static_cast<double>(*job.pixels) / (1 << 20));
        return of(*job.images * of_each);
      }
      break;
    case UnitKind::second:
      if (job.seconds) return of(*job.seconds);
      break;
    case UnitKind::characters:
      if (job.characters) return of(static_cast<double>(*job.characters));
      break;
    case UnitKind::request:
      return of(1);
    case UnitKind::other:
      break;
  }
  return std::nullopt;
}

}  // namespace falproxy::inline v0
