#include "falproxy/json.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

using falproxy::Json;

TEST_CASE("a part of a tree outlives the value that it was taken from") {
  Json part;
  {
    const auto whole = Json::parse(R"({"a":{"b":[1,2.5,"x"]}})");
    REQUIRE(whole.has_value());
    part = *whole->find("a")->find("b");
  }
  CHECK(part.size() == 3);
  CHECK(part.at(0).as_integer() == 1);
  CHECK(part.at(1).as_number() == 2.5);
  CHECK(part.at(2).as_string() == "x");
  CHECK(part.at(3).is_null());
}

TEST_CASE("a text beyond a limit is refused, and the message names the limit") {
  const auto deep = Json::parse(std::string(10'000, '[') + std::string(10'000, ']'));
  REQUIRE_FALSE(deep.has_value());
  CHECK(deep.error().message == "nested deeper than 64 levels");

  std::string many = "[0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  const auto wide = Json::parse(many + "]");
  REQUIRE_FALSE(wide.has_value());
  CHECK(wide.error().message == "more than 100000 values");
}

TEST_CASE("a broken text is refused with the position and what was expected") {
  for (const char* text : {"", "{", "[1,]", "{\"a\":1,}", "nul", "1e999", "\"\xff\"", "{} x"}) {
    CAPTURE(text);
    const auto parsed = Json::parse(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().kind == falproxy::ErrorKind::invalid_json);
    CHECK_FALSE(parsed.error().message.empty());
  }
}

