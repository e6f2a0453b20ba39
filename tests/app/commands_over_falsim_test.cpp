// The commands with the real transport, over http and https, against falsim.
#include <doctest/doctest.h>

#include <falsim/falsim.hpp>
#include <sstream>
#include <string>

#include "app/folder.hpp"
#include "app/served.hpp"
#include "commands/check.hpp"
#include "commands/explain.hpp"
#include "commands/health.hpp"
#include "commands/models.hpp"
#include "commands/real_surroundings.hpp"

using falproxy::app::Command;
using falproxy::app::CommandLine;
using falproxy::app::ExitStatus;
using falproxy::testing::Folder;
using falsim::Falsim;
using falsim::Tls;

namespace {

struct Said {
  int status = 0;
  std::string out;
  std::string err;
};

using Run = int (*)(const CommandLine&, const falproxy::app::Surroundings&);

Said say(Run run, const CommandLine& line) {
  falproxy::app::RealSurroundings real;
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  falproxy::app::Surroundings surroundings = real.surroundings(in, out, err);
  surroundings.environment.clear();  // whoever runs the tests may have settings there
  const int status = run(line, surroundings);
  return {status, out.str(), err.str()};
}

std::string settings(const Falsim& sim, const Folder& folder, const std::string& keys) {
  return "CUSTOM_ACCESS_KEY=access\nAI_KEYS=" + keys + "\nSCHEMA_CACHE_DIR=" + folder.at("cache") +
         "\nSUPPORTED_MODELS=flux:fal-ai/flux/dev+fal-ai/flux/dev/image-to-image,"
         "try-on:fal-ai/image-apps-v2/virtual-try-on\n" +
         sim.env();
}

}  // namespace

TEST_CASE("check tells good keys from bad ones, over http and https, and submits nothing") {
  for (const Tls tls : {Tls::none, Tls::valid}) {
    CAPTURE(static_cast<int>(tls));
    const Folder folder;
    auto sim = Falsim::start({.tls = tls, .keys = {"good:secret"}});
    REQUIRE(sim.has_value());
    std::string text = settings(*sim, folder, "good:secret,bad:secret");
    if (tls != Tls::none) {
      text += "\nSSL_CERT_FILE=" + folder.write("authority.pem", sim->authority_pem()) + "\n";
    }
    const std::string env = folder.write("my.env", text);
    const Said said = say(falproxy::app::run_check, {.command = Command::check, .env_file = env});
    CAPTURE(said.out);
    CHECK(said.status == ExitStatus::fault);
    CHECK(said.out.find("ok     model flux (edits)") != std::string::npos);
    CHECK(said.out.find("ok     key 1 (account 1)   fal takes it") != std::string::npos);
    CHECK(said.out.find("fault  key 2 (account 2)   fal refuses it (401)") != std::string::npos);
    CHECK(said.out.find("1 fault, 0 warnings") != std::string::npos);
    const falsim::FalsimStats stats = sim->stats();
    CHECK(stats.submits == 0);
    CHECK(stats.runs == 0);
    CHECK(stats.misplaced_keys.empty());
  }
}

TEST_CASE("check says that nothing can be reached where a certificate is not to be trusted") {
  for (const Tls tls : {Tls::expired, Tls::wrong_host, Tls::self_signed}) {
    CAPTURE(static_cast<int>(tls));
    const Folder folder;
    auto sim = Falsim::start({.tls = tls});
    REQUIRE(sim.has_value());
    const std::string env =
        folder.write("my.env", settings(*sim, folder, "good:secret") + "\nSSL_CERT_FILE=" +
                                   folder.write("authority.pem", sim->authority_pem()) + "\n");
    const Said said = say(falproxy::app::run_check, {.command = Command::check, .env_file = env});
    CAPTURE(said.out);
    CHECK(said.status == ExitStatus::fault);
    CHECK(said.out.find("fault  model flux") != std::string::npos);
    CHECK(said.out.find("fal's queue cannot be reached") != std::string::npos);
    CHECK(sim->stats().requests == 0);
  }
}

TEST_CASE("models and explain work from the disk once fal is out of reach") {
  const Folder folder;
  std::string env;
  {
    auto sim = Falsim::start();
    REQUIRE(sim.has_value());
    env = folder.write("my.env", settings(*sim, folder, "good:secret"));
    CHECK(say(falproxy::app::run_models, {.command = Command::models, .env_file = env}).status ==
          0);
    CHECK(sim->stats().document_requests == 2);
  }
  const Said models = say(falproxy::app::run_models, {.command = Command::models, .env_file = env});
  CAPTURE(models.out);
  CHECK(models.status == ExitStatus::done);
  CHECK(models.out.find("fal-ai/flux/dev") != std::string::npos);
  const Said plan = say(falproxy::app::run_explain, {.command = Command::explain, .env_file = env});
  CAPTURE(plan.out);
  CHECK(plan.status == ExitStatus::done);
  CHECK(plan.out.find("\"prompt\": \"a lighthouse at dusk\"") != std::string::npos);
}

TEST_CASE("health says yes where the server answers, and no where nobody does") {
  const Folder folder;
  const falproxy::test::Served served;
  const auto ask = [&](const std::string& port) {
    const std::string env = folder.write(
        "health.env",
        "CUSTOM_ACCESS_KEY=access\nAI_KEYS=a:b\nSUPPORTED_MODELS=flux:fal-ai/flux/dev\nPORT=" +
            port + "\n");
    return say(falproxy::app::run_health, {.command = Command::health, .env_file = env});
  };
  const Said well = ask(std::to_string(served.port()));
  CHECK(well.status == ExitStatus::done);
  CHECK(well.out == "{\"status\":\"ok\"}\n");
  CHECK(ask("9").status == ExitStatus::fault);
  CHECK(ask("nine").status == ExitStatus::not_understood);
}
