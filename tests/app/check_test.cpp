#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "app/fake_fal.hpp"
#include "commands/commands.hpp"
#include "falproxy/json.hpp"

using falproxy::Json;
using falproxy::app::Command;
using falproxy::app::Environment;
using falproxy::app::run_check;
using falproxy::testing::accepted_key;
using falproxy::testing::answer;
using falproxy::testing::document_of;
using falproxy::testing::FakeFal;

namespace {

struct Outcome {
  int status = 0;
  std::string text;
  Json json;
};

// The same check as text and as JSON.
Outcome check(FakeFal& fal, const std::string& env_text) {
  const std::string env = fal.folder.write("my.env", env_text);
  Outcome outcome;
  outcome.status = run_check({.command = Command::check, .env_file = env}, fal.surroundings({}));
  outcome.text = fal.out.str();
  fal.out.str("");
  const int again =
      run_check({.command = Command::check, .env_file = env, .json = true}, fal.surroundings({}));
  CHECK(again == outcome.status);
  const auto json = Json::parse(fal.out.str());
  REQUIRE(json.has_value());
  outcome.json = *json;
  CHECK(outcome.json.find("ok")->as_boolean() == (outcome.status == 0));
  CHECK(outcome.text.find("s3cret") == std::string::npos);
  CHECK(outcome.json.dump().find("s3cret") == std::string::npos);
  return outcome;
}

// "state: finding" of each row about `what`.
std::string found_on(const Outcome& outcome, const std::string& what) {
  std::string found;
  const Json rows = *outcome.json.find("findings");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows.at(i).find("what")->as_string() != what) continue;
    if (!found.empty()) found += " | ";
    found += std::string(*rows.at(i).find("state")->as_string()) + ": " +
             std::string(*rows.at(i).find("finding")->as_string());
    if (rows.at(i).find("state")->as_string() == "fault")
      CHECK(rows.at(i).find("mend")->as_string() != "");
  }
  return found;
}

constexpr const char* needed =
    "CUSTOM_ACCESS_KEY=access-key-of-s3cret\nAI_KEYS=k1:s3cret\nSUPPORTED_MODELS=painter:example/"
    "painter\nSTATE_DIR=none\n";

FakeFal& good(FakeFal& fal) {
  fal.documents["example/painter"] =
      document_of("example/painter", falproxy::testing::painter_inputs);
  fal.keys["k1:s3cret"] = accepted_key;
  return fal;
}

}  // namespace

TEST_CASE("check finds nothing wrong where all is well, and pays for nothing") {
  FakeFal fal;
  const Outcome outcome = check(good(fal), needed);
  CAPTURE(outcome.text);
  CHECK(outcome.status == 0);
  CHECK(found_on(outcome, "settings") == "ok: 1 model, 1 fal account, 1 access key");
  CHECK(found_on(outcome, "model painter") ==
        "ok: example/painter: text-to-image, any size, up to 4 images a job");
  CHECK(found_on(outcome, "key 1 (account 1)") == "ok: fal takes it");
  CHECK(outcome.text.find("0 faults, 0 warnings") != std::string::npos);
  for (const std::string& request : fal.requests()) CHECK(request.starts_with("GET "));
}

TEST_CASE("check lists every fault of the settings with its mend, and asks fal nothing") {
  FakeFal fal;
  const Outcome outcome = check(fal, "PORT=x\nSUPPORTED_MODELS=a\nAI_KEYS=k1:s3cret\n");
  CAPTURE(outcome.text);
  CHECK(outcome.status == 1);
  CHECK(found_on(outcome, "settings").find("my.env:1: PORT: is not a whole number | fault: ") !=
        std::string::npos);
  CHECK(outcome.text.find("-> write a number from 0 to 65535") != std::string::npos);
  CHECK(outcome.text.find("3 faults") != std::string::npos);
  CHECK(fal.requests().empty());
}

TEST_CASE("check warns of what is odd in the file, without failing for it") {
  FakeFal fal;
  const Outcome outcome = check(good(fal), std::string(needed) + "SUPORTED_MODELS=x\nthis line\n");
  CHECK(outcome.status == 0);
  CHECK(outcome.text.find("did you mean SUPPORTED_MODELS?") != std::string::npos);
  CHECK(outcome.text.find("0 faults, 2 warnings") != std::string::npos);
}

