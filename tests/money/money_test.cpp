#include "falproxy/money.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

namespace falproxy {
namespace {

constexpr std::int64_t money_most = std::numeric_limits<std::int64_t>::max();

WallTime money_time(const char* date) { return begin_of(*parse_day(date)); }

}  // namespace

TEST_CASE("amounts are read and written without losing a billionth") {
  CHECK(Usd::parse("5.00") == Usd{5'000'000'000});
  CHECK(Usd::parse("0.000000001") == Usd{1});
  CHECK(Usd::parse("9223372036.854775807") == Usd{money_most});
  for (const char* text : {"", ".", "5.", ".5", "-1", "+1", "1e3", "1,5", "0.0000000001", " 1",
                           "9223372036.854775808", "99999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(Usd::parse(text).has_value());
  }
  CHECK(Usd{5'000'000'000}.to_string() == "5.00");
  CHECK(Usd{25'000'000}.to_string() == "0.025");
  CHECK(Usd{-100'000'000}.to_string() == "-0.10");
  CHECK(Usd{1}.to_string() == "0.000000001");
  CHECK(Usd::nearest(0.025) == Usd{25'000'000});
  CHECK(Usd::nearest(1.1e-7) == Usd{110});
  CHECK_FALSE(Usd::nearest(-1).has_value());
  CHECK_FALSE(Usd::nearest(1e11).has_value());
  CHECK_FALSE(Usd::nearest(std::numeric_limits<double>::quiet_NaN()).has_value());
  CHECK(Units::nearest(0.786432) == Units{786'432'000});
  CHECK(Units{500'000'000}.to_string() == "0.5");
  CHECK(Units{2'000'000'000}.to_string() == "2");
}

TEST_CASE("a product is right to the billionth, and never overflows") {
  CHECK(cost(*Usd::parse("0.025"), *Units::parse("3")) == *Usd::parse("0.075"));
  CHECK(cost(*Usd::parse("0.003"), *Units::parse("0.786432")) == Usd{2'359'296});
  CHECK(cost(Usd{1}, *Units::parse("0.5")) == Usd{1});
  CHECK(cost(Usd{1}, *Units::parse("0.4")) == Usd{0});
  CHECK(cost(Usd{money_most}, Units{money_most}) == Usd{money_most});
  CHECK(Usd{money_most} + Usd{1} == Usd{money_most});
  CHECK(Usd{-money_most} - Usd{5} == Usd{-money_most});
  Usd sum;
  for (int i = 0; i < 1000; ++i) sum = sum + *Usd::parse("0.1");
  CHECK(sum == *Usd::parse("100"));
}

TEST_CASE("a unit is told by fal's words for it") {
  const auto kind = [](const char* unit) { return Price{{}, unit}.kind(); };
  CHECK(kind("images") == UnitKind::image);
  CHECK(kind("image") == UnitKind::image);
  CHECK(kind("Megapixels") == UnitKind::megapixel);
  CHECK(kind("seconds") == UnitKind::second);
  CHECK(kind("video seconds") == UnitKind::second);
  CHECK(kind("seconds of video") == UnitKind::second);
  CHECK(kind("1000 characters") == UnitKind::characters);
  CHECK(kind("videos") == UnitKind::request);
  for (const char* unit : {"compute seconds", "GPU-second", "1m tokens", "units", "", "steps"}) {
    CAPTURE(unit);
    CHECK(kind(unit) == UnitKind::other);
  }
  CHECK(Price{{}, "1k characters"}.per() == 1000);
  CHECK(Price{{}, "minutes"}.per() == 60);
}

TEST_CASE("units are known beforehand only if what they count is") {
  const auto expected = [](const char* unit, const Quantities& job) {
    return expected_units({{}, unit}, job);
  };
  const Quantities pictures{.images = 3, .pixels = 1568 * 672};
  CHECK(expected("images", pictures) == Units::parse("3"));
  // 1.005 megapixels each: the next step.
  CHECK(expected("megapixels", pictures) == Units::parse("6"));
  CHECK(expected("megapixels", {.images = 1, .pixels = 1024 * 1024}) == Units::parse("1"));
  CHECK(expected("seconds", {.seconds = 7.5}) == Units::parse("7.5"));
  CHECK(expected("1000 characters", {.characters = 1234}) == Units::parse("1.234"));
  CHECK(expected("requests", {}) == Units::parse("1"));
  CHECK_FALSE(expected("megapixels", {.images = 1}).has_value());
  CHECK_FALSE(expected("seconds", pictures).has_value());
  CHECK_FALSE(expected("compute seconds", {.seconds = 5}).has_value());
}

TEST_CASE("prices are read as fal tells them, and what is unclear is unknown") {
  const Json answer = *Json::parse(R"({"prices":[
    {"endpoint_id":"fal-ai/flux/dev","unit_price":0.025,"unit":"megapixels","currency":"USD"},
    {"endpoint_id":"a/b","unit_price":"0.000000125","unit":"tokens","currency":"USD"},
    {"endpoint_id":"a/euro","unit_price":1,"unit":"images","currency":"EUR"},
    {"endpoint_id":"a/none","unit":"images","currency":"USD"},
    {"endpoint_id":"a/less","unit_price":-1,"unit":"images","currency":"USD"}],
    "next_cursor":null,"has_more":false})");
  PriceTable prices;
  REQUIRE(read_prices(answer, prices).has_value());
  CHECK(prices.size() == 2);
  CHECK(prices.at("fal-ai/flux/dev") == Price{Usd{25'000'000}, "megapixels"});
  CHECK(prices.at("a/b").unit_price == Usd{125});
  PriceTable again;
  REQUIRE(read_prices(to_json(prices), again).has_value());
  CHECK(again == prices);
  CHECK_FALSE(read_prices(*Json::parse("{}"), prices).has_value());
}

TEST_CASE("windows begin and end at midnight in UTC") {
  const Day sunday = day_of(money_time("2026-11-29") + std::chrono::hours(23));
  CHECK(date_text(sunday) == "2026-11-29");
  CHECK(date_text(first_day(BudgetWindow::week, sunday)) == "2026-11-23");
  CHECK(date_text(first_day(BudgetWindow::month, sunday)) == "2026-11-01");
  CHECK(first_day(BudgetWindow::day, sunday) == sunday);
  CHECK(end_of(BudgetWindow::day, sunday) == money_time("2026-11-30"));
  CHECK(end_of(BudgetWindow::week, sunday) == money_time("2026-11-30"));
  CHECK(end_of(BudgetWindow::month, sunday) == money_time("2026-12-01"));
  CHECK(end_of(BudgetWindow::month, *parse_day("2026-12-31")) == money_time("2027-01-01"));
  CHECK_FALSE(end_of(BudgetWindow::total, sunday).has_value());
  CHECK(first_day(BudgetWindow::total, sunday) < 0);
  CHECK(parse_day("1764460799") == parse_day("2025-11-29"));
  for (const char* text : {"", "2026-02-30", "2026-1-1", "yesterday", "-5", "2026-11-29T00"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_day(text).has_value());
  }
}

TEST_CASE("a budget is an amount and a window") {
  CHECK(Budget::parse("5.00/day") == Budget{*Usd::parse("5"), BudgetWindow::day});
  CHECK(Budget::parse("100 / total") == Budget{*Usd::parse("100"), BudgetWindow::total});
  for (const char* text : {"5", "5/year", "/day", "-5/day", "$5/day", "5/"}) {
    CAPTURE(text);
    CHECK_FALSE(Budget::parse(text).has_value());
  }
}

TEST_CASE(
    "bills are read exactly, one for each request, and what is not said in full is left out") {
  const auto read = [](const char* text) { return read_bills(*Json::parse(text)); };
  CHECK(read(R"({"billing_events":[
      {"request_id":"a","cost_total":0.1,"cost_estimate_nano_usd":22500001},
      {"request_id":"b","cost_total":0.5,"cost_estimate_nano_usd":null},
      {"request_id":"a","cost_total":0.25},
      {"request_id":"c"}, {"request_id":"","cost_total":1}, {"cost_total":1}, 7,
      {"request_id":"d","cost_total":-1}, {"request_id":"e","cost_total":1,"currency":"EUR"}]})") ==
        std::vector<Bill>{{"a", Usd{272'500'001}}, {"b", Usd{500'000'000}}});
  CHECK(read(R"({"billing_events":[]})")->empty());
  CHECK_FALSE(read("{}"));
  CHECK_FALSE(read("[]"));
}

TEST_CASE("averages and balances are read, or are not known") {
  const auto usual = [](const char* text) { return read_usual_cost(*Json::parse(text)); };
  CHECK(usual(R"({"total_cost":0.04,"currency":"USD"})") == Usd{40'000'000});
  CHECK_FALSE(usual(R"({"total_cost":0.04,"currency":"EUR"})"));
  CHECK_FALSE(usual("{}"));
  const auto balance = [](const char* text) { return read_balance(*Json::parse(text)); };
  CHECK(balance(R"({"credits":{"current_balance":24.5,"currency":"USD"}})") == Usd{24'500'000'000});
  CHECK(balance(R"({"credits":{"current_balance":-0.5}})") == Usd{-500'000'000});
  CHECK_FALSE(balance(R"({"credits":{"current_balance":"24.5"}})"));
  CHECK_FALSE(balance(R"({"username":"x"})"));
}

}  // namespace falproxy
