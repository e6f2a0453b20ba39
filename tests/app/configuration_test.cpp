#include "configuration.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "app/folder.hpp"
#include "falproxy/options.hpp"
#include "support/model_documents.hpp"

using falproxy::app::load_configuration;
using falproxy::testing::Folder;

namespace {

constexpr const char* the_three =
    "CUSTOM_ACCESS_KEY=an-access-key-of-one\nAI_KEYS=id:secret\nSUPPORTED_MODELS=a:fal-ai/"
    "a,b:fal-ai/b+fal-ai/b/"
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

TEST_CASE(
    "proxies are read where settings are, and what is wrong with them is told with the rest") {
  const Folder folder;
  const falproxy::Url queue = falproxy::Url::parse("https://queue.fal.run/").value();
  const std::string env =
      folder.write("my.env", std::string(the_three) + "HTTPS_PROXY=http://file.test:1\n");
  SUBCASE("the file's") {
    const auto loaded = load_configuration(env, {});
    REQUIRE(loaded.has_value());
    CHECK(loaded->proxies.find(queue)->address() == "file.test:1");
  }
  SUBCASE("the environment's win") {
    const auto loaded = load_configuration(env, {{"HTTPS_PROXY", "environment.test:2"}});
    REQUIRE(loaded.has_value());
    CHECK(loaded->proxies.find(queue)->address() == "environment.test:2");
  }
  SUBCASE("a fault") {
    const auto loaded =
        load_configuration(env, {{"https_proxy", "socks5://me:hunter2@x.test"}, {"PORT", "x"}});
    REQUIRE_FALSE(loaded.has_value());
    REQUIRE(loaded.error().size() == 2);
    CHECK(to_string(loaded.error()[1])
              .starts_with("environment: https_proxy: names a proxy of a kind"));
    CHECK(to_string(loaded.error()[1]).find("hunter2") == std::string::npos);
  }
  SUBCASE("a fault in the file") {
    const auto loaded = load_configuration(
        folder.write("bad.env", std::string(the_three) + "ALL_PROXY=https://x\n"), {});
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().front().line == 4);
    CHECK(loaded.error().front().variable == "ALL_PROXY");
  }
  SUBCASE("an entry of NO_PROXY that means nothing") {
    const auto loaded = load_configuration(env, {{"NO_PROXY", "fal.media,10.0.0.0/99"}});
    REQUIRE(loaded.has_value());
    REQUIRE(loaded->warnings.size() == 1);
    CHECK(to_string(loaded->warnings.front()) ==
          "environment: NO_PROXY: entry 2 ('10.0.0.0/99') means nothing and is ignored; write a "
          "host, an address, address/bits or *");
  }
}

TEST_CASE("without --env the file need not be there, with it it must") {
  const falproxy::app::Environment environment{{"CUSTOM_ACCESS_KEY", "an-access-key-of-one"},
                                               {"AI_KEYS", "k"},
                                               {"SUPPORTED_MODELS", "a:b/c"}};
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
      folder.write(
          ".env",
          "CUSTOM_ACCESS_KEY=an-access-key-of-one\nAI_KEYS=id:secret\nSUPORTED_MODELS=a:b/c\n"),
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
  const auto runner = falproxy::runner_options(settings);
  CHECK(runner.fal == falproxy::fal::Addresses{"http://q", "http://r", "http://s", "http://t"});
  CHECK(runner.media_hosts == *falproxy::fal::MediaHosts::parse(settings.fal_media_hosts));
  CHECK(runner.completion == falproxy::Completion::poll);
  CHECK(runner.default_model == "m");
  CHECK(runner.plan.max_images == 3);
  CHECK(falproxy::request_limits(settings).max_upload_bytes == 7);
  CHECK(falproxy::key_ring_options(settings).max_jobs_per_account == 5);
  CHECK(falproxy::catalog_options(settings).ttl == std::chrono::hours(2));
}

