#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "plan/models.hpp"

using namespace falproxy;
using namespace models;

namespace {

template <class F>
Wish asking(F change) {
  Wish request = generation();
  change(request);
  return request;
}

struct Case {
  std::string name;
  std::string_view input;
  Wish request;
  std::string want;
  std::string noted;  // the field that has a note; empty: no note at all
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const Plan mapped = plan_of(c.request, with({c.input}));
      CHECK(sent(mapped) == c.want);
      CHECK(mapped.notes.empty() == c.noted.empty());
      if (!c.noted.empty()) CHECK(has_note(mapped, c.noted));
    }
  }
}

Wish format(std::string word) {
  return asking([&](Wish& request) { request.output_format = word; });
}
Wish quality(std::string word) {
  return asking([&](Wish& request) { request.quality = word; });
}
Wish style(std::string word) {
  return asking([&](Wish& request) { request.style = word; });
}
Wish background(std::string word) {
  return asking([&](Wish& request) { request.background = word; });
}
Wish moderation(std::string word) {
  return asking([&](Wish& request) { request.moderation = word; });
}
Wish compression(int value) {
  return asking([&](Wish& request) { request.output_compression = value; });
}
Wish fidelity(std::string word) {
  return asking([&](Wish& request) { request.input_fidelity = word; });
}

constexpr std::string_view nothing = R"("unrelated": {"type": "boolean"})";

}  // namespace

TEST_CASE("output_format goes to whatever the model calls it, as the model spells it") {
  check({
      {"output_format", R"("output_format": {"type": "string", "enum": ["jpeg", "png"]})",
       format("png"), R"({"output_format":"png"})", ""},
      {"format", R"("format": {"type": "string", "enum": ["jpeg", "png"]})", format("jpeg"),
       R"({"format":"jpeg"})", ""},
      {"image_format", R"("image_format": {"type": "string", "enum": ["png"]})", format("png"),
       R"({"image_format":"png"})", ""},
      {"jpg", R"("output_format": {"type": "string", "enum": ["jpg", "png"]})", format("jpeg"),
       R"({"output_format":"jpg"})", "output_format"},
      {"upper case", R"("output_format": {"type": "string", "enum": ["JPEG", "PNG"]})",
       format("png"), R"({"output_format":"PNG"})", "output_format"},
      {"a media type", R"("output_format": {"type": "string", "enum": ["image/webp"]})",
       format("webp"), R"({"output_format":"image/webp"})", "output_format"},
      {"any text", R"("output_format": {"type": "string", "default": "jpg"})", format("jpeg"),
       R"({"output_format":"jpg"})", "output_format"},
      {"any text, another", R"("output_format": {"type": "string", "default": "jpg"})",
       format("webp"), R"({"output_format":"webp"})", ""},
      {"one that the model cannot make",
       R"("output_format": {"type": "string", "enum": ["jpeg", "png"]})", format("webp"), "{}",
       "output_format"},
      {"a model that has none", nothing, format("png"), "{}", "output_format"},
      {"a model's own", R"("output_format": {"type": "string", "enum": ["tiff"]})", format("tiff"),
       R"({"output_format":"tiff"})", ""},
      {"a name of its own", R"("file_type": {"type": "string", "enum": ["jpg", "png"]})",
       format("png"), R"({"file_type":"png"})", ""},
      {"not a type of anything else", R"("output_type": {"type": "string", "enum": ["a", "b"]})",
       format("png"), "{}", "output_format"},
      {"a video's", R"("output_format": {"type": "array", "items": {"type": "string"}})",
       format("png"), "{}", "output_format"},
  });
}

