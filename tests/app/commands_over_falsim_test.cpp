// The commands with the real transport, over http and https, against falsim.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <falsim/falsim.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "app/folder.hpp"
#include "app/served.hpp"
#include "commands/commands.hpp"
#include "commands/surroundings.hpp"

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
  return "CUSTOM_ACCESS_KEY=an-access-key-of-one\nAI_KEYS=" + keys +
         "\nSTATE_DIR=none\nSCHEMA_CACHE_DIR=" + folder.at("cache") +
         "\nSUPPORTED_MODELS=flux:fal-ai/flux/dev+fal-ai/flux/dev/image-to-image,"
         "try-on:fal-ai/image-apps-v2/virtual-try-on\n" +
         sim.env();
}

}  // namespace

TEST_CASE("check tells good keys from bad ones, over http and https, and submits nothing") {
  for (const Tls tls : {Tls::none, Tls::valid}) {
    CAPTURE(static_cast<int>(tls));
    const Folder folder;
    auto sim = Falsim::start({.keys = {"good:secret"}}, {.tls = tls});
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
    auto sim = Falsim::start({}, {.tls = tls});
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

namespace {

bool can_listen_on(const in6_addr& address) {
  const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 place{};
  place.sin6_family = AF_INET6;
  place.sin6_addr = address;
  const bool can =
      fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0;
  if (fd >= 0) ::close(fd);
  return can;
}

Said ask_health(const Folder& folder, const std::string& host, const std::string& port) {
  const std::string env = folder.write(
      "health.env",
      "CUSTOM_ACCESS_KEY=an-access-key-of-one\nAI_KEYS=a:b\nSUPPORTED_MODELS=flux:fal-ai/flux/dev\n"
      "HOST=" +
          host + "\nPORT=" + port + "\n");
  return say(falproxy::app::run_health, {.command = Command::health, .env_file = env});
}

}  // namespace

TEST_CASE("health says yes where the server answers, and no where nobody does") {
  const Folder folder;
  const falproxy::test::Served served;
  const Said well = ask_health(folder, "0.0.0.0", std::to_string(served.port()));
  CHECK(well.status == ExitStatus::done);
  CHECK(well.out == "{\"status\":\"ok\"}\n");
  CHECK(ask_health(folder, "0.0.0.0", "9").status == ExitStatus::fault);
  CHECK(ask_health(folder, "0.0.0.0", "nine").status == ExitStatus::not_understood);
}

TEST_CASE("usage shows what was spent as a table, or as the server tells it") {
  const Folder folder;
  const falproxy::test::Served served;
  REQUIRE(served.post("/v1/images/generations", falproxy::test::lighthouse).status == 200);
  const std::string env = folder.write(
      "usage.env",
      "CUSTOM_ACCESS_KEY=" + std::string(falproxy::test::access_key) +
          "\nAI_KEYS=a:b\nSUPPORTED_MODELS=flux:fal-ai/flux/dev\nHOST=127.0.0.1\nPORT=" +
          std::to_string(served.port()) + "\n");
  const Said table =
      say(falproxy::app::run_usage, {.command = Command::usage, .env_file = env, .by = "model"});
  CHECK(table.status == ExitStatus::done);
  CHECK(table.out.find("requests") != std::string::npos);
  CHECK(table.out.find("flux") != std::string::npos);
  const Said json =
      say(falproxy::app::run_usage, {.command = Command::usage, .env_file = env, .json = true});
  CHECK(json.out.starts_with(R"({"object":"list","data":[{"day":)"));
  const Said wrong =
      say(falproxy::app::run_usage, {.command = Command::usage, .env_file = env, .by = "cat"});
  CHECK(wrong.status == ExitStatus::fault);
  CHECK(wrong.err.find("group_by") != std::string::npos);
}

TEST_CASE("a server that listens everywhere is found by health, and its log names the address") {
  const Folder folder;
  struct Case {
    std::string host;
    std::string named;
    bool possible = true;
  };
  const bool ipv6 = can_listen_on(in6addr_any);
  for (const Case& c :
       {Case{"0.0.0.0", "0.0.0.0"}, Case{"*", ipv6 ? "[::]" : "0.0.0.0"}, Case{"::", "[::]", ipv6},
        Case{"[::]", "[::]", ipv6}, Case{"[::1]", "[::1]", can_listen_on(in6addr_loopback)}}) {
    if (!c.possible) {
      MESSAGE("not tried: this machine has no " << c.host);
      continue;
    }
    CAPTURE(c.host);
    const falproxy::test::Served served({{"HOST", c.host}});
    const std::string port = std::to_string(served.port());
    const Said asked = ask_health(folder, c.host, port);
    CAPTURE(asked.err);
    CHECK(asked.status == ExitStatus::done);
    // IPv4 is served beside IPv6.
    if (c.host != "[::1]") CHECK(served.get("/health").status == 200);
    const std::string line = "listening on http://" + c.named + ":" + port + "\n";
    for (int i = 0; i < 1000 && served.log().find(line) == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(served.log().find(line) != std::string::npos);
  }
}

TEST_CASE("a host that is no address of this machine is told as such") {
  const Folder folder;
  for (const std::string host : {"no-such-host.invalid", "192.0.2.1"}) {
    auto loaded = falproxy::app::load_configuration(
        folder.write("my.env",
                     "CUSTOM_ACCESS_KEY=an-access-key-of-one\nAI_KEYS=a:b\nSUPPORTED_MODELS=a:b/c\n"
                     "PORT=0\nSCHEMA_CACHE_DIR=none\nSTATE_DIR=none\nHOST=" +
                         host),
        {});
    REQUIRE(loaded.has_value());
    const auto created = falproxy::app::Service::create(std::move(loaded).value(),
                                                        {.write_log = [](std::string_view) {}});
    REQUIRE_FALSE(created.has_value());
    CAPTURE(created.error().message);
    CHECK(created.error().field == "HOST");
    CHECK(created.error().message.find("No such file") == std::string::npos);
    CHECK(created.error().message.find("such as 0.0.0.0") != std::string::npos);
  }
}