TEST_CASE(
    "keys are read from the files that NAME_FILE names, without the line break at their end") {
  const Folder folder;
  const std::string models = "SUPPORTED_MODELS=a:b/c\n";
  const std::string ai = folder.write("ai", "id:secret,id2:secret2\nid3:secret3\r\n\n");
  const std::string custom = folder.write("custom", " not \"trimmed\" inside-a-key \n");
  const std::string access = folder.write("access", "'web=web-key-of-one-client'\n");
  const std::string admin = folder.write("admin", "admin-key-of-the-one");
  const auto loaded = load_configuration(
      folder.write("my.env", models + "AI_KEYS_FILE=" + ai + "\nACCESS_KEYS_FILE=" + access),
      {{"ADMIN_KEY_FILE", " " + admin + " "}});
  REQUIRE(loaded.has_value());
  CHECK(loaded->settings.ai_keys.size() == 3);
  CHECK(loaded->settings.ai_keys[2][0].reveal() == "id3:secret3");
  REQUIRE(loaded->settings.access_keys.size() == 1);
  CHECK(loaded->settings.access_keys[0].key.reveal() == "web-key-of-one-client");
  CHECK(loaded->settings.admin_key.reveal() == "admin-key-of-the-one");
  REQUIRE(loaded->warnings.size() == 1);
  CHECK(to_string(loaded->warnings[0]) ==
        access +
            ": ACCESS_KEYS: stood in quotes, which were taken off; write the value without "
            "quotes");
  // What is wrong with such a value is told with the file's name.
  const auto odd = load_configuration(folder.write("odd.env", models + "AI_KEYS=a:b\n"),
                                      {{"CUSTOM_ACCESS_KEY_FILE", custom}});
  REQUIRE_FALSE(odd.has_value());
  REQUIRE(odd.error().size() == 1);
  CHECK(odd.error()[0].file == custom);
  CHECK(odd.error()[0].variable == "CUSTOM_ACCESS_KEY");
}

TEST_CASE("a key and a file for it beside it are a fault, but the environment wins over the file") {
  const Folder folder;
  const std::string rest = "SUPPORTED_MODELS=a:b/c\nCUSTOM_ACCESS_KEY=an-access-key-of-one\n";
  const std::string keys = folder.write("keys", "file:secret\n");
  const auto faults = [&](const std::string& text, const falproxy::app::Environment& environment) {
    const auto loaded = load_configuration(folder.write("my.env", rest + text), environment);
    std::vector<std::string> all;
    if (!loaded)
      for (const auto& fault : loaded.error()) all.push_back(to_string(fault));
    return all;
  };
  const std::string both = "AI_KEYS_FILE: is given beside AI_KEYS; leave one of the two out";
  CHECK(faults("", {{"AI_KEYS", "a:b"}, {"AI_KEYS_FILE", keys}}) ==
        std::vector<std::string>{"environment: " + both});
  CHECK(faults("AI_KEYS=a:b\nAI_KEYS_FILE=" + keys, {}) ==
        std::vector<std::string>{folder.at("my.env") + ":4: " + both});

  const auto key_of = [&](const std::string& text, const falproxy::app::Environment& environment) {
    const auto loaded = load_configuration(folder.write("my.env", rest + text), environment);
    REQUIRE(loaded.has_value());
    return std::string(loaded->settings.ai_keys.at(0).at(0).reveal());
  };
  CHECK(key_of("AI_KEYS=a:b", {{"AI_KEYS_FILE", keys}}) == "file:secret");
  CHECK(key_of("AI_KEYS_FILE=" + keys, {{"AI_KEYS", "a:b"}}) == "a:b");
  CHECK(key_of("AI_KEYS_FILE=" + keys, {{"AI_KEYS", " "}}) == "file:secret");
}

TEST_CASE("a file of keys that cannot be read is told once, beside the other faults") {
  const Folder folder;
  const auto loaded = load_configuration(
      folder.write("my.env", "AI_KEYS_FILE=" + folder.at("none") + "\nSUPPORTED_MODELS=a:b/c\n"),
      {});
  REQUIRE_FALSE(loaded.has_value());
  std::vector<std::string> variables;
  for (const auto& fault : loaded.error()) variables.push_back(fault.variable);
  CHECK(variables == std::vector<std::string>{"CUSTOM_ACCESS_KEY", "AI_KEYS_FILE"});
  CHECK(to_string(loaded.error()[1]).find("No such file or directory") != std::string::npos);
  const auto empty = load_configuration(
      folder.write("my.env", "AI_KEYS_FILE=" + folder.write("empty", "\n") +
                                 "\nSUPPORTED_MODELS=a:b/c\nCUSTOM_ACCESS_KEY=12345678\n"),
      {});
  REQUIRE_FALSE(empty.has_value());
  CHECK(empty.error()[0].message == "is blank");
  CHECK(empty.error()[0].file == folder.at("empty"));
}

TEST_CASE("a service link and quotes of the environment are told, and what the file says counts") {
  const Folder folder;
  const auto loaded =
      load_configuration(folder.write("my.env", std::string(the_three) + "METRICS_PORT=9100\n"),
                         {{"METRICS_PORT", "tcp://10.0.0.1:9090"}, {"AI_KEYS", "'a:b,c:d'"}});
  REQUIRE(loaded.has_value());
  CHECK(loaded->settings.metrics_port == 9100);
  CHECK(loaded->settings.ai_keys.size() == 2);
  std::vector<std::string> told;
  for (const auto& warning : loaded->warnings) told.push_back(warning.variable);
  CHECK(told == std::vector<std::string>{"AI_KEYS", "METRICS_PORT"});
}