TEST_CASE("check says which document cannot be had, and looks at the others all the same") {
  FakeFal fal;
  const Outcome outcome = check(good(fal), std::string(needed) +
                                               "SUPPORTED_MODELS=gone:example/gone,painter:example/"
                                               "painter+example/gone/edit,odd:example/odd");
  CAPTURE(outcome.text);
  CHECK(outcome.status == 1);
  CHECK(found_on(outcome, "model gone")
            .starts_with("fault: The document of 'example/gone' cannot be had"));
  CHECK(found_on(outcome, "model painter").starts_with("ok: "));
  CHECK(found_on(outcome, "model painter (edits)").starts_with("fault: "));
  CHECK(found_on(outcome, "key 1 (account 1)") == "ok: fal takes it");
}

TEST_CASE("check judges what each document promises") {
  FakeFal fal;
  good(fal).documents["example/editor"] =
      document_of("example/editor", falproxy::testing::editor_inputs);
  fal.documents["example/video"] = document_of("example/video", falproxy::testing::painter_inputs,
                                               "\"prompt\"", R"("video": {"type": "object"})");
  const Outcome outcome = check(fal, std::string(needed) +
                                         "SUPPORTED_MODELS=a:example/painter+example/"
                                         "editor,b:example/editor+example/painter,c:example/video");
  CAPTURE(outcome.text);
  CHECK(outcome.status == 1);
  CHECK(found_on(outcome, "model a (edits)").starts_with("ok: "));
  CHECK(found_on(outcome, "model b (edits)").find("fault: its document takes no image") !=
        std::string::npos);
  CHECK(found_on(outcome, "model c").find("makes video") != std::string::npos);
}

TEST_CASE("check holds defaults and overrides against the documents") {
  FakeFal fal;
  good(fal).documents["example/editor"] =
      document_of("example/editor", falproxy::testing::editor_inputs);
  const std::string models = fal.folder.write(
      "models.json",
      R"({"painter": {"defaults": {"guidance_scale": 99, "strength": 0.5, "guidence_scale": 1}, "overrides": {"output_format": "gif"}}})");
  const Outcome outcome = check(
      fal, std::string(needed) +
               "SUPPORTED_MODELS=painter:example/painter+example/editor\nMODELS_FILE=" + models +
               "\n");
  CAPTURE(outcome.text);
  CHECK(outcome.status == 1);
  const std::string found = found_on(outcome, "model painter");
  CHECK(found.find("fault: defaults: ") != std::string::npos);
  CHECK(found.find("20") != std::string::npos);
  CHECK(found.find("warning: defaults: the model has no input 'guidence_scale'") !=
        std::string::npos);
  CHECK(found.find("fault: overrides: ") != std::string::npos);
  CHECK(found.find("overrides", found.find("overrides") + 1) == std::string::npos);  // said once
  CHECK(found.find("strength") == std::string::npos);  // the edit endpoint has it
  CHECK(outcome.text.find("did you mean 'guidance_scale'?") != std::string::npos);
}

TEST_CASE("check warns if a model's pictures are not public") {
  FakeFal fal;
  for (const std::string access : {"hide", "forbid", "allow"}) {
    const std::string models = fal.folder.write(
        "models.json", R"({"painter": {"fal": {"output_access": ")" + access + R"("}}})");
    const Outcome outcome = check(good(fal), std::string(needed) + "MODELS_FILE=" + models + "\n");
    CHECK(outcome.status == 0);
    const std::string found = found_on(outcome, "model painter");
    CHECK((found.find("warning: output_access: ") != std::string::npos) == (access != "allow"));
    fal.out.str("");
  }
}

TEST_CASE("check tells what fal says of each key, without the key and without fal's words") {
  FakeFal fal;
  good(fal);
  fal.keys["k2:s3cret"] = answer(401, R"({"detail":"No user found for Key ID and Secret s3cret"})");
  fal.keys["k3:s3cret"] =
      answer(403, R"({"detail":"User is locked. Reason: Exhausted balance. s3cret"})");
  fal.keys["k4:s3cret"] = answer(403, R"({"detail":"Forbidden"})");
  fal.keys["k5:s3cret"] = answer(429, R"({"detail":"Reached concurrent requests limit of 20"})");
  fal.keys["k6:s3cret"] = answer(500, "<html>");
  fal.keys["k7:s3cret"] = falproxy::testing::broken(falproxy::TransportFault::unreachable);
  const Outcome outcome = check(
      fal, std::string(needed) +
               "AI_KEYS=k1:s3cret|k2:s3cret,k3:s3cret,k4:s3cret,k5:s3cret,k6:s3cret,k7:s3cret");
  CAPTURE(outcome.text);
  CHECK(outcome.status == 1);
  CHECK(found_on(outcome, "key 1 (account 1)") == "ok: fal takes it");
  CHECK(found_on(outcome, "key 2 (account 1)") == "fault: fal refuses it (401)");
  CHECK(found_on(outcome, "key 3 (account 2)") ==
        "fault: its account is locked or without balance (403)");
  CHECK(found_on(outcome, "key 4 (account 3)").starts_with("fault: fal forbids it"));
  CHECK(found_on(outcome, "key 5 (account 4)").starts_with("warning: fal is busy"));
  CHECK(found_on(outcome, "key 6 (account 5)").starts_with("warning: fal answered 500"));
  CHECK(found_on(outcome, "key 7 (account 6)").starts_with("fault: fal's queue cannot be reached"));
  CHECK(outcome.text.find("Exhausted") == std::string::npos);
}

