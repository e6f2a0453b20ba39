#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/settings.hpp"

using falproxy::Json;
using falproxy::ModelRoute;
using falproxy::ModelSettings;
using falproxy::parse_models_file;

namespace {

const std::vector<ModelRoute> configured = {
    {"flux-dev", "fal-ai/flux/dev", ""},
    {"flux-schnell", "fal-ai/flux/schnell", ""},
    {"nano", "fal-ai/nano-banana", "fal-ai/nano-banana/edit"}};

}  // namespace

TEST_CASE("every key of a model's settings is read") {
  const auto all = parse_models_file(R"({
    "flux-dev": {"defaults": {"num_inference_steps": 20, "loras": [{"path": "x"}]}, "overrides": {"enable_safety_checker": false},
                 "response_format": "b64_json", "completion": "poll", "edit": "fal-ai/flux/dev/image-to-image", "remix": "fal-ai/wan/remix", "mask": "black",
                 "fallback": ["flux-schnell", "nano"], "schema": "./my.json", "stream": true, "own_app": true,
                 "inputs": {"prompt": "my_text", "n": null}, "outputs": "render.frame"},
    "nano": {}
  })",
                                     "models.json", configured);
  REQUIRE(all.has_value());
  ModelSettings want;
  want.defaults = {{"loras", *Json::parse(R"([{"path":"x"}])")},
                   {"num_inference_steps", Json::integer(20)}};
  want.overrides = {{"enable_safety_checker", Json::boolean(false)}};
  want.response_format = falproxy::ResponseFormat::b64_json;
  want.completion = falproxy::Completion::poll;
  want.edit = "fal-ai/flux/dev/image-to-image";
  want.remix = "fal-ai/wan/remix";
  want.mask = falproxy::MaskConvention::black;
  want.fallback = {"flux-schnell", "nano"};
  want.schema = "./my.json";
  want.stream = true;
  want.own_app = true;
  want.taught = {{{"prompt", "my_text"}}, "render.frame"};
  CHECK(all->at("flux-dev") == want);
  CHECK(all->at("nano") == ModelSettings{});
}

TEST_CASE("null is the same as absent in a models file") {
  const auto all = parse_models_file(
      R"({"flux-dev": {"edit": null, "stream": null, "fallback": null, "mask": null,
      "defaults": {"seed": null}}})",
      "models.json");
  REQUIRE(all.has_value());
  CHECK(all->at("flux-dev") == ModelSettings{});
}

TEST_CASE("a byte order mark and Windows line ends do no harm to a models file") {
  CHECK(parse_models_file("\uFEFF{\r\n\"flux-dev\": {}\r\n}\r\n", "models.json").has_value());
}

TEST_CASE("a fallback may be a name that a pattern serves") {
  const std::vector<ModelRoute> models = {{"nano", "fal-ai/nano-banana", ""},
                                          {"gpt-*", "fal-ai/flux/dev", ""}};
  const std::string text = R"({"nano": {"fallback": ["gpt-image-1"]}})";
  CHECK(parse_models_file(text, "models.json", models).has_value());
  CHECK_FALSE(parse_models_file(text, "models.json", configured).has_value());
}