TEST_CASE("any number of strings is read, each in its place") {
  std::string text = "[";
  for (int i = 0; i < 10'000; ++i) text += "\"string " + std::to_string(i) + "\",";
  const auto parsed = Json::parse(text + "\"" + std::string(70'000, 'x') + "\"]");
  REQUIRE(parsed.has_value());
  REQUIRE(parsed->size() == 10'001);
  for (const int i : {0, 4095, 4096, 9999})
    CHECK(parsed->at(static_cast<std::size_t>(i)).as_string() == "string " + std::to_string(i));
  CHECK(parsed->at(10'000).as_string() == std::string(70'000, 'x'));
}

TEST_CASE("long strings are read as short ones are, wherever they stand") {
  const std::string plain(70'000, 'a');
  const std::string escaped = std::string(70'000, 'b') + R"(\"\\\u0041\/)" + std::string(10, 'c');
  const std::string text = R"({"x\\":"\"","p":")" + plain + R"(","e":")" + escaped + R"(",")" +
                           plain + R"(":[")" + plain + R"(",{"":")" + plain + R"("},1],"u":")" +
                           std::string(70'000, 'd') + "\xC3\xA9\"}";
  const auto parsed = Json::parse(text);
  REQUIRE(parsed.has_value());
  CHECK(parsed->find("x\\")->as_string() == "\"");
  CHECK(parsed->find("p")->as_string() == plain);
  CHECK(parsed->find("e")->as_string() ==
        std::string(70'000, 'b') + "\"\\A/" + std::string(10, 'c'));
  CHECK(parsed->find(plain)->at(0).as_string() == plain);
  CHECK(parsed->find(plain)->at(1).find("")->as_string() == plain);
  CHECK(parsed->find(plain)->at(2).as_integer() == 1);
  CHECK(parsed->find("u")->as_string() == std::string(70'000, 'd') + "\xC3\xA9");
  CHECK(Json::parse('"' + plain + '"')->as_string() == plain);

  const auto refused = [](const std::string& broken) {
    return Json::parse(broken).error().message;
  };
  CHECK(refused(R"({"a longer name":"a longer string","b":["another string",x]})")
            .starts_with("at byte 58: "));
  CHECK(refused("[\"" + plain + "\",x]").starts_with("at byte 70005: "));
  CHECK(refused("[\"" + plain + "\xff\"]").starts_with("at byte 70003: "));
  CHECK(refused("[\"" + plain + "\n\"]").starts_with("at byte 70003: "));
  CHECK(refused("[\"" + plain).starts_with("at byte 70003: "));
  falproxy::JsonLimits limits;
  limits.unique_names = true;
  CHECK_FALSE(Json::parse("{\"" + plain + "\":1,\"" + plain + "\":2}", limits).has_value());
}

TEST_CASE("a number counts as an integer where it has no fraction") {
  CHECK(Json::parse("2.0")->as_integer() == 2);
  CHECK_FALSE(Json::parse("2.5")->as_integer().has_value());
  CHECK_FALSE(Json::parse("1e300")->as_integer().has_value());
  CHECK_FALSE(Json::parse("18446744073709551615")->as_integer().has_value());
  CHECK(Json::parse("18446744073709551615")->is_numeric());
}

TEST_CASE("invalid UTF-8 made inside becomes U+FFFD when written") {
  CHECK(Json::string("a\xff").dump() == "\"a\xEF\xBF\xBD\"");
}

TEST_CASE("a name that stands twice is an error where that is asked for, at any depth") {
  const char* text = R"({"a":1,"b":[{"c":1},{"c":2,"d":{"x":1,"x":2}}]})";
  CHECK(Json::parse(text)->find("b")->at(1).find("d")->find("x")->as_integer() == 2);
  falproxy::JsonLimits limits;
  limits.unique_names = true;
  const auto refused = Json::parse(text, limits);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().field == "x");
  CHECK(refused.error().message == "the name 'x' stands twice in one object");
  CHECK(Json::parse(R"({"a":{"x":1},"b":{"x":2},"x":[{"x":3},{"x":4}]})", limits).has_value());
}

TEST_CASE(
    "a text is read as nlohmann reads it, or refused as it refuses it, however it is broken") {
  const auto agree = [](const std::string& text) {
    CAPTURE(text);
    const auto theirs = nlohmann::json::parse(text, nullptr, false);
    const auto ours = Json::parse(text);
    CHECK(ours.has_value() != theirs.is_discarded());
    if (ours && !theirs.is_discarded())
      CHECK(ours->dump() == theirs.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  };
  const std::string whole =
      R"( {"a\u0062":[1, -2,0 ,3.5e-2,[],{},true,false,null,"","\n\"\\\ud83d\ude00é"],"n":{"n":{"a":[[{}]]}},)"
      R"("long":12345678901234567890123,"max":18446744073709551615,"min":-9223372036854775808,)"
      R"("a plain one":"of some length","a plain one":-0} )";
  agree(whole);
  for (const char* text : {"",
                           " ",
                           "1",
                           "01",
                           "-",
                           "--1",
                           "+1",
                           "1.",
                           ".5",
                           "1e",
                           "1 2",
                           "truex",
                           "nul",
                           "nan",
                           "\"",
                           "\"a",
                           "\"a\"b",
                           "[",
                           "]",
                           "[]]",
                           "[1 2]",
                           "[,]",
                           "[1,]",
                           "[1:2]",
                           "{",
                           "{}}",
                           "{,}",
                           "{1:2}",
                           "{\"a\"}",
                           "{\"a\" 1}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{\"a\":1 \"b\":2}",
                           "[}",
                           "{]",
                           "\xEF\xBB\xBF[1]",
                           "[\357\273\2771]",
                           "[\"\xEF\xBB\xBF\"]",
                           "\"\t\"",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "/**/1",
                           "1/**/",
                           "[1]\n\r\t ",
                           "\v1",
                           "\"\x7f\"",
                           "999999999999999999",
                           "1000000000000000000",
                           "1E400",
                           "-0.0",
                           "1e-400",
                           "2.2250738585072011e-308",
                           "0.1",
                           "-1.5E+3",
                           "1e5",
                           "9007199254740993",
                           "-9223372036854775809",
                           "18446744073709551616",
                           "1.e1",
                           "1e+",
                           "-.1",
                           "0x1",
                           "inf",
                           "1_0",
                           "1f"}) {
    agree(text);
  }
  agree(std::string("1\0", 2));
  agree(std::string("\0", 1));
  std::mt19937 random(7);
  const std::string bytes = "{}[]\",:\\ \n0129.-+eEtfnu\xC3\xEF\x80/";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = whole;
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = bytes[random() % bytes.size()];
          break;
        case 1:
          text.insert(at, 1, bytes[random() % bytes.size()]);
          break;
        default:
          text.erase(at, 1 + random() % 4);
      }
    }
    agree(text);
  }
}

TEST_CASE("C++ values are literals of JSON") {
  CHECK(Json(true).kind() == Json::Kind::boolean);
  CHECK(Json(7).as_integer() == 7);
  CHECK(Json(std::uint64_t{18446744073709551615u}).dump() == "18446744073709551615");
  CHECK(Json(std::int64_t{-9007199254740993}).dump() == "-9007199254740993");
  CHECK(Json(0.5f).as_number() == 0.5);
  CHECK(Json(1.0 / 0.0 * 0.0).is_null());
  CHECK(Json("a").as_string() == "a");
  CHECK(Json(std::string("a")).as_string() == "a");
  CHECK(Json(std::string_view("ab", 1)).as_string() == "a");
  CHECK(Json(nullptr).is_null());
  CHECK(Json::object({{"loras", Json::array({Json::object({{"scale", 0.5}, {"path", "x"}})})},
                      {"on", true},
                      {"seed", 7},
                      {"none", nullptr}})
            .dump() == R"({"loras":[{"path":"x","scale":0.5}],"none":null,"on":true,"seed":7})");
  static_assert(!std::is_constructible_v<Json, char>);
  static_assert(!std::is_constructible_v<Json, void*>);
}

TEST_CASE("a value is indexed by place and by name, and what is not there is null") {
  const Json json = Json::object({{"a", Json::array({1, Json::object({{"b", "c"}})})}});
  CHECK(json["a"][1]["b"] == "c");
  CHECK(json["a"][0] == 1);
  CHECK(json["a"][2].is_null());
  CHECK(json["x"]["y"][3].is_null());
  CHECK(json[0].is_null());
}

TEST_CASE("elements and members are iterated, and outlive the value") {
  std::vector<Json> elements;
  std::vector<std::pair<std::string_view, Json>> members;
  {
    const Json json = Json::object({{"b", Json::array({1, "x"})}, {"a", 2}});
    elements = json["b"].elements();
    members = json.members();
    CHECK(json.elements().empty());
    CHECK(json["a"].members().empty());
  }
  REQUIRE(elements.size() == 2);
  CHECK(elements[0] == 1);
  CHECK(elements[1] == "x");
  REQUIRE(members.size() == 2);
  CHECK(members[0].first == "a");
  CHECK(members[0].second == 2);
  CHECK(members[1].first == "b");
}
