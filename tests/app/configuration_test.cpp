#include "configuration.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "app/folder.hpp"
#include "support/model_documents.hpp"

using falproxy::app::load_configuration;
using falproxy::testing::Folder;

namespace {

constexpr const char* the_three =
    "CUSTOM_ACCESS_KEY=access\nAI_KEYS=id:secret\nSUPPORTED_MODELS=a:fal-ai/a,b:fal-ai/b+fal-ai/b/"
    "edit\n";

}  // namespace

TEST_CASE("models, their settings and pinned documents are brought together") {
  const Folder folder;
  const std::string models = folder.write(
      "conf/models.json",
      R"({"a": {"edit": "fal-ai/a/edit", "schema": "docs/a.json"}, "b": {"mask": "black"}})");
  const std::string document = falproxy::testing::model_document("fal-ai/a");
  folder.write("conf/docs/a.json", document);
  const std::string env = folder.write(
      "my.env", std::string(the_three) + "MODELS_FILE=" + models + "\nSUPORTED_MODELS=x\n");
  const auto loaded = load_configuration(env, {{"PORT", "99"}});
  REQUIRE(loaded.has_value());
  CHECK(loaded->settings.port == 99);
  REQUIRE(loaded->models.size() == 2);
  CHECK(loaded->models[0].name == "a");
  CHECK(loaded->models[0].edit_endpoint->str() == "fal-ai/a/edit");
  CHECK(loaded->models[1].edit_endpoint->str() == "fal-ai/b/edit");
  CHECK(loaded->models[1].settings.mask == falproxy::MaskConvention::black);
  CHECK(loaded->pinned.at("a") == document);
  REQUIRE(loaded->warnings.size() == 1);
  CHECK(loaded->warnings.front().line == 5);
}

TEST_CASE("a pinned document of another endpoint is warned about") {
  const Folder folder;
  folder.write("other.json", falproxy::testing::model_document("fal-ai/other"));
  const std::string models = folder.write("models.json", R"({"a": {"schema": "other.json"}})");
  const auto loaded = load_configuration(
      folder.write("my.env", std::string(the_three) + "MODELS_FILE=" + models), {});
  REQUIRE(loaded.has_value());
  REQUIRE(loaded->warnings.size() == 1);
  CHECK(loaded->warnings.front().variable == "a.schema");
  CHECK(loaded->warnings.front().message ==
        "is the document of fal-ai/other, and jobs go to fal-ai/a");
}

TEST_CASE("without --env the file need not be there, with it it must") {
  const falproxy::app::Environment environment{
      {"CUSTOM_ACCESS_KEY", "k"}, {"AI_KEYS", "k"}, {"SUPPORTED_MODELS", "a:b/c"}};
  const Folder folder;
  const auto missing = load_configuration(folder.at("no.env"), environment);
  REQUIRE_FALSE(missing.has_value());
  REQUIRE(missing.error().size() == 1);
  CHECK(
      to_string(missing.error().front()) ==
      folder.at("no.env") + ": '" + folder.at("no.env") +
          "' cannot be read: No such file or directory; name a file that can be read: --env FILE");
  CHECK_FALSE(load_configuration(folder.at("."), environment).has_value());
}

TEST_CASE("the faults of the models file are listed beside those of the settings") {
  const Folder folder;
  const std::string models = folder.write("models.json", R"({"a": {"colour": "red"}})");
  const std::string env = folder.write(".env", "PORT=high\nMODELS_FILE=" + models + "\n");
  const auto loaded = load_configuration(env, {});
  REQUIRE_FALSE(loaded.has_value());
  std::vector<std::string> variables;
  for (const auto& fault : loaded.error()) variables.push_back(fault.variable);
  CHECK(std::ranges::count(variables, "PORT") == 1);
  CHECK(std::ranges::count(variables, "AI_KEYS") == 1);
  CHECK(std::ranges::count(variables, "a.colour") == 1);
}

TEST_CASE("a models file or a document that cannot be read is a fault with its place") {
  const Folder folder;
  const std::string env =
      folder.write(".env", std::string(the_three) + "MODELS_FILE=" + folder.at("no.json") + "\n");
  auto loaded = load_configuration(env, {});
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().front().file == env);
  CHECK(loaded.error().front().line == 4);
  CHECK(loaded.error().front().variable == "MODELS_FILE");

  folder.write("no.json", R"({"a": {"schema": "gone.json"}})");
  loaded = load_configuration(env, {});
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().front().file == folder.at("no.json"));
  CHECK(loaded.error().front().variable == "a.schema");

  folder.write("no.json", R"({"a": {"schema": "docs/broken.json"}})");
  folder.write("docs/broken.json", R"({"openapi": "3.0.4"})");
  loaded = load_configuration(env, {});
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().front().file == folder.at("docs/broken.json"));
  CHECK(loaded.error().front().variable == "a.schema");
  CHECK(loaded.error().front().message.find("paths") != std::string::npos);

  folder.write("no.json", R"({"c": {}})");
  loaded = load_configuration(env, {});
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().front().variable == "c");
}

TEST_CASE("where settings are wrong, what looks mistyped is told with them") {
  const Folder folder;
  const auto loaded = load_configuration(
      folder.write(".env", "CUSTOM_ACCESS_KEY=access\nAI_KEYS=id:secret\nSUPORTED_MODELS=a:b/c\n"),
      {});
  REQUIRE_FALSE(loaded.has_value());
  REQUIRE(loaded.error().size() == 2);
  CHECK(loaded.error()[0].variable == "SUPPORTED_MODELS");
  CHECK(to_string(loaded.error()[1]).find("did you mean SUPPORTED_MODELS?") != std::string::npos);
}

TEST_CASE("every setting that a room has an option for reaches it") {
  falproxy::Settings settings;
  settings.fal_queue_url = "http://q";
  settings.fal_run_url = "http://r";
  settings.fal_schema_url = "http://s";
  settings.fal_rest_url = "http://t";
  settings.completion = falproxy::Completion::poll;
  settings.default_model = "m";
  settings.max_images_per_request = 3;
  settings.max_upload_bytes = 7;
  settings.max_jobs_per_account = 5;
  settings.schema_ttl = std::chrono::hours(2);
  const auto gateway = falproxy::app::gateway_options(settings);
  CHECK(gateway.fal == falproxy::fal::Addresses{"http://q", "http://r", "http://s", "http://t"});
  CHECK(gateway.media_hosts == *falproxy::fal::MediaHosts::parse(settings.fal_media_hosts));
  CHECK(gateway.completion == falproxy::Completion::poll);
  CHECK(gateway.default_model == "m");
  CHECK(gateway.translate.max_images == 3);
  CHECK(falproxy::app::request_limits(settings).max_upload_bytes == 7);
  CHECK(falproxy::app::key_ring_options(settings).max_jobs_per_account == 5);
  CHECK(falproxy::app::catalog_options(settings).ttl == std::chrono::hours(2));
}