TEST_CASE("each fault of a models file has its line, its place and a mend") {
  struct Case {
    std::string name;
    std::string text;
    int line;
    std::string variable;
    std::string part;  // of the whole fault as text
  };
  for (const Case& c : {
           Case{"not JSON", "{\n\"flux-dev\": {},\n}\n", 3, "MODELS_FILE", "is not JSON"},
           {"cut off", "{\n\"flux-dev\": {", 2, "MODELS_FILE", "is not JSON"},
           {"empty", "", 1, "MODELS_FILE", "is not JSON"},
           {"a list", "[]", 1, "MODELS_FILE", "is not an object"},
           {"a model that is no object", "{\n\"flux-dev\": 1}", 2, "flux-dev", "is not an object"},
           {"a key nobody knows", "{\"flux-dev\": {\n\"speed\": 1}}", 2, "flux-dev.speed",
            "known keys are defaults, overrides"},
           {"a mistyped key", "{\"flux-dev\": {\n\n\"falback\": []}}", 3, "flux-dev.falback",
            "did you mean \"fallback\"?"},
           {"a model that is not configured", "{\n\"flux-dve\": {}}", 2, "flux-dve",
            "did you mean 'flux-dev'?"},
           {"a fallback that is not configured", "{\"nano\": {\n\"fallback\": [\"other\"]}}", 2,
            "nano.fallback", "'other' is no name in SUPPORTED_MODELS"},
           {"a fallback to itself", R"({"nano": {"fallback": ["nano"]}})", 1, "nano.fallback",
            "names the model itself"},
           {"a fallback twice", R"({"nano": {"fallback": ["flux-dev", "flux-dev"]}})", 1,
            "nano.fallback", "twice"},
           {"a fallback that is a word", R"({"nano": {"fallback": "flux-dev"}})", 1,
            "nano.fallback", "is not a list"},
           {"a fallback that holds a number", R"({"nano": {"fallback": [1]}})", 1, "nano.fallback",
            "the 1. one"},
           {"an edit endpoint of one part", R"({"flux-dev": {"edit": "edit"}})", 1, "flux-dev.edit",
            "owner/name"},
           {"an edit endpoint that climbs", R"({"flux-dev": {"edit": "fal-ai/../x"}})", 1,
            "flux-dev.edit", ".."},
           {"an edit endpoint that is a number", R"({"flux-dev": {"edit": 1}})", 1, "flux-dev.edit",
            "is not a string"},
           {"a remix endpoint of one part", R"({"flux-dev": {"remix": "remix"}})", 1,
            "flux-dev.remix", "owner/name"},
           {"two edit endpoints", R"({"nano": {"edit": "fal-ai/other/edit"}})", 1, "nano.edit",
            "differs"},
           {"a format nobody knows", R"({"nano": {"response_format": "b64"}})", 1,
            "nano.response_format", "is not one of"},
           {"a format of the wrong type", R"({"nano": {"response_format": true}})", 1,
            "nano.response_format", "is not one of"},
           {"a completion nobody knows", R"({"nano": {"completion": "streem"}})", 1,
            "nano.completion", "write \"stream\""},
           {"a mask nobody knows", R"({"nano": {"mask": "grey"}})", 1, "nano.mask",
            "\"white\", \"black\", \"alpha\""},
           {"defaults that are a list", R"({"nano": {"defaults": []}})", 1, "nano.defaults",
            "is not an object"},
           {"overrides that are a word", R"({"nano": {"overrides": "x"}})", 1, "nano.overrides",
            "is not an object"},
           {"a schema without a path", R"({"nano": {"schema": ""}})", 1, "nano.schema",
            "path of a file"},
           {"an own app that is a word", R"({"nano": {"own_app": "yes"}})", 1, "nano.own_app",
            "neither true nor false"},
           {"a stream that is a word", R"({"nano": {"stream": "true"}})", 1, "nano.stream",
            "without quotes"},
           {"fal's wishes that are a word", R"({"nano": {"fal": "low"}})", 1, "nano.fal",
            "is not an object"},
           {"a wish nobody knows", "{\"nano\": {\"fal\": {\n\"priority\": \"low\"}}}", 2,
            "nano.fal.priority", "known keys are queue_priority, runner_hint"},
           {"a wish twice",
            "{\"nano\": {\"fal\": {\"runner_hint\": \"a\",\n\"runner_hint\": "
            "\"b\"}}}",
            2, "nano.fal.runner_hint", "twice"},
           {"a priority above others", R"({"nano": {"fal": {"queue_priority": "high"}}})", 1,
            "nano.fal.queue_priority", R"(is not one of "low", "normal")"},
           {"a hint that ends its header field",
            R"({"nano": {"fal": {"runner_hint": "a\r\nX: y"}}})", 1, "nano.fal.runner_hint",
            "header field"},
           {"a hint with a line feed", R"({"nano": {"fal": {"runner_hint": "a\nb"}}})", 1,
            "nano.fal.runner_hint", "header field"},
           {"a hint beyond ASCII", R"({"nano": {"fal": {"runner_hint": "h\u00e9"}}})", 1,
            "nano.fal.runner_hint", "header field"},
           {"an empty hint", R"({"nano": {"fal": {"runner_hint": ""}}})", 1, "nano.fal.runner_hint",
            "header field"},
           {"a hint with a blank at its end", R"({"nano": {"fal": {"runner_hint": "a "}}})", 1,
            "nano.fal.runner_hint", "header field"},
           {"a hint that is a number", R"({"nano": {"fal": {"runner_hint": 1}}})", 1,
            "nano.fal.runner_hint", "header field"},
           {"a long hint",
            R"({"nano": {"fal": {"runner_hint": ")" + std::string(201, 'h') + R"("}}})", 1,
            "nano.fal.runner_hint", "1 to 200"},
           {"a fallback that is a word", R"({"nano": {"fal": {"disable_fallback": "true"}}})", 1,
            "nano.fal.disable_fallback", "without quotes"},
           {"a lifetime of a moment", R"({"nano": {"fal": {"output_expiration_seconds": 59}}})", 1,
            "nano.fal.output_expiration_seconds", "from 60 to"},
           {"a lifetime in words", R"({"nano": {"fal": {"output_expiration_seconds": "3600"}}})", 1,
            "nano.fal.output_expiration_seconds", "without quotes"},
           {"a lifetime with a fraction",
            R"({"nano": {"fal": {"output_expiration_seconds": 60.5}}})", 1,
            "nano.fal.output_expiration_seconds", "whole number"},
           {"an access nobody knows", R"({"nano": {"fal": {"output_access": "private"}}})", 1,
            "nano.fal.output_access", R"("allow", "hide", "forbid")"},
           {"a model twice", "{\"nano\": {\"mask\": \"white\"},\n\"nano\": {\"mask\": \"black\"}}",
            2, "nano", "twice"},
           {"a key twice", "{\"nano\": {\n\"mask\": \"white\",\n\"mask\": \"black\"}}", 3,
            "nano.mask", "twice"},
       }) {
    CAPTURE(c.name);
    const auto read = parse_models_file(c.text, "models.json", configured);
    REQUIRE_FALSE(read.has_value());
    REQUIRE(read.error().size() == 1);
    const falproxy::SettingsFault& fault = read.error().front();
    CAPTURE(to_string(fault));
    CHECK(fault.file == "models.json");
    CHECK(fault.line == c.line);
    CHECK(fault.variable == c.variable);
    CHECK(to_string(fault).find(c.part) != std::string::npos);
    CHECK_FALSE(fault.mend.empty());
  }
}

