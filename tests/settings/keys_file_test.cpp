#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/settings.hpp"

namespace falproxy {
namespace {

const std::vector<AccessKey> keys_elsewhere = {{"default", Secret("the-default-key-1")},
                                               {"ann", Secret("the-key-of-ann-12")}};

Result<std::vector<KeyRules>, std::vector<SettingsFault>> keys_in(std::string_view text) {
  return parse_keys_file(text, "keys.json", keys_elsewhere);
}

}  // namespace

TEST_CASE("every member of a key's row is read") {
  const auto rows = keys_in(R"({
    "team-a": {"key": "the-key-of-team-a", "budget": "5.00/day", "models": ["flux*", "nano"],
               "rate_limit": "60/min", "max_in_flight": 4, "expires": "2027-01-01",
               "unknown_price": "0.10", "on_state_loss": "allow", "max_job_cost": "0.50",
               "user_header": "X-OpenWebUI-User-Id",
               "media_quota": 5000000},
    "default": {"budget": "1/month"},
    "ann": {"models": ["flux"]},
    "*": {"budget": "100/total", "unknown_price": "allow"}
  })");
  REQUIRE(rows.has_value());
  REQUIRE(rows->size() == 4);
  CHECK(rows->at(0) == KeyRules{.name = "*",
                                .budget = Budget{*Usd::parse("100"), BudgetWindow::total},
                                .unknown_price = UnknownPrice::allow});
  CHECK(rows->at(1) == KeyRules{.name = "ann", .models = {"flux"}});
  CHECK(rows->at(2) == KeyRules{.name = "default",
                                .budget = Budget{*Usd::parse("1"), BudgetWindow::month},
                                .unknown_price = UnknownPrice::refuse});
  CHECK(rows->at(3) == KeyRules{.name = "team-a",
                                .key = Secret("the-key-of-team-a"),
                                .budget = Budget{*Usd::parse("5"), BudgetWindow::day},
                                .models = {"flux*", "nano"},
                                .rate_limit = RateLimit{60, std::chrono::seconds(60)},
                                .max_in_flight = 4,
                                .expires = parse_day("2027-01-01"),
                                .unknown_price = UnknownPrice::assume,
                                .assumed_cost = *Usd::parse("0.1"),
                                .allow_state_loss = true,
                                .max_job_cost = Usd::parse("0.5"),
                                .user_header = "X-OpenWebUI-User-Id",
                                .media_quota = 5'000'000});
}

TEST_CASE("what is wrong in KEYS_FILE is told with its line and its field, and without the key") {
  struct Case {
    const char* text;
    int line;
    const char* field;
  };
  const Case cases[] = {
      {"{\n\"a\": {\"key\": \"short\"}}", 2, "a.key"},
      {"{\n\n\"a\": {\"key\": \"0123456789abcdef\",\n\"budgt\": \"5/day\"}}", 4, "a.budgt"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"budget\": \"5/year\"}}", 2, "a.budget"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"budget\": 5}}", 2, "a.budget"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"expires\": \"2027-02-30\"}}", 2, "a.expires"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"expires\": \"1764460799\"}}", 2, "a.expires"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"models\": []}}", 2, "a.models"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"rate_limit\": \"60\"}}", 2, "a.rate_limit"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"max_in_flight\": 0}}", 2, "a.max_in_flight"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"unknown_price\": \"no\"}}", 2,
       "a.unknown_price"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"media_quota\": \"5GB\"}}", 2, "a.media_quota"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"user_header\": \"a: b\"}}", 2, "a.user_header"},
      {"{\"a\": {\"key\": \"0123456789abcdef\",\n\"key\": \"0123456789abcdeg\"}}", 2, "a.key"},
      {"{\n\"ann\": {\"key\": \"0123456789abcdef\"}}", 2, "ann.key"},
      {"{\n\"a\": {\"key\": \"the-key-of-ann-12\"}}", 2, "a.key"},
      {"{\"a\": {\"key\": \"0123456789abcdef\"},\n\"b\": {\"key\": \"0123456789abcdef\"}}", 2,
       "b.key"},
      {"{\n\"bob\": {\"budget\": \"1/day\"}}", 2, "bob"},
      {"{\n\"a b\": {\"key\": \"0123456789abcdef\"}}", 2, "a b"},
      {"{\n\"*\": {\"key\": \"0123456789abcdef\"}}", 2, "*.key"},
      {"{\n\"a\": 7}", 2, "a"},
      {"{\n\"a\": {", 2, "KEYS_FILE"},
      {"[]", 1, "KEYS_FILE"},
      {"{}", 0, ""},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text);
    const auto rows = keys_in(one.text);
    REQUIRE_FALSE(rows.has_value());
    CHECK(rows.error().front() == SettingsFault{"keys.json", one.line, one.field});
    for (const SettingsFault& fault : rows.error())
      CHECK(to_string(fault).find("0123456789") == std::string::npos);
  }
}

TEST_CASE("the members that an operator sends are read as in the file, and written as they are") {
  const Json members = *Json::parse(
      R"({"budget":"5.00/day","models":["flux*"],"rate_limit":"60/min","max_in_flight":4,
          "expires":"2027-01-01","unknown_price":"allow","max_job_cost":"0.50"})");
  const Result<KeyRules> rules = parse_key_rules("team-b", members);
  REQUIRE(rules.has_value());
  CHECK(rules->name == "team-b");
  CHECK(to_json(*rules) == members);
  // What follows from the others is not written, so that it goes on following them.
  const Result<KeyRules> usual =
      parse_key_rules("c", *Json::parse(R"({"budget":"5.00/day","unknown_price":"refuse"})"));
  REQUIRE(usual.has_value());
  CHECK(to_json(*usual) == *Json::parse(R"({"budget":"5.00/day"})"));
  const Result<KeyRules> bad = parse_key_rules("b", *Json::parse(R"({"budget":"5/year"})"));
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().field == "budget");
  CHECK(bad.error().kind == ErrorKind::invalid_value);
  CHECK(parse_key_rules("a b", *Json::parse("{}")).error().field == "name");
}

}  // namespace falproxy