TEST_CASE("check does not call a key good where fal answers a made-up key alike") {
  FakeFal fal;
  good(fal).other_keys = accepted_key;
  const Outcome outcome = check(fal, needed);
  CHECK(outcome.status == 0);
  CHECK(found_on(outcome, "key 1 (account 1)")
            .starts_with("warning: fal answers a made-up key alike"));
}

TEST_CASE("check sends keys to the configured queue only") {
  FakeFal fal;
  (void)check(good(fal), std::string(needed) + "FAL_QUEUE_URL=http://127.0.0.1:1234\n");
  bool asked = false;
  for (const std::string& request : fal.requests()) {
    if (request.find("endpoint_id=") != std::string::npos) continue;
    asked = true;
    CHECK(request ==
          "GET "
          "http://127.0.0.1:1234/example/painter/requests/00000000-0000-4000-8000-000000000000/"
          "status");
  }
  CHECK(asked);
}

TEST_CASE("check names certificates that cannot be read") {
  FakeFal fal;
  auto surroundings = good(fal).surroundings({});
  surroundings.transport =
      [](const falproxy::Settings&,
         const falproxy::Proxies&) -> falproxy::Result<std::unique_ptr<falproxy::Transport>> {
    return falproxy::Error{falproxy::ErrorKind::invalid_settings, "ca.pem holds no certificate"};
  };
  CHECK(run_check({.command = Command::check, .env_file = fal.folder.write("my.env", needed)},
                  surroundings) == 1);
  CHECK(fal.out.str().find("SSL_CERT_FILE") != std::string::npos);
}

TEST_CASE("check says where runs are noted, and makes no folder for it") {
  FakeFal fal;
  CHECK(found_on(check(good(fal), needed), "state") == "ok: runs are noted in memory only");
  const std::string folder = fal.folder.at("not/there/yet");
  const std::string line = "STATE_DIR=" + folder + "\n";
  CHECK(found_on(check(fal, needed + line), "state") == "ok: runs are noted in " + folder);
  CHECK_FALSE(std::filesystem::exists(fal.folder.at("not")));
  std::filesystem::create_directories(folder);
  CHECK(found_on(check(fal, needed + line), "state") == "ok: runs are noted in " + folder);
  CHECK(std::filesystem::is_empty(folder));
}

TEST_CASE("check warns where runs cannot be noted, and it is a fault where they must be") {
  FakeFal fal;
  const std::string file = fal.folder.write("a file", "");
  std::string line;
  std::string finding;
  SUBCASE("a file is in the way") {
    line = "STATE_DIR=\"" + file + "/state\"\n";
    finding = "runs cannot be noted in " + file + "/state: " + file + " is no folder";
  }
  SUBCASE("there is no home") {
    line = "STATE_DIR=\n";
    finding = "there is no home folder for it";
  }
  SUBCASE("a part of its name is too long") {
    line = "STATE_DIR=" + fal.folder.at(std::string(300, 'x')) + "\n";
    finding = "runs cannot be noted in " + fal.folder.at(std::string(300, 'x')) + ": ";
  }
  const Outcome outcome = check(good(fal), needed + line);
  CHECK(outcome.status == 0);
  CAPTURE(outcome.text);
  CHECK(found_on(outcome, "state").starts_with("warning: " + finding));
  CHECK(outcome.text.find("STATE_DIR=none") != std::string::npos);
  const Outcome required = check(fal, needed + line + "REQUIRE_STATE=true\n");
  CHECK(required.status == 1);
  CHECK(found_on(required, "state").starts_with("fault: " + finding));
}
