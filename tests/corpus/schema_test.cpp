#include "falproxy/schema.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/profile.hpp"
#include "support/payload_checker.hpp"
#include "support/shared_documents.hpp"

using falproxy::Json;
using falproxy::Medium;
using falproxy::profile::describe;
using falproxy::profile::Profile;
using falproxy::schema::analyze;
using falproxy::schema::check;
using Outputs = std::vector<falproxy::profile::Output>;
using falproxy::schema::Field;

using falproxy::profile::SizeControl;
using falproxy::schema::ModelSchema;
using nlohmann::json;
using Names = std::vector<std::string>;

using shared_documents::Document;

namespace {

// Read once; where they are absent, each test has nothing to look at.
const std::vector<Document>& documents() {
  static const std::vector<Document> all = shared_documents::read();
  return all;
}

std::vector<Document> image_documents() {
  std::vector<Document> images;
  for (const Document& document : documents()) {
    const bool of_images =
        document.category == "text-to-image" || document.category == "image-to-image";
    if (of_images) images.push_back(document);
  }
  return images;
}

// "fal-ai__flux__dev" is the document of fal-ai/flux/dev.
std::string endpoint_of(const Document& document) {
  std::string endpoint = document.name;
  for (std::size_t at = endpoint.find("__"); at != std::string::npos; at = endpoint.find("__")) {
    endpoint.replace(at, 2, "/");
  }
  return endpoint;
}

const Document* document_of(std::string_view endpoint) {
  for (const Document& document : documents()) {
    if (endpoint_of(document) == endpoint) return &document;
  }
  return nullptr;
}

// The schema of the body, followed by hand.
const json& body_schema(const Document& document) {
  const json& post = document.json.at("paths").at("/" + endpoint_of(document)).at("post");
  const std::string ref =
      post.at("requestBody").at("content").at("application/json").at("schema").at("$ref");
  return document.json.at(json::json_pointer(ref.substr(1)));
}

Names names(const std::vector<Field>& fields) {
  Names all;
  for (const Field& field : fields) all.push_back(field.name);
  return all;
}

ModelSchema analyzed(const std::string& text) {
  auto model = analyze(text);
  if (!model) FAIL(model.error().message);
  return *model;
}

Profile profiled(const ModelSchema& model) {
  return falproxy::profile::make_profile(std::make_shared<const ModelSchema>(model));
}

falproxy::profile::Summary described(const ModelSchema& model) { return describe(profiled(model)); }

falproxy::Json inputs_of(const ModelSchema& model) {
  return falproxy::profile::inputs_to_json(profiled(model));
}

}  // namespace

TEST_CASE("every document is analysed, or refused for a body that is not in it") {
  if (documents().empty()) return;
  std::size_t usable = 0;
  for (const Document& document : documents()) {
    CAPTURE(document.name);
    const auto model = analyze(document.text);
    if (model) {
      ++usable;
      CHECK(model->endpoint == endpoint_of(document));
    } else {
      CHECK(document.name.find("__openai__v1__") != std::string::npos);
      CHECK(model.error().message == "the reference leads nowhere, or in a circle");
      CHECK(model.error().field.ends_with("/post/requestBody/content/application~1json/schema"));
    }
  }
  CHECK(usable > 600);
}

TEST_CASE("every input of every image document is there, in the document's own order") {
  if (documents().empty()) return;
  for (const Document& document : image_documents()) {
    CAPTURE(document.name);
    const json& body = body_schema(document);
    const ModelSchema model = analyzed(document.text);
    CHECK(model.category == document.category);

    std::set<std::string> listed;
    for (const auto& [name, property] : body.at("properties").items()) listed.insert(name);
    const Names inputs = names(model.inputs);
    CHECK(std::set<std::string>(inputs.begin(), inputs.end()) == listed);
    CHECK(inputs.size() == listed.size());
    if (body.contains("x-fal-order-properties"))
      CHECK(json(inputs) == body["x-fal-order-properties"]);
    for (const Field& input : model.inputs) {
      CAPTURE(input.name);
      const json required = body.value("required", json::array());
      CHECK(input.required ==
            (std::find(required.begin(), required.end(), input.name) != required.end()));
      const json& property = body["properties"][input.name];
      CHECK(input.default_value.has_value() == property.contains("default"));
      CHECK(input.title == property.value("title", ""));
    }
  }
}

TEST_CASE("the order of a document's keys changes nothing") {
  if (documents().empty()) return;
  for (const Document& document : image_documents()) {
    CAPTURE(document.name);
    const ModelSchema as_written = analyzed(document.text);
    const ModelSchema sorted = analyzed(document.json.dump());
    CHECK(inputs_of(as_written) == inputs_of(sorted));
    CHECK(falproxy::schema::diff(as_written, sorted).empty());
  }
}

