#include <doctest/doctest.h>

#include <string>

#include "app/fake_fal.hpp"
#include "commands/commands.hpp"
#include "falproxy/json.hpp"

using falproxy::Json;
using falproxy::app::Command;
using falproxy::app::CommandLine;
using falproxy::app::Environment;
using falproxy::app::run_explain;
using falproxy::testing::document_of;
using falproxy::testing::FakeFal;

namespace {

const Environment configured{{"CUSTOM_ACCESS_KEY", "access-key-of-s3cret"},
                             {"AI_KEYS", "k1:s3cret"},
                             {"SUPPORTED_MODELS", "painter:example/painter+example/editor"}};

FakeFal& with_two_models(FakeFal& fal) {
  fal.documents["example/painter"] =
      document_of("example/painter", falproxy::testing::painter_inputs);
  fal.documents["example/editor"] =
      document_of("example/editor", falproxy::testing::editor_inputs, R"("prompt", "image_url")");
  return fal;
}

// An absent file of settings, so that a .env where the tests run does not count.
CommandLine line_of(FakeFal& fal, CommandLine line) {
  line.command = Command::explain;
  if (!line.env_file.has_value()) line.env_file = fal.folder.write("empty.env", "");
  return line;
}

Json explained(FakeFal& fal, CommandLine line, const Environment& environment,
               const std::string& request) {
  line.json = true;
  line.request_file = fal.folder.write("request.json", request);
  const int status = run_explain(line_of(fal, line), fal.surroundings(environment));
  CAPTURE(fal.out.str());
  CAPTURE(fal.err.str());
  CHECK(status == 0);
  const auto json = Json::parse(fal.out.str());
  REQUIRE(json.has_value());
  return *json;
}

Json body_of(const Json& plan, std::size_t job = 0) {
  return *plan.find("jobs")->at(job).find("body");
}

}  // namespace

TEST_CASE("explain tells what a request costs, if PRICES_FILE has its price") {
  for (const bool is_known : {true, false}) {
    CAPTURE(is_known);
    FakeFal fal;
    Environment environment = configured;
    environment["PRICES_FILE"] = fal.folder.write(
        "prices.json", is_known ? R"({"example/painter": {"unit_price": "0.02", "unit": "images"}})"
                                : R"({"example/other": {"unit_price": "0.02", "unit": "images"}})");
    const Json plan = explained(with_two_models(fal), {.model = "painter"}, environment,
                                R"({"prompt": "a fox", "n": 2})");
    const auto estimate = plan.find("estimate_usd");
    REQUIRE(estimate.has_value());
    CHECK(estimate->as_string() == (is_known ? std::optional("0.04") : std::nullopt));
    fal.out.str("");
    CommandLine line{.model = "painter"};
    CHECK(run_explain(line_of(fal, line), fal.surroundings(environment)) == 0);
    CHECK((fal.out.str().find("0.02 USD") != std::string::npos) == is_known);
  }
}

TEST_CASE("explain shows the body that fal would get, and submits nothing") {
  FakeFal fal;
  const Json plan =
      explained(with_two_models(fal), {.model = "painter"}, configured,
                R"({"prompt": "a fox", "size": "1024x768", "n": 2, "guidance_scale": 3.5})");
  const Json body = body_of(plan);
  CHECK(body.find("prompt")->as_string() == "a fox");
  CHECK(*body.find("image_size") == *Json::parse(R"({"width": 1024, "height": 768})"));
  CHECK(body.find("num_images")->as_integer() == 2);
  CHECK(body.find("guidance_scale")->as_number() == 3.5);
  CHECK(plan.find("mappings")->size() >= 4);
  for (const std::string& request : fal.requests())
    CHECK(request.starts_with("GET https://fal.ai/"));
  CHECK(fal.out.str().find("s3cret") == std::string::npos);
}