TEST_CASE("quality goes to an enum of quality, to the nearest level where the word is not in it") {
  const std::string_view openai =
      R"("quality": {"type": "string", "enum": ["auto", "low", "medium", "high"], "default": "auto"})";
  const std::string_view speed =
      R"("rendering_speed": {"type": "string", "enum": ["TURBO", "BALANCED", "QUALITY"], "default": "BALANCED"})";
  const std::string_view performance =
      R"("performance": {"type": "string", "enum": ["Speed", "Quality", "Extreme Speed", "Lightning"]})";
  const std::string_view mode =
      R"("mode": {"type": "string", "enum": ["express", "standard", "premium"]})";
  check({
      {"listed", openai, quality("high"), R"({"quality":"high"})", ""},
      {"auto, listed", openai, quality("auto"), R"({"quality":"auto"})", ""},
      {"hd", openai, quality("hd"), R"({"quality":"high"})", "quality"},
      {"standard", openai, quality("standard"), R"({"quality":"medium"})", "quality"},
      {"more than the model has", openai, quality("max"), R"({"quality":"high"})", "quality"},
      {"rendering_speed, low", speed, quality("low"), R"({"rendering_speed":"TURBO"})", "quality"},
      {"rendering_speed, medium", speed, quality("medium"), R"({"rendering_speed":"BALANCED"})",
       "quality"},
      {"rendering_speed, hd", speed, quality("hd"), R"({"rendering_speed":"QUALITY"})", "quality"},
      {"rendering_speed's own word", speed, quality("TURBO"), R"({"rendering_speed":"TURBO"})", ""},
      {"rendering_speed's own word in lower case", speed, quality("turbo"),
       R"({"rendering_speed":"TURBO"})", "quality"},
      {"auto, not listed: the default is told", speed, quality("auto"), "{}", "quality"},
      {"words of its own", performance, quality("low"), R"({"performance":"Speed"})", "quality"},
      {"a mode of such words", mode, quality("high"), R"({"mode":"premium"})", "quality"},
      {"a mode of such words, listed", mode, quality("standard"), R"({"mode":"standard"})", ""},
      {"a mode with another word", R"("mode": {"type": "string", "enum": ["fast", "sketch"]})",
       quality("high"), "{}", "quality"},
      {"an enum of other words", R"("quality": {"type": "string", "enum": ["red", "blue"]})",
       quality("high"), "{}", "quality"},
      {"a number", R"("quality": {"type": "integer"})", quality("high"), "{}", "quality"},
      {"nothing for it", nothing, quality("hd"), "{}", "quality"},
      {"nothing for it, auto", nothing, quality("auto"), "{}", ""},
  });
}

TEST_CASE("style goes to an enum of styles, to a like word, or nowhere") {
  const std::string_view upper =
      R"("style": {"type": "string", "enum": ["AUTO", "GENERAL", "REALISTIC"]})";
  check({
      {"listed", upper, style("GENERAL"), R"({"style":"GENERAL"})", ""},
      {"in another case", upper, style("realistic"), R"({"style":"REALISTIC"})", "style"},
      {"natural", upper, style("natural"), R"({"style":"REALISTIC"})", "style"},
      {"vivid", upper, style("vivid"), "{}", "style"},
      {"a list of styles",
       R"("styles": {"type": "array", "items": {"type": "string", "enum": ["Fooocus V2", "Manga"]}})",
       style("Manga"), R"({"styles":["Manga"]})", ""},
      {"any text", R"("style": {"type": "string"})", style("woodcut"), R"({"style":"woodcut"})",
       ""},
      {"nothing for it", nothing, style("natural"), "{}", "style"},
  });
}

TEST_CASE("background goes to an enum or to a switch for transparency") {
  const std::string_view openai =
      R"("background": {"type": "string", "enum": ["auto", "transparent", "opaque"]})";
  const std::string_view toggle =
      R"("transparent_background": {"type": "boolean", "default": false})";
  check({
      {"listed", openai, background("transparent"), R"({"background":"transparent"})", ""},
      {"auto, listed", openai, background("auto"), R"({"background":"auto"})", ""},
      {"a switch on", toggle, background("transparent"), R"({"transparent_background":true})", ""},
      {"a switch off", toggle, background("opaque"), R"({"transparent_background":false})", ""},
      {"auto", nothing, background("auto"), "{}", ""},
      {"nothing for it", nothing, background("transparent"), "{}", "background"},
      {"a description of a scene is no place for OpenAI's words",
       R"("background": {"type": "string"})", background("transparent"), "{}", "background"},
      {"but for a scene", R"("background": {"type": "string"})", background("a beach"),
       R"({"background":"a beach"})", ""},
  });
}

TEST_CASE("low moderation turns checks off or tolerance up, auto leaves the model's own") {
  check({
      {"a switch", R"("enable_safety_checker": {"type": "boolean", "default": true})",
       moderation("low"), R"({"enable_safety_checker":false})", ""},
      {"a switch of another name",
       R"("enable_safety_checks": {"type": "boolean", "default": true})", moderation("low"),
       R"({"enable_safety_checks":false})", ""},
      {"a tolerance in words",
       R"("safety_tolerance": {"type": "string", "enum": ["1", "2", "3", "6", "5"]})",
       moderation("low"), R"({"safety_tolerance":"6"})", ""},
      {"a tolerance in numbers",
       R"("safety_tolerance": {"type": "integer", "minimum": 0, "maximum": 5})", moderation("low"),
       R"({"safety_tolerance":5})", ""},
      {"both",
       R"("enable_safety_checker": {"type": "boolean"}, "safety_tolerance": {"type": "string", "enum": ["1", "4"]})",
       moderation("low"), R"({"enable_safety_checker":false,"safety_tolerance":"4"})", ""},
      {"OpenAI's own", R"("moderation": {"type": "string", "enum": ["auto", "low"]})",
       moderation("low"), R"({"moderation":"low"})", ""},
      {"auto", R"("enable_safety_checker": {"type": "boolean", "default": true})",
       moderation("auto"), "{}", ""},
      {"nothing for it", nothing, moderation("low"), "{}", "moderation"},
  });
}

