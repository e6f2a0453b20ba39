// What is left of a whole server when the power fails, on a disk that loses what was not flushed.
#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/sqlite_store.hpp"
#include "folder.hpp"
#include "served.hpp"
#include "sqlite/crash_disk.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const std::string power_route = "/v1/images/generations";

std::string numbered(int number) {
  return R"({"model":"flux","prompt":"number )" + std::to_string(number) + R"( of them"})";
}

std::string fields_of(int number) {
  return "Idempotency-Key: key-" + std::to_string(number) + "\r\n";
}

bool is_async(int number) { return number % 3 == 0; }
bool is_to_cancel(int number) { return number % 6 == 0; }

// What clients know.
struct Known {
  std::map<int, std::string> answered = {};   // the address of each picture
  std::vector<std::string> jobs = {};         // addresses of those that need not be waited for
  std::vector<std::string> cancelled = {};    // of these, what was cancelled
  std::map<int, std::size_t> submitted = {};  // how often fal was sent each
};

// A server whose disk loses its power once, and clients that do not wait for that.
struct Power {
  Power()
      : served({}, {.queue_time = Milliseconds(20), .job_time = Milliseconds(20)},
               SqliteStore::open({.folder = folder.at("before"), .vfs = disk.name()}).value()) {
    served.wait_for_documents();
  }

  // One client. Every third request need not be waited for, and every second of these is cancelled.
  void ask(int number) {
    if (!is_async(number)) {
      const Received got = served.post(power_route, numbered(number), fields_of(number));
      const std::lock_guard lock(mutex);
      if (got.status == 200) known.answered[number] = text_at(got.body, "data.0.url");
      return;
    }
    const Received begun =
        served.post(power_route, numbered(number), fields_of(number) + "Prefer: respond-async\r\n");
    if (begun.status != 202) return;
    const std::string address = begun.header("location");
    if (is_to_cancel(number)) {
      RawClient client(served.port());
      const Received gone = client.exchange("DELETE " + address + " HTTP/1.1\r\nHost: a\r\n" +
                                            key_field() + "Connection: close\r\n\r\n");
      const std::lock_guard lock(mutex);
      if (text_at(gone.body, "status") == "cancelled") known.cancelled.push_back(address);
    }
    const std::lock_guard lock(mutex);
    known.jobs.push_back(address);
  }

  [[nodiscard]] std::map<int, std::size_t> submits() const {
    std::map<int, std::size_t> all;
    for (const falsim::SeenSubmit& submit : served.sim.submits()) {
      const std::size_t at = submit.input.find("number ");
      if (at != std::string::npos) ++all[std::stoi(submit.input.substr(at + 7))];
    }
    return all;
  }

  // Whoever knows something knew it before the power failed.
  Known lose_power(const std::string& left, std::uint64_t seed) {
    const std::lock_guard lock(mutex);
    Known before = known;
    before.submitted = submits();
    disk.crash_into(left, seed);
    return before;
  }

  void begin_again(const std::string& left) {
    served.service.reset();
    auto configuration = load_configuration("/dev/null", served.environment({}));
    REQUIRE(configuration.has_value());
    auto made = Service::create(*std::move(configuration),
                                {.write_log = [](std::string_view) {},
                                 .state = SqliteStore::open({.folder = left}).value()});
    REQUIRE(made.has_value());
    served.service = *std::move(made);
    served.service->start();
    served.wait_for_documents();
  }

  testing::Folder folder;
  tests::CrashDisk disk;
  Served served;
  std::mutex mutex;
  Known known;
};

}  // namespace

TEST_CASE("after a power failure nothing is submitted twice, and nothing that was told is lost") {
  int uncertain = 0, found = 0;
  for (unsigned round = 0; round < 8; ++round) {
    CAPTURE(round);
    Power world;
    std::atomic<int> next{0};
    std::atomic<bool> stop{false};
    std::vector<std::thread> askers;
    for (int i = 0; i < 6; ++i) {
      askers.emplace_back([&] {
        while (!stop) world.ask(next++);
      });
    }
    std::this_thread::sleep_for(Milliseconds(100 + 37 * round));
    const std::string left = world.folder.at("left");
    const Known before = world.lose_power(left, round);
    stop = true;
    for (std::thread& asker : askers) asker.join();
    world.served.service.reset();
    // What it did after the failure no longer counts.
    const std::map<int, std::size_t> submitted = world.submits();
    if (round % 2 == 0)
      world.served.sim.add_fault(
          {.step = falsim::Step::history, .answer = falsim::Answer{.status = 403}});
    world.begin_again(left);

    for (const auto& [request, times] : before.submitted) {
      const int number = request;
      CAPTURE(number);
      CHECK(times == 1);
      if (is_to_cancel(number)) continue;  // a repeat may begin anew what was cancelled
      const Received again = world.served.post(
          power_route, numbered(number),
          fields_of(number) + (is_async(number) ? "Prefer: respond-async\r\n" : ""));
      const auto answered = before.answered.find(number);
      if (answered != before.answered.end()) {
        CHECK(again.status == 200);
        CHECK(text_at(again.body, "data.0.url") == answered->second);
      }
      if (again.status == 409) {
        CHECK(text_at(again.body, "error.code") == "job_uncertain");
        ++uncertain;
      } else {
        CHECK((again.status == 200 || again.status == 202));
        ++found;
      }
    }
    const std::map<int, std::size_t> after = world.submits();
    for (const auto& [request, times] : before.submitted) {
      const int number = request;
      CAPTURE(number);
      CHECK(after.at(number) == submitted.at(number));
    }
    for (const std::string& address : before.jobs) CHECK(world.served.get(address).status == 200);
    for (const std::string& address : before.cancelled)
      CHECK(text_at(world.served.get(address).body, "status") == "cancelled");
  }
  CHECK(found > 0);
  MESSAGE("found ", found, ", uncertain ", uncertain);
}

TEST_CASE("what fal refused before the power failed may be asked for again") {
  for (unsigned seed = 0; seed < 4; ++seed) {
    CAPTURE(seed);
    Power world;
    world.served.sim.add_fault(
        {.step = falsim::Step::submit,
         .answer = falsim::Answer{.status = 422, .body = R"({"detail":"no"})"}});
    CHECK(world.served.post(power_route, numbered(1), fields_of(1)).status == 400);
    const std::string left = world.folder.at("left");
    static_cast<void>(world.lose_power(left, seed));
    world.served.sim.clear_faults();
    world.served.sim.add_fault(
        {.step = falsim::Step::history, .answer = falsim::Answer{.status = 403}});
    world.begin_again(left);
    CHECK(world.served.post(power_route, numbered(1), fields_of(1)).status == 200);
  }
}

}  // namespace falproxy::app