// What the documents give as defaults and examples, and what is near them.
TEST_CASE(
    "check() and the checker of payloads agree on the documents' own values and on wrong ones") {
  if (documents().empty()) return;
  const json others[] = {json(),
                         true,
                         0,
                         1,
                         -1,
                         3.5,
                         28.0,
                         1e9,
                         "",
                         "x",
                         "square_hd",
                         "1:1",
                         "png",
                         "auto",
                         "1",
                         json::array(),
                         json::array({"x"}),
                         json::array({1}),
                         json::object(),
                         {{"width", 512}, {"height", 512}},
                         {{"width", 0}},
                         {{"ratio", "1:1"}},
                         json::array({{{"path", "x"}}})};
  std::size_t compared = 0, fitting = 0;
  for (const Document& document : documents()) {
    const auto model = analyze(document.text);
    if (!model) continue;
    const json& properties = body_schema(document).value("properties", json::object());
    for (const auto& [name, property] : properties.items()) {
      const Field* field = model->input(name);
      REQUIRE(field != nullptr);
      // pydantic's own words for bounds are no keywords: the library heeds them, the checker does
      // not know them.
      if (property.contains("ge") || property.contains("le") || property.contains("min") ||
          property.contains("max"))
        continue;
      json values = property.value("examples", json::array());
      if (property.contains("default")) values.push_back(property["default"]);
      for (const json& other : others) values.push_back(other);
      for (const json& value : values) {
        const auto found = check(*field, *Json::parse(value.dump()), name);
        const auto report = payload_checker::check_value(document.json, property, value, name);
        ++compared;
        if (!found) ++fitting;
        if (found.has_value() == report.valid()) {
          FAIL_CHECK(fmt::format("{} {} = {}: {} | {}", document.name, name, value.dump(),
                                 found ? found->message : "fits", report.text()));
        }
      }
    }
  }
  CHECK(compared > 10'000);
  CHECK(fitting > 1'000);
}

TEST_CASE("older documents differ from today's in lines that a person can read") {
  if (documents().empty()) return;
  std::size_t pairs = 0, lines = 0;
  for (const Document& older : shared_documents::read("older")) {
    const ModelSchema before = analyzed(older.text);
    const Document* today = document_of(before.endpoint);
    if (today == nullptr) continue;
    CAPTURE(before.endpoint);
    const ModelSchema after = analyzed(today->text);
    ++pairs;
    const auto changes = falproxy::schema::diff(before, after);
    for (const std::string& line : changes) {
      CAPTURE(line);
      ++lines;
      CHECK(line.size() < 1000);
      CHECK(line.find('\'') != std::string::npos);
    }
    for (const Field& input : after.inputs) {
      if (before.input(input.name) != nullptr) continue;
      const auto told = std::ranges::find_if(changes, [&](const std::string& line) {
        return line.starts_with("added input '" + input.name + "'");
      });
      CHECK(told != changes.end());
    }
    for (const Field& input : before.inputs) {
      if (after.input(input.name) != nullptr) continue;
      const auto told = std::ranges::find_if(changes, [&](const std::string& line) {
        return line.starts_with("removed input '" + input.name + "'");
      });
      CHECK(told != changes.end());
    }
    CHECK(falproxy::schema::diff(after, after).empty());
  }
  CHECK(pairs > 10);
  CHECK(lines > 10);
}

TEST_CASE("the real endpoints that break a naive mapper") {
  if (documents().empty()) return;
  const auto model_of = [](const char* endpoint) -> std::optional<ModelSchema> {
    const Document* document = document_of(endpoint);
    if (document == nullptr) {
      MESSAGE("skipped: no document of " << std::string(endpoint));
      return std::nullopt;
    }
    return analyzed(document->text);
  };
  const auto takes = [](const ModelSchema& model, std::string_view input, const char* value) {
    REQUIRE(model.input(input) != nullptr);
    return !check(*model.input(input), *Json::parse(value), input).has_value();
  };

  SUBCASE("1: hidream-i1-full, whose result is not described") {
    if (const auto model = model_of("fal-ai/hidream-i1-full")) CHECK(model->outputs.empty());
  }
  SUBCASE("2: gpt-image-1, with OpenAI's sizes") {
    if (const auto model = model_of("fal-ai/gpt-image-1/text-to-image")) {
      CHECK(takes(*model, "image_size", R"("1536x1024")"));
      CHECK_FALSE(takes(*model, "image_size", R"("square_hd")"));
      CHECK_FALSE(takes(*model, "image_size", R"({"width": 1024, "height": 1024})"));
      CHECK_FALSE(described(*model).free_size);
    }
  }
  SUBCASE("3: image-apps-v2, with a ratio in an object and their own image names") {
    if (const auto model = model_of("fal-ai/image-apps-v2/product-holding")) {
      CHECK(takes(*model, "aspect_ratio", R"({"ratio": "4:3"})"));
      CHECK_FALSE(takes(*model, "aspect_ratio", R"("4:3")"));
      CHECK(described(*model).ratios.size() == 5);
      const Profile profile = profiled(*model);
      REQUIRE(profile.media.size() == 2);
      CHECK(profile.media[0].name == "person_image_url");
    }
  }
  SUBCASE("4: fooocus, whose ratio is pixels") {
    if (const auto model = model_of("fal-ai/fooocus")) {
      CHECK(described(*model).free_size);
      CHECK_FALSE(described(*model).requires_prompt);
      CHECK(model->input("styles")->unique_items);
    }
  }
  SUBCASE("5: seedream v4.5, with two counts and sizes of its own") {
    if (const auto model = model_of("fal-ai/bytedance/seedream/v4.5/text-to-image")) {
      CHECK(takes(*model, "image_size", R"("auto_4K")"));
      CHECK(model->input("image_size")->default_value->find("width")->as_integer() == 2048);
      CHECK(described(*model).max_n == 6);
      CHECK(model->input("max_images") != nullptr);
    }
  }
  SUBCASE("6: wan v2.6, with max_images alone") {
    if (const auto model = model_of("wan/v2.6/text-to-image")) {
      CHECK(described(*model).max_n == 5);
      CHECK(model->input("num_images") == nullptr);
    }
  }
  SUBCASE("7: fibo, which requires nothing and gives image and images") {
    if (const auto model = model_of("bria/fibo/generate")) {
      CHECK(profiled(*model).outputs.size() == 2);
      CHECK(std::ranges::none_of(model->inputs, &Field::required));
      CHECK(model->input("seed")->default_value->as_integer() == 5555);
      CHECK_FALSE(takes(*model, "guidance_scale", "3.5"));
    }
  }
  SUBCASE("8: a single image and no count") {
    for (const char* endpoint : {"bria/text-to-image/3.2", "fal-ai/sky-raccoon"}) {
      if (const auto model = model_of(endpoint)) {
        CHECK(profiled(*model).outputs == Outputs{{"image.url", Medium::image}});
        CHECK(described(*model).max_n == 1);
      }
    }
  }
  SUBCASE("9: bria base, fast and hd, whose count is four unless it is said") {
    for (const char* endpoint : {"fal-ai/bria/text-to-image/base", "fal-ai/bria/text-to-image/fast",
                                 "fal-ai/bria/text-to-image/hd"}) {
      if (const auto model = model_of(endpoint))
        CHECK(model->input("num_images")->default_value->as_integer() == 4);
    }
  }
  SUBCASE("10: flux-pro ultra, with a list of ratios beside any string") {
    if (const auto model = model_of("fal-ai/flux-pro/v1.1-ultra")) {
      CHECK(described(*model).ratios.size() == 9);
      CHECK(takes(*model, "aspect_ratio", R"("7:4")"));
    }
    if (const auto model = model_of("fal-ai/flux-pro/v1.1-ultra-finetuned")) {
      CHECK(model->input("finetune_id")->required);
      CHECK(model->input("finetune_strength")->required);
    }
  }
  SUBCASE("11: recraft v3, with styles and a short prompt") {
    if (const auto model = model_of("fal-ai/recraft/v3/text-to-image")) {
      CHECK(takes(*model, "style", R"("vector_illustration")"));
      CHECK(model->input("prompt")->max_length == 1000u);
      CHECK(model->input("num_images") == nullptr);
    }
  }
  SUBCASE("12: fast-lcm-diffusion, which gives data URIs unless told otherwise") {
    if (const auto model = model_of("fal-ai/fast-lcm-diffusion/image-to-image")) {
      CHECK(model->input("sync_mode")->default_value->as_boolean() == true);
      CHECK(described(*model).formats == Names{"jpeg", "png"});
      CHECK(model->input("output_format") == nullptr);
    }
  }
  SUBCASE("13: lora and its kin, with several schemas that end in Input") {
    if (const auto model = model_of("fal-ai/lora")) {
      CHECK(model->input("model_name")->required);
      CHECK(model->input("prompt")->required);
    }
  }
  SUBCASE("14: endpoints that stream") {
    if (const auto model = model_of("fal-ai/flux-krea-lora/stream"))
      CHECK(profiled(*model).outputs == Outputs{{"images[].url", Medium::image}});
  }
  SUBCASE("15: text-to-image that needs a picture") {
    for (const char* endpoint :
         {"fal-ai/diffusion-edge", "fal-ai/flux-subject", "fal-ai/flux-control-lora-depth"}) {
      if (const auto model = model_of(endpoint)) {
        CHECK(model->category == "text-to-image");
        CHECK(described(*model).requires_image);
      }
    }
  }
}
