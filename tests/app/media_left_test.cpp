// Which kept files stay: when there is no room, and over the end of a process.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/media.hpp"
#include "falproxy/sqlite_store.hpp"
#include "folder.hpp"
#include "keeping.hpp"
#include "program.hpp"
#include "served.hpp"

namespace falproxy::app {

using namespace test;
namespace fs = std::filesystem;

TEST_CASE("at max_bytes and at media_quota the oldest go first") {
  const auto body = [](int number) {
    return R"({"model":"flux","prompt":"number )" + std::to_string(number) +
           R"(","response_format":"url","output_format":"png"})";
  };
  testing::Folder other;
  const std::string keys =
      other.write("keys.json", R"({"ann": {"key": "ann-has-a-long-key", "media_quota": 250000}})");
  const Keeping world("?max_bytes=450000", {{"KEYS_FILE", keys}},
                      {.job_time = Milliseconds(0), .picture_bytes = 100'000});
  std::vector<std::string> of_ann, of_default;
  for (int i = 0; i < 3; ++i) of_ann.push_back(world.kept(body(i), "ann-has-a-long-key"));
  REQUIRE(eventually([&] { return world.ask(of_ann[0]).status == 404; }));
  CHECK(world.ask(of_ann[1]).status == 200);
  CHECK(world.ask(of_ann[2]).status == 200);
  for (int i = 3; i < 6; ++i) of_default.push_back(world.kept(body(i)));
  REQUIRE(eventually([&] { return world.ask(of_ann[1]).status == 404; }));
  CHECK(world.ask(of_ann[2]).status == 200);
  for (const std::string& address : of_default) CHECK(world.ask(address).status == 200);
  CHECK(world.files() == 4);
}

TEST_CASE("a file that is too large for the place is not kept") {
  const Keeping world("?max_bytes=1000", {},
                      {.job_time = Milliseconds(0), .picture_bytes = 100'000});
  const std::string address =
      text_at(world.served.post(picture_route, by_address).body, "data.0.url");
  world.wait_until_kept();
  CHECK(world.ask(address).status == 302);
  CHECK(world.files() == 0);
}

TEST_CASE(
    "what has expired goes at the start, and so does what an earlier process left half done") {
  testing::Folder folder;
  const MediaRecord old{.id = RunId::parse("ab345678901234567890123456789012").value(),
                        .state = MediaState::kept,
                        .owner = "default",
                        .expires = std::chrono::system_clock::now() - Seconds(1),
                        .size = 3,
                        .extension = "png"};
  {
    auto store = SqliteStore::open({.folder = folder.path() / "state"});
    REQUIRE(store.has_value());
    (*store)->note({old}, std::chrono::steady_clock::now() + Seconds(5), [](const auto&) {});
  }
  const std::string expired = folder.write("media/ab/ab345678901234567890123456789012.png", "old");
  const std::string half =
      folder.write("media/.falproxy-incoming/cd345678901234567890123456789012.png.7", "half");
  const std::string others = folder.write("media/incoming/half.png", "a stranger's");
  const std::string notes = folder.write("media/.falproxy-incoming/notes.txt", "a stranger's");
  const Served served(
      {{"STATE_DIR", folder.at("state")}, {"MEDIA_STORE", "dir:" + folder.at("media")}});
  REQUIRE(eventually([&] { return !fs::exists(expired) && !fs::exists(half); }));
  CHECK(served.get("/media/ab345678901234567890123456789012.png").status == 404);
  CHECK(fs::exists(others));
  CHECK(fs::exists(notes));
}

namespace {

// A file of fal's that waits to be kept, as an earlier process has left it.
struct LeftWaiting {
  LeftWaiting() {
    Served served;
    address = text_at(served.post(picture_route, by_address).body, "data.0.url");
    served.service.reset();
    sim.emplace(std::move(served.sim));
    record.source = address;
    auto store = SqliteStore::open({.folder = folder.path() / "state"});
    REQUIRE(store.has_value());
    (*store)->note({record}, std::chrono::steady_clock::now() + Seconds(5), [](const auto&) {});
  }
  [[nodiscard]] std::unique_ptr<Served> go_on() {
    return std::make_unique<Served>(Environment{{"STATE_DIR", folder.at("state")},
                                                {"MEDIA_STORE", "dir:" + folder.at("media")}},
                                    *std::exchange(sim, std::nullopt),
                                    [](const falsim::Falsim&) { return Environment(); });
  }

  testing::Folder folder;
  std::string address;
  MediaRecord record{.id = RunId::parse("ab345678901234567890123456789012").value(),
                     .owner = "default",
                     .created = std::chrono::system_clock::now() - std::chrono::hours(2),
                     .extension = "png"};
  std::optional<falsim::Falsim> sim;
};

}  // namespace

TEST_CASE("a server that stops while it fetches an old file loses it not") {
  LeftWaiting left;
  left.sim->add_fault({.name = "slow", .step = falsim::Step::media, .delay = Milliseconds(20'000)});
  auto served = left.go_on();
  REQUIRE(eventually([&] { return served->sim.stats().media_requests > 0; }));
  served->service->stop(Milliseconds(0));
  served->service.reset();
  served->sim.clear_faults();
  left.sim.emplace(std::move(served->sim));
  served = left.go_on();
  REQUIRE(eventually(
      [&] { return served->get("/media/ab345678901234567890123456789012.png").status == 200; }));
}

TEST_CASE("a file that the store does not take holds up no other") {
  LeftWaiting left;
  fs::create_directories(left.folder.path() / "media/ab/ab345678901234567890123456789012.png/in");
  const auto served = left.go_on();
  REQUIRE(eventually([&] {
    return served->log().find("is not kept") != std::string::npos ||
           served->log().find("fal's own") != std::string::npos;
  }));
  const Received got = served->post(picture_route, by_address);
  CHECK(got.header("x-falproxy-notes").empty());
  CHECK(text_at(got.body, "data.0.url").find("/media/") != std::string::npos);
  CHECK(served->log().find("answers have fal's own") == std::string::npos);
}

TEST_CASE("at a start the oldest go, if max_bytes is less than before") {
  const testing::Folder folder;
  const auto with = [&](const std::string& parameters) {
    return Environment{{"STATE_DIR", folder.at("state")},
                       {"MEDIA_STORE", "dir:" + folder.at("media") + parameters}};
  };
  auto served = std::make_unique<Served>(
      with(""), falsim::FalsimOptions{.job_time = Milliseconds(0), .picture_bytes = 100'000});
  std::vector<std::string> addresses;
  for (const char* const prompt : {"one", "two"}) {
    const Received got = served->post(picture_route, R"({"model":"flux","response_format":"url",)"
                                                     R"("output_format":"png","prompt":")" +
                                                         std::string(prompt) + "\"}");
    addresses.push_back(Keeping::path_of(text_at(got.body, "data.0.url")));
    REQUIRE(eventually([&] { return served->get(addresses.back()).status == 200; }));
  }
  served->service.reset();
  const Served next(with("?max_bytes=150000"), std::move(served->sim),
                    [](const falsim::Falsim&) { return Environment(); });
  const auto is_gone = [&] { return next.get(addresses[0]).status == 404; };
  REQUIRE((eventually(is_gone) || eventually(is_gone)));  // it is looked at every five seconds
  CHECK(next.get(addresses[1]).status == 200);
}

TEST_CASE("a process that is killed while it keeps files serves no half one, and goes on") {
  constexpr int requests = 24;
  constexpr std::size_t bytes = 4'000'000;  // so that a kill comes in the middle of it
  testing::Folder folder;
  falsim::Falsim sim =
      falsim::Falsim::start({.job_time = Milliseconds(0), .picture_bytes = bytes}).value();
  const auto begin = [&] {
    return std::make_unique<Program>(sim,
                                     Environment{{"STATE_DIR", folder.at("state")},
                                                 {"MEDIA_STORE", "dir:" + folder.at("media")}});
  };
  auto program = begin();
  std::vector<std::string> addresses;
  for (int i = 0; i < requests; ++i) {
    RawClient client(program->port());
    const Received got =
        client.exchange(test::post(picture_route,
                                   R"({"model":"flux","prompt":"number )" + std::to_string(i) +
                                       R"(","response_format":"url","output_format":"png"})",
                                   key_field()));
    REQUIRE(got.status == 200);
    addresses.push_back(Keeping::path_of(text_at(got.body, "data.0.url")));
    if (i % 8 != 5) continue;
    std::this_thread::sleep_for(Milliseconds(60));  // lazy writes are out
    program->signal(SIGKILL);
    REQUIRE(program->wait(Seconds(20)) == 128 + SIGKILL);
    for (const auto& entry : fs::recursive_directory_iterator(folder.path() / "media")) {
      if (entry.path().parent_path().filename() == ".falproxy-incoming" ||
          !entry.is_regular_file() || entry.path().extension() != ".png")
        continue;
      CHECK(entry.file_size() >= bytes);
    }
    program = begin();
  }
  const auto look = [&](const std::string& address) {
    RawClient client(program->port());
    return client.exchange("GET " + address + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  };
  for (const std::string& address : addresses) {
    CAPTURE(address);
    Received got;
    REQUIRE(eventually([&] {
      got = look(address);
      CHECK((got.status == 200 || got.status == 302));
      return got.status == 200;
    }));
    CHECK(media::is_whole(got.body));
    CHECK(got.body.size() >= bytes);
  }
}

}  // namespace falproxy::app
