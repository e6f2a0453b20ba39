// OpenRouter's images API, over real sockets and falsim.
#include <doctest/doctest.h>

#include <string>
#include <tuple>

#include "base/fmt.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const Environment openrouter_models{
    {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"}};
constexpr const char* openrouter_images = "/api/v1/images";

}  // namespace

TEST_CASE("OpenRouter's images come in base64, with their type and token numbers") {
  Served served(openrouter_models);
  const Received got = served.post(
      openrouter_images,
      R"({"model":"flux","prompt":"a fox","aspect_ratio":"16:9","provider":{"order":["x"]},"user":"u","session_id":"s","seed":7})");
  CAPTURE(got.body.substr(0, 300));
  REQUIRE(got.status == 200);
  CHECK_FALSE(text_at(got.body, "data.0.b64_json").empty());
  CHECK(text_at(got.body, "data.0.media_type").starts_with("image/"));
  CHECK(at(got.body, "usage.prompt_tokens").as_integer() == 0);
  CHECK(at(got.body, "usage.completion_tokens").as_integer() == 0);
  CHECK(at(got.body, "created").as_integer().value_or(0) > 0);
  CHECK(served.sim.submits().at(0).input.find("provider") == std::string::npos);
}

TEST_CASE("OpenRouter's input_references are edited") {
  Served served(openrouter_models);
  const Received first = served.post("/v1/images/generations", lighthouse);
  const Received got = served.post(
      openrouter_images,
      R"({"model":"nano","prompt":"make it blue","input_references":[{"type":"image_url","image_url":{"url":")" +
          text_at(first.body, "data.0.url") + R"("}}]})");
  CHECK(got.status == 200);
  CHECK(served.sim.submits().back().endpoint == "fal-ai/nano-banana/edit");
}

TEST_CASE("what is wrong with an input_reference is told by that name") {
  Served served(openrouter_models);
  for (const auto& [model, references, field] :
       {std::tuple("nano", R"([{"type":"image_url"}])", "input_references[0].image_url"),
        {"nano", R"(["nope"])", "input_references[0]"},
        {"flux", R"([{"image_url":{"url":"https://v3.fal.media/a.png"}}])", "input_references"}}) {
    const Received got = served.post(
        openrouter_images,
        fmt::format(R"({{"model":"{}","prompt":"x","input_references":{}}})", model, references));
    CAPTURE(got.body);
    CHECK(got.status == 400);
    CHECK(text_at(got.body, "error.param") == field);
    CHECK(got.body.find("'image") == std::string::npos);
  }
  CHECK(served.sim.submits().empty());
}

TEST_CASE("OpenRouter's stream has created beside created_at, and failures are not repeated") {
  Served served(openrouter_models);
  const Received got =
      served.post(openrouter_images, R"({"model":"flux","prompt":"a fox","stream":true})");
  CHECK(got.body.find("event: image_generation.completed") != std::string::npos);
  CHECK(got.body.find("\"created\":") != std::string::npos);
  CHECK(got.body.find("\"media_type\":\"image/") != std::string::npos);
  falsim::Fault failing;
  failing.step = falsim::Step::submit;
  failing.job.error = "the model is broken";
  served.sim.add_fault(failing);
  const Received failed = served.post(openrouter_images, R"({"model":"flux","prompt":"a cat"})");
  CHECK(failed.status == 400);
  CHECK(failed.header("x-should-retry") == "false");
}

TEST_CASE("OpenRouter's list of models says what each takes, by its document") {
  Served served(openrouter_models);
  served.wait_for_documents();
  const Received got = served.get("/api/v1/images/models");
  REQUIRE(got.status == 200);
  CHECK(text_at(got.body, "data.0.id") == "flux");
  CHECK(text_at(got.body, "data.0.architecture.output_modalities.0") == "image");
  CHECK(at(got.body, "data.0.architecture.input_modalities").size() == 1);
  CHECK(at(got.body, "data.1.architecture.input_modalities").size() == 2);
  CHECK(text_at(got.body, "data.1.supported_parameters.input_references.type") == "boolean");
  CHECK(text_at(got.body, "data.1.supported_parameters.aspect_ratio.type") == "enum");
  CHECK(at(got.body, "data.0.supported_parameters.input_references").is_null());
}

TEST_CASE("Together's base64 is b64_json") {
  Served served(openrouter_models);
  const Received got = served.post(
      "/v1/images/generations",
      R"({"model":"flux","prompt":"a fox","response_format":"base64","width":512,"height":512,"steps":4})");
  CHECK(got.status == 200);
  CHECK_FALSE(text_at(got.body, "data.0.b64_json").empty());
}

}  // namespace falproxy::app
