#include <set>

#include "client.hpp"
#include "falsim/encoders.hpp"
#include "support/payload_checker.hpp"

using namespace falsim_test;

namespace {

json document_of(const Falsim& sim, const std::string& endpoint) {
  const std::optional<std::string> text = sim.document(endpoint);
  REQUIRE(text.has_value());
  return json::parse(*text);
}

/// Something for every input that the document requires.
json least_input(const json& document, const std::string& endpoint) {
  const std::string reference = document["paths"]["/" + endpoint]["post"]["requestBody"]["content"]
                                        ["application/json"]["schema"]["$ref"];
  const json& schema =
      document["components"]["schemas"][reference.substr(reference.rfind('/') + 1)];
  json input = json::object();
  for (const json& name : schema.value("required", json::array())) {
    const bool list = schema["properties"][name.get<std::string>()].value("type", "") == "array";
    const json text = "https://example.com/a.png";
    input[name.get<std::string>()] = list ? json::array({text}) : text;
  }
  return input;
}

}  // namespace

TEST_CASE("the bundled documents have the form of fal's") {
  Falsim sim = start();
  const std::vector<std::string> endpoints = sim.endpoints();
  CHECK(endpoints.size() >= 10);
  Client client(sim.url());
  for (const std::string& endpoint : endpoints) {
    CAPTURE(endpoint);
    const Heard served = client.get("/api/openapi/queue/openapi.json?endpoint_id=" + endpoint, {});
    CHECK(served.status == 200);
    const json document = served.parsed();
    // But for the picture, which falsim serves itself.
    json bundled = json::parse(sim.document(endpoint).value());
    const std::string picture = document["info"]["x-fal-metadata"]["thumbnailUrl"];
    CHECK(picture.starts_with(sim.url()));
    bundled["info"]["x-fal-metadata"]["thumbnailUrl"] = picture;
    CHECK(document == bundled);
    CHECK(document["openapi"] == "3.0.4");
    CHECK(document["info"]["x-fal-metadata"]["endpointId"] == endpoint);
    CHECK(document["servers"][0]["url"] == "https://queue.fal.run");
    CHECK(document["components"]["securitySchemes"].contains("apiKeyAuth"));
    std::set<std::string> paths;
    for (const auto& [path, operations] : document["paths"].items()) paths.insert(path);
    const std::string job = "/" + endpoint + "/requests/{request_id}";
    CHECK(paths == std::set<std::string>{"/" + endpoint, job, job + "/status", job + "/cancel"});
    for (const auto& [key, schema] : document["components"]["schemas"].items()) {
      if (!schema.contains("x-fal-order-properties")) continue;
      const std::string& name = key;
      CAPTURE(name);
      std::set<std::string> ordered, known;
      for (const json& property : schema["x-fal-order-properties"]) ordered.insert(property);
      for (const auto& [property, value] : schema["properties"].items()) known.insert(property);
      CHECK(ordered == known);
    }
  }
}

TEST_CASE("the result of every model fits its document") {
  Falsim sim = start();
  Client client(sim.url());
  for (const std::string& endpoint : sim.endpoints()) {
    CAPTURE(endpoint);
    const json document = document_of(sim, endpoint);
    const Heard answer = client.finish(endpoint, least_input(document, endpoint));
    CAPTURE(answer.body);
    REQUIRE(answer.status == 200);
    const json& schema = document["paths"]["/" + endpoint + "/requests/{request_id}"]["get"]
                                 ["responses"]["200"]["content"]["application/json"]["schema"];
    const payload_checker::Report report =
        payload_checker::check_value(document, schema, answer.parsed(), "result");
    CAPTURE(report.text());
    CHECK(report.valid());
  }
}