TEST_CASE("what fal is asked to do with a model's jobs is read") {
  const auto read = parse_models_file(
      R"({"nano": {"fal": {"queue_priority": "low", "runner_hint": "warm lora", "disable_fallback": true,
          "output_expiration_seconds": 604800, "output_access": "hide"}},
          "flux-dev": {"fal": {"queue_priority": null}}})",
      "models.json", configured);
  REQUIRE(read.has_value());
  CHECK(read->at("nano").fal ==
        falproxy::FalPreferences{.queue_priority = falproxy::QueuePriority::low,
                                 .runner_hint = "warm lora",
                                 .disable_fallback = true,
                                 .output_expiration = std::chrono::seconds(604800),
                                 .output_access = falproxy::OutputAccess::hide});
  CHECK(read->at("flux-dev").fal == falproxy::FalPreferences{});
}

TEST_CASE("all faults of a models file come at once, in order of lines") {
  const auto read = parse_models_file("{\n\"a\": {\"b\": 1,\n\"stream\": 2},\n\"0\": 3}",
                                      "models.json", configured);
  REQUIRE_FALSE(read.has_value());
  std::vector<int> lines;
  for (const auto& fault : read.error()) lines.push_back(fault.line);
  CHECK(lines == std::vector<int>{2, 2, 3, 4});
}

TEST_CASE("without the configured models a models file is judged by itself") {
  CHECK(
      parse_models_file(R"({"anything": {"fallback": ["something"]}})", "models.json").has_value());
}

TEST_CASE(
    "a member's line is told where names look like text, text like names, and braces stand in "
    "strings") {
  const auto read = parse_models_file(
      "{\"a\": {\"defaults\": {\"x\": \"{\\\"b\\\": [\\n\", \"y\": [{\"mask\": 1}]}},\n\n"
      "\"\\u0062\": {\"mask\": 1}}",
      "models.json");
  REQUIRE_FALSE(read.has_value());
  REQUIRE(read.error().size() == 1);
  CHECK(read.error().front().line == 3);
  CHECK(read.error().front().variable == "b.mask");
}