TEST_CASE("explain prints a table of the fields, the notes and the bodies for people") {
  FakeFal fal;
  const std::string request =
      fal.folder.write("r.json", R"({"prompt": "a fox", "n": 5, "negative_prompt": "no"})");
  const int status =
      run_explain(line_of(with_two_models(fal), {.model = "painter", .request_file = request}),
                  fal.surroundings(configured));
  const std::string text = fal.out.str();
  CAPTURE(text);
  CHECK(status == 0);
  CHECK(text.starts_with("FIELD"));
  CHECK(text.find("\nprompt ") != std::string::npos);
  CHECK(text.find("\nNotes\n  ") != std::string::npos);
  CHECK(text.find("\nBody 1\n{") != std::string::npos);
  CHECK(text.find("\nBody 2\n{") != std::string::npos);
}

TEST_CASE("explain needs no settings and no network where the document is a file") {
  FakeFal fal;
  const std::string document =
      fal.folder.write("d.json", document_of("example/other", falproxy::testing::painter_inputs));
  const Json plan = explained(fal, {.schema_file = document}, {},
                              R"({"prompt": "a fox", "model": "whatever you like"})");
  CHECK(body_of(plan).find("prompt")->as_string() == "a fox");
  CHECK(fal.requests().empty());
}

TEST_CASE("explain fetches the document of any endpoint, with no settings") {
  FakeFal fal;
  const Json plan =
      explained(with_two_models(fal), {.endpoint = "example/editor", .api = "edits"}, {},
                R"({"prompt": "a fox", "image_url": "https://example.com/a.png"})");
  CHECK(body_of(plan).find("image_url")->as_string() == "https://example.com/a.png");
  CHECK(fal.requests().size() == 1);
}

TEST_CASE("explain maps a model's name as the server would") {
  FakeFal fal;
  const std::string document =
      fal.folder.write("d.json", document_of("example/other", falproxy::testing::painter_inputs));
  const Json plan = explained(fal, {.model = "gpt-image-1", .schema_file = document}, {},
                              R"({"prompt": "a fox"})");
  CHECK(plan.find("response_format")->as_string() == "b64_json");
}

TEST_CASE("explain shows the header fields that MODELS_FILE sends to fal") {
  FakeFal fal;
  const std::string models =
      fal.folder.write("m.json", R"({"painter": {"fal": {"queue_priority": "low"}}})");
  Environment environment = configured;
  environment["MODELS_FILE"] = models;
  const Json plan =
      explained(with_two_models(fal), {.model = "painter"}, environment, R"({"prompt": "a fox"})");
  CHECK(plan.find("headers")->find("X-Fal-Queue-Priority")->as_string() == "low");
  fal.out.str("");
  CHECK(run_explain(line_of(fal, {.model = "painter"}), fal.surroundings(environment)) == 0);
  CHECK(fal.out.str().find("\nHeaders\n  X-Fal-Queue-Priority: low\n") != std::string::npos);
}

TEST_CASE("explain counts what MODELS_FILE says of the model") {
  FakeFal fal;
  Environment environment = configured;
  environment["MODELS_FILE"] =
      fal.folder.write("models.json", R"({"painter": {"overrides": {"guidance_scale": 7}}})");
  CHECK(body_of(explained(with_two_models(fal), {.model = "painter"}, environment,
                          R"({"prompt": "a fox"})"))
            .find("guidance_scale")
            ->as_number() == 7.0);
  fal.out.str("");
  const std::string document =
      fal.folder.write("d.json", document_of("example/other", falproxy::testing::painter_inputs));
  CHECK(body_of(explained(fal, {.model = "painter", .schema_file = document}, environment,
                          R"({"prompt": "a fox"})"))
            .find("guidance_scale")
            ->as_number() == 7.0);
}

TEST_CASE("explain takes a plain request where none is given, and one from standard input") {
  FakeFal fal;
  CHECK(run_explain(line_of(with_two_models(fal), {}), fal.surroundings(configured)) == 0);
  CHECK(fal.out.str().find("lighthouse") != std::string::npos);
  fal.in.str(R"({"prompt": "a heron"})");
  CHECK(run_explain(line_of(fal, {.request_file = "-"}), fal.surroundings(configured)) == 0);
  CHECK(fal.out.str().find("a heron") != std::string::npos);
}

TEST_CASE(
    "explain ends with 1 where the request would be refused, and says what the client would hear") {
  struct Case {
    std::string name;
    std::string request;
    std::string model;
    std::string part;
  };
  for (const Case& c : {
           Case{"a wrong value", R"({"prompt": "a fox", "guidance_scale": 99})", "painter",
                "guidance_scale"},
           {"a wrong type", R"({"prompt": 1})", "painter", "prompt"},
           {"a missing field", R"({})", "painter", "prompt"},
           {"an unknown model", R"({"prompt": "a fox"})", "paintre", "paintre"},
           {"not JSON", "{", "painter", "JSON"},
       }) {
    CAPTURE(c.name);
    FakeFal fal;
    const std::string request = fal.folder.write("r.json", c.request);
    CommandLine line = line_of(with_two_models(fal), {.model = c.model, .request_file = request});
    CHECK(run_explain(line, fal.surroundings(configured)) == 1);
    CAPTURE(fal.out.str());
    CHECK(fal.out.str().starts_with("refused with 400 "));
    CHECK(fal.out.str().find(c.part) != std::string::npos);
    fal.out.str("");
    line.json = true;
    CHECK(run_explain(line, fal.surroundings(configured)) == 1);
    const auto json = Json::parse(fal.out.str());
    REQUIRE(json.has_value());
    CHECK(json->find("error")->find("message")->as_string()->find(c.part) !=
          std::string_view::npos);
  }
}

TEST_CASE("explain knows requests for videos, speech and transcripts, too") {
  struct Case {
    std::string api, inputs, required, outputs, request, body;
  };
  for (
      const Case& c : std::vector<Case>{
          {"videos",
           R"("prompt": {"type": "string"}, "duration": {"type": "string", "enum": ["5", "10"]})",
           R"("prompt")", R"("video": {"type": "object"})",
           R"({"prompt": "a fox", "seconds": "6"})", R"({"duration":"5","prompt":"a fox"})"},
          {"speech",
           R"("text": {"type": "string"}, "voice": {"type": "string", "enum": ["Aria", "Rachel"]})",
           R"("text")", R"("audio": {"type": "object"})",
           R"({"input": "a fox", "voice": "rachel"})", R"({"text":"a fox","voice":"Rachel"})"},
          {"transcriptions", R"("audio_url": {"type": "string"})", R"("audio_url")",
           R"("text": {"type": "string"})", R"({"file": "https://a.example/a.mp3"})",
           R"({"audio_url":"https://a.example/a.mp3"})"}}) {
    CAPTURE(c.api);
    FakeFal fal;
    fal.documents["example/other"] = document_of("example/other", c.inputs, c.required, c.outputs);
    const Json plan = explained(fal, {.endpoint = "example/other", .api = c.api}, {}, c.request);
    CHECK(body_of(plan).dump() == c.body);
  }
}

TEST_CASE("explain ends with 2 where settings or files are wrong, and says which") {
  struct Case {
    std::string name;
    CommandLine line;
    Environment environment;
    std::string part;
  };
  FakeFal fal;
  const std::string broken = fal.folder.write("broken.json", "{\"openapi\": 1}");
  for (const Case& c : std::vector<Case>{
           {"no settings", {.model = "painter"}, {}, "CUSTOM_ACCESS_KEY: is missing"},
           {"a wrong setting",
            {.endpoint = "a/b"},
            {{"PORT", "x"}},
            "environment: PORT: is not a whole number"},
           {"no such request",
            {.request_file = fal.folder.at("gone.json")},
            configured,
            "gone.json' cannot be read"},
           {"no such document",
            {.schema_file = fal.folder.at("gone.json")},
            configured,
            "gone.json' cannot be read"},
           {"a document that is none",
            {.schema_file = broken},
            configured,
            "broken.json' cannot be used"},
           {"an endpoint that is none", {.endpoint = "flux"}, configured, "flux"},
       }) {
    CAPTURE(c.name);
    fal.err.str("");
    CHECK(run_explain(line_of(with_two_models(fal), c.line), fal.surroundings(c.environment)) == 2);
    CAPTURE(fal.err.str());
    CHECK(fal.err.str().find(c.part) != std::string::npos);
    CHECK(fal.out.str().empty());
  }
}