TEST_CASE("output_compression, input_fidelity and user go to inputs of their kind") {
  check({
      {"output_compression",
       R"("output_compression": {"type": "integer", "minimum": 0, "maximum": 100})",
       compression(80), R"({"output_compression":80})", ""},
      {"output_quality, within bounds",
       R"("output_quality": {"type": "integer", "minimum": 1, "maximum": 95})", compression(100),
       R"({"output_quality":95})", "output_compression"},
      {"output_quality, in steps",
       R"("output_quality": {"anyOf": [{"type": "integer", "minimum": 50, "multipleOf": 5}, {"type": "null"}]})",
       compression(83), R"({"output_quality":85})", "output_compression"},
      {"output_quality, without a value between its bounds",
       R"("output_quality": {"type": "integer", "minimum": 50, "maximum": 52, "multipleOf": 7})",
       compression(80), "{}", "output_compression"},
      {"no compression", nothing, compression(80), "{}", "output_compression"},
      {"input_fidelity", R"("input_fidelity": {"type": "string", "enum": ["low", "high"]})",
       fidelity("high"), R"({"input_fidelity":"high"})", ""},
      {"no fidelity", nothing, fidelity("high"), "{}", "input_fidelity"},
      {"user", R"("user": {"type": "string"})", asking([](auto& request) { request.user = "u1"; }),
       R"({"user":"u1"})", ""},
      {"no user", nothing, asking([](auto& request) { request.user = "u1"; }), "{}", "user"},
  });
}

TEST_CASE("a word that is neither OpenAI's nor the model's is refused, with those that are") {
  struct Refused {
    std::string name;
    std::string_view input;
    Wish request;
    std::string field;
    std::string shown;
  };
  const std::vector<Refused> cases = {
      {"quality", R"("quality": {"type": "string", "enum": ["low", "high"]})", quality("banana"),
       "quality", "'high'"},
      {"quality, nothing for it", nothing, quality("banana"), "quality", "'standard'"},
      {"style", R"("style": {"type": "string", "enum": ["any", "icon"]})", style("banana"), "style",
       "'icon'"},
      {"style, nothing for it", nothing, style("banana"), "style", "'vivid'"},
      {"background", nothing, background("banana"), "background", "'opaque'"},
      {"moderation", nothing, moderation("banana"), "moderation", "'low'"},
      {"input_fidelity", nothing, fidelity("banana"), "input_fidelity", "'high'"},
      {"output_format", R"("output_format": {"type": "string", "enum": ["tiff"]})",
       format("banana"), "output_format", "'tiff'"},
  };
  for (const Refused& c : cases) {
    SUBCASE(c.name.c_str()) {
      const auto mapped = map(c.request, with({c.input}));
      REQUIRE_FALSE(mapped);
      CHECK(mapped.error().kind == ErrorKind::invalid_value);
      CHECK(mapped.error().field == c.field);
      CHECK(mapped.error().message.find(c.shown) != std::string::npos);
      CHECK(mapped.error().message.find("banana") != std::string::npos);
    }
  }
}

TEST_CASE("the answer tells what the model got or has by default, in OpenAI's words") {
  const std::string_view speed =
      R"("rendering_speed": {"type": "string", "enum": ["TURBO", "BALANCED", "QUALITY"], "default": "BALANCED"})";
  const std::string_view format_input =
      R"("output_format": {"type": "string", "enum": ["jpg", "png"], "default": "jpg"})";
  const std::string_view automatic_quality =
      R"("quality": {"type": "string", "enum": ["auto", "low"], "default": "auto"})";
  CHECK(plan_of(generation(), with({speed})).quality == "medium");
  CHECK(plan_of(quality("hd"), with({speed})).quality == "high");
  CHECK_FALSE(plan_of(generation(), with({automatic_quality})).quality);
  CHECK(plan_of(generation(), with({format_input})).output_format == "jpeg");
  CHECK_FALSE(plan_of(generation(), with({format_input})).output_format_sent);
  CHECK(plan_of(format("png"), with({format_input})).output_format == "png");
  CHECK(plan_of(format("png"), with({format_input})).output_format_sent);
  CHECK(
      plan_of(background("transparent"), with({R"("transparent_background": {"type": "boolean"})"}))
          .background == "transparent");
  CHECK_FALSE(plan_of(quality("hd"), with({nothing})).quality);
}

TEST_CASE("a refusal shows of a long word its beginning only") {
  const auto mapped =
      map(asking([](Wish& request) { request.quality = std::string(500'000, 'q'); }), with({}));
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().field == "quality");
  CHECK(mapped.error().message.size() < 500);
}