TEST_CASE("pictures have the size, count, shape and format that the input says") {
  Falsim sim = start();
  Client client(sim.url());
  struct Case {
    const char* name;
    const char* endpoint;
    json input;
    int count, width, height;
    const char* type;
  };
  const Case cases[] = {
      {"a preset by default", "fal-ai/flux/dev", {}, 1, 1024, 768, "image/jpeg"},
      {"a preset",
       "fal-ai/flux/dev",
       {{"image_size", "portrait_16_9"}},
       1,
       576,
       1024,
       "image/jpeg"},
      {"pixels",
       "fal-ai/flux/dev",
       {{"image_size", {{"width", 123}, {"height", 45}}}, {"output_format", "png"}},
       1,
       123,
       45,
       "image/png"},
      {"one edge: the other is 512",
       "fal-ai/flux/dev",
       {{"image_size", {{"width", 100}}}},
       1,
       100,
       512,
       "image/jpeg"},
      {"a count",
       "fal-ai/fast-sdxl",
       {{"num_images", 8}, {"format", "png"}},
       8,
       1024,
       1024,
       "image/png"},
      {"a ratio", "fal-ai/nano-banana", {{"aspect_ratio", "16:9"}}, 1, 1360, 768, "image/png"},
      {"a ratio and a resolution",
       "fal-ai/nano-banana-pro",
       {{"aspect_ratio", "1:1"}, {"resolution", "2K"}},
       1,
       2048,
       2048,
       "image/png"},
      {"webp", "fal-ai/nano-banana", {{"output_format", "webp"}}, 1, 1024, 1024, "image/webp"},
      {"OpenAI's sizes",
       "fal-ai/gpt-image-1/text-to-image",
       {{"image_size", "1536x1024"}},
       1,
       1536,
       1024,
       "image/png"},
      {"OpenAI's auto",
       "fal-ai/gpt-image-1/text-to-image",
       {{"image_size", "auto"}},
       1,
       1024,
       1024,
       "image/png"},
      {"width and height",
       "falsim/exact-pixels",
       {{"width", 640}, {"height", 480}, {"num_images", 2}},
       2,
       640,
       480,
       "image/png"},
      {"a default object", "fal-ai/hidream-i1-full", {}, 1, 1024, 1024, "image/jpeg"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    json input = c.input.is_null() ? json::object() : c.input;
    input["prompt"] = "a lighthouse";
    const json result = client.finish(c.endpoint, input).parsed();
    CAPTURE(result.dump());
    REQUIRE(result["images"].size() == static_cast<std::size_t>(c.count));
    CHECK(result["images"][0]["width"] == c.width);
    CHECK(result["images"][0]["height"] == c.height);
    CHECK(result["images"][0]["content_type"] == c.type);
    CHECK(client.get(result["images"][0]["url"], {}).header("content-type") == c.type);
  }
}

TEST_CASE("a model with one image has no list of images") {
  Falsim sim = start();
  const json result =
      Client(sim.url())
          .finish("vidu/q2/text-to-image", {{"prompt", "x"}, {"aspect_ratio", "9:16"}})
          .parsed();
  CHECK(!result.contains("images"));
  CHECK(result["image"]["width"] == 768);
  CHECK(result["image"]["height"] == 1360);
}

TEST_CASE("sync_mode brings the picture in the answer, also where it is the default") {
  Falsim sim = start();
  Client client(sim.url());
  const auto url = [&](const char* endpoint, const json& input) {
    return client.finish(endpoint, input).parsed()["images"][0]["url"].get<std::string>();
  };
  CHECK(url("fal-ai/fast-lcm-diffusion", {{"prompt", "x"}})
            .starts_with("data:image/jpeg;base64,/9j/"));
  CHECK(url("fal-ai/fast-lcm-diffusion", {{"prompt", "x"}, {"sync_mode", false}})
            .starts_with(sim.url()));
  CHECK(url("fal-ai/nano-banana", {{"prompt", "a fox"}, {"sync_mode", true}})
            .starts_with("data:image/png;base64,iVBORw0KGgo"));
  CHECK(sim.stats().media_requests == 0);
}

TEST_CASE("a seed comes back, and the same seed gives the same picture") {
  Falsim sim = start();
  Client client(sim.url());
  const auto run = [&](int seed) {
    return client
        .finish("falsim/exact-pixels",
                {{"prompt", "x"}, {"seed", seed}, {"width", 256}, {"height", 256}})
        .parsed();
  };
  const auto file = [&](const json& result) {
    return client.get(result["images"][0]["url"], {}).body;
  };
  const json first = run(7);
  CHECK(first["seed"] == 7);
  CHECK(file(first) == file(run(7)));
  CHECK(file(first) != file(run(8)));
}

TEST_CASE("a flagged prompt brings a black picture") {
  Falsim sim = start();
  Client client(sim.url());
  const json result = client
                          .finish("fal-ai/flux/dev", {{"prompt", "something nsfw"},
                                                      {"image_size", "square"},
                                                      {"output_format", "png"}})
                          .parsed();
  CHECK(result["has_nsfw_concepts"] == json::array({true}));
  CHECK(result["images"][0]["width"] == 512);
  CHECK(client.get(result["images"][0]["url"], {}).body ==
        falsim::PaintingEncoder().encode({.width = 512, .height = 512, .black = true}));
}

TEST_CASE("inputs that break the document are refused in pydantic's words") {
  Falsim sim = start({.job_time = 0ms, .validation = falsim::Validation::submit});
  Client client(sim.url());
  struct Case {
    const char* name;
    const char* endpoint;
    json input;
    json location;
    const char* type;
  };
  const Case cases[] = {
      {"missing", "fal-ai/flux/dev", json::object(), {"body", "prompt"}, "missing"},
      {"null", "fal-ai/flux/dev", {{"prompt", nullptr}}, {"body", "prompt"}, "string_type"},
      {"not an object", "fal-ai/flux/dev", "text", {"body"}, "model_attributes_type"},
      {"a word for a number",
       "fal-ai/flux/dev",
       {{"prompt", "x"}, {"num_images", "2"}},
       {"body", "num_images"},
       "int_type"},
      {"a fraction",
       "fal-ai/flux/dev",
       {{"prompt", "x"}, {"num_images", 1.5}},
       {"body", "num_images"},
       "int_from_float"},
      {"too many",
       "fal-ai/flux/dev",
       {{"prompt", "x"}, {"num_images", 5}},
       {"body", "num_images"},
       "less_than_equal"},
      {"too few",
       "fal-ai/flux/dev",
       {{"prompt", "x"}, {"num_images", 0}},
       {"body", "num_images"},
       "greater_than_equal"},
      {"an unknown word",
       "fal-ai/flux/dev",
       {{"prompt", "x"}, {"output_format", "gif"}},
       {"body", "output_format"},
       "literal_error"},
      {"no boolean",
       "fal-ai/flux/dev",
       {{"prompt", "x"}, {"sync_mode", "yes"}},
       {"body", "sync_mode"},
       "bool_type"},
      {"a width of nothing",
       "fal-ai/flux/dev",
       {{"prompt", "x"}, {"image_size", {{"width", 0}}}},
       {"body", "image_size", "ImageSize", "width"},
       "greater_than"},
      {"presets for a model of ratios",
       "fal-ai/nano-banana",
       {{"prompt", "xyz"}, {"aspect_ratio", "7:4"}},
       {"body", "aspect_ratio"},
       "literal_error"},
      {"too short",
       "fal-ai/nano-banana",
       {{"prompt", "x"}},
       {"body", "prompt"},
       "string_too_short"},
      {"too long",
       "vidu/q2/text-to-image",
       {{"prompt", std::string(1501, 'x')}},
       {"body", "prompt"},
       "string_too_long"},
      {"not a multiple",
       "falsim/exact-pixels",
       {{"prompt", "x"}, {"width", 1001}},
       {"body", "width"},
       "multiple_of"},
      {"no list",
       "fal-ai/nano-banana/edit",
       {{"prompt", "xyz"}, {"image_urls", "https://a"}},
       {"body", "image_urls"},
       "list_type"},
      {"an empty list",
       "fal-ai/nano-banana/edit",
       {{"prompt", "xyz"}, {"image_urls", json::array()}},
       {"body", "image_urls"},
       "too_short"},
      {"a wrong element",
       "fal-ai/nano-banana/edit",
       {{"prompt", "xyz"}, {"image_urls", {"https://a", 1}}},
       {"body", "image_urls", 1},
       "string_type"},
      {"a missing part",
       "fal-ai/fast-sdxl",
       {{"prompt", "x"}, {"loras", {json::object()}}},
       {"body", "loras", 0, "path"},
       "missing"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Heard answer = client.post(std::string("/") + c.endpoint, c.input);
    CAPTURE(answer.body);
    REQUIRE(answer.status == 422);
    CHECK(answer.header("x-fal-billable-units") == "0");
    const json fault = answer.parsed()["detail"][0];
    CHECK(fault["loc"] == c.location);
    CHECK(fault["type"] == c.type);
    CHECK(!fault["msg"].get<std::string>().empty());
  }
  CHECK(client.post("/fal-ai/flux/dev", {{"prompt", "x"}, {"seed", nullptr}}).status == 200);
  CHECK(sim.stats().submits_refused == std::size(cases));
}

TEST_CASE("the queue takes bad input in, and refuses when the result is fetched") {
  Falsim sim = start();
  Client client(sim.url());
  const json job = client.submit("fal-ai/flux/dev", {{"prompt", "x"}, {"num_images", 9}});
  const json status = client.wait(job);
  CHECK(status["status"] == "COMPLETED");
  CHECK(!status.contains("error"));
  const Heard result = client.get(job["response_url"]);
  CHECK(result.status == 422);
  CHECK(result.header("x-fal-billable-units") == "0");
  CHECK(result.parsed()["detail"][0]["loc"] == json{"body", "num_images"});
  CHECK(sim.stats().failed == 1);
}

TEST_CASE("inputs that no document knows are taken and noticed") {
  Falsim sim = start();
  CHECK(Client(sim.url())
            .finish("fal-ai/flux/dev", {{"prompt", "x"}, {"size", "1024x1024"}})
            .status == 200);
  CHECK(sim.stats().unknown_inputs ==
        std::map<std::string, std::uint64_t>{{"fal-ai/flux/dev#size", 1}});
}

TEST_CASE("documents of a folder are served and followed") {
  const std::string folder = std::string(FALPROXY_SOURCE_DIR) + "/libfalproxy/testing/models";
  Falsim sim = start({.job_time = 0ms, .bundled_models = false, .schemas = folder});
  CHECK(sim.endpoints() == start().endpoints());
  CHECK(Client(sim.url()).finish("fal-ai/flux/dev", {{"prompt", "x"}}).status == 200);
  CHECK(!Falsim::start({.schemas = folder + "/nowhere"}).has_value());
  CHECK(!Falsim::start({.schemas = std::string(FALPROXY_SOURCE_DIR)})
             .has_value());  // CMakePresets.json is no document
}
