// How the process ends: within SHUTDOWN_GRACE_SECONDS and five seconds, whatever hangs.
#include <doctest/doctest.h>

#include <csignal>
#include <string>

#include "program.hpp"
#include "raw_client.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using falsim::FalsimStats;
using namespace test;

const std::string generations_path = "/v1/images/generations";
constexpr Milliseconds hours{10'000'000};
// The grace of one second and the five, and what a busy machine adds.
constexpr Milliseconds law{9'000};

falsim::Falsim started(falsim::FalsimOptions options, std::optional<falsim::Fault> fault = {}) {
  auto sim = falsim::Falsim::start(std::move(options));
  REQUIRE(sim.has_value());
  if (fault) sim->add_fault(*fault);
  return std::move(sim).value();
}

void hang_and_end(const falsim::Falsim& sim, const std::function<bool(const FalsimStats&)>& hangs,
                  const std::string& completion = "stream") {
  Program program(sim, {{"SHUTDOWN_GRACE_SECONDS", "1"}, {"FAL_COMPLETION", completion}});
  RawClient client(program.port());
  client.send(test::post(generations_path, lighthouse, key_field()));
  REQUIRE(sim.wait_for(hangs));
  program.signal(SIGTERM);
  CHECK(program.wait(law) == 0);
}

}  // namespace

TEST_CASE("the process ends in time while fal hangs on a submit") {
  const falsim::Falsim sim =
      started(Served::quick(),
              falsim::Fault{.name = "hangs", .step = falsim::Step::submit, .delay = hours});
  hang_and_end(sim, [](const FalsimStats& s) { return s.faults.contains("hangs"); });
}

TEST_CASE("the process ends in time while fal hangs on a cancel") {
  const falsim::Falsim sim =
      started({.job_time = hours},
              falsim::Fault{.name = "hangs", .step = falsim::Step::cancel, .delay = hours});
  hang_and_end(sim, [](const FalsimStats& s) { return s.in_progress == 1; });
}

TEST_CASE("the process ends in time while fal's storage, documents and pictures hang") {
  for (const falsim::Step step : {falsim::Step::document, falsim::Step::result,
                                  falsim::Step::status, falsim::Step::status_stream}) {
    const falsim::Falsim sim =
        started(Served::quick(), falsim::Fault{.name = "hangs", .step = step, .delay = hours});
    hang_and_end(
        sim, [](const FalsimStats& s) { return s.faults.contains("hangs"); },
        step == falsim::Step::status ? "poll" : "stream");
  }
}

TEST_CASE("a service that is destroyed while fal keeps a result back ends by itself") {
  Served server({}, Served::quick());
  server.sim.add_fault({.name = "hangs", .step = falsim::Step::result, .delay = hours});
  RawClient client(server.port());
  client.send(test::post(generations_path, lighthouse, key_field()));
  REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.faults.contains("hangs"); }));
  const auto begun = std::chrono::steady_clock::now();
  server.service.reset();
  CHECK(std::chrono::steady_clock::now() - begun < law);
}

TEST_CASE("the process ends in time while nobody reads its log") {
  const falsim::Falsim sim = started(Served::quick());
  Program program(sim, {{"SHUTDOWN_GRACE_SECONDS", "1"}, {"LOG_FORMAT", "json"}});
  RawClient client(program.port());
  // More than a pipe holds.
  const std::string path = "/" + std::string(100, 'x');
  for (int i = 0; i < 1000; ++i) CHECK(client.exchange(test::get(path)).status == 404);
  program.signal(SIGTERM);
  CHECK(program.wait(law) == 0);
}

TEST_CASE("the process ends in time while a client takes and sends nothing") {
  const falsim::Falsim sim = started(Served::quick());
  Program program(sim, {{"SHUTDOWN_GRACE_SECONDS", "1"}});
  RawClient sends_nothing(program.port());
  sends_nothing.send("POST " + generations_path + " HTTP/1.1\r\nHost: a\r\n" + key_field() +
                     "Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{");
  RawClient idle(program.port());
  CHECK(idle.exchange(test::get("/health")).status == 200);
  program.signal(SIGTERM);
  CHECK(program.wait(law) == 0);
}

TEST_CASE("a second signal ends the process at once") {
  const falsim::Falsim sim = started({.job_time = hours});
  Program program(sim, {{"SHUTDOWN_GRACE_SECONDS", "10000"}});
  RawClient client(program.port());
  client.send(test::post(generations_path, lighthouse, key_field()));
  REQUIRE(sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  program.signal(SIGTERM);
  static_cast<void>(program.log_until("stopping"));
  program.signal(SIGTERM);
  CHECK(program.wait(law) == 128 + SIGTERM);
}

TEST_CASE("an idle process ends without waiting for anything") {
  const falsim::Falsim sim = started(Served::quick());
  for (const int signal : {SIGTERM, SIGINT}) {
    Program program(sim, {{"SHUTDOWN_GRACE_SECONDS", "10000"}});
    program.signal(signal);
    CHECK(program.wait(law) == 0);
  }
}

}  // namespace falproxy::app
