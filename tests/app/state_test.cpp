// Where runs are noted: what each fault of STATE_DIR does to a server, and what is told of it.
#include "state.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/memory_store.hpp"
#include "falproxy/sqlite_store.hpp"
#include "falproxy/system_clock.hpp"
#include "folder.hpp"
#include "program.hpp"
#include "raw_client.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

namespace fs = std::filesystem;
using testing::Folder;
using namespace test;

const std::string in_memory_only = "Until a restart runs are noted in memory only.";
const std::string told_at_ready =
    R"({"status":"ok","degraded":"runs cannot be noted in STATE_DIR: see the log"})";

Environment noting_in(const fs::path& folder) { return {{"STATE_DIR", folder.string()}}; }
Environment only_in(const fs::path& folder) {
  return {{"STATE_DIR", folder.string()}, {"REQUIRE_STATE", "true"}};
}

// What a server needs, without fal.
Settings settings_with(const Environment& more) {
  Environment all = {{"CUSTOM_ACCESS_KEY", std::string(access_key)},
                     {"AI_KEYS", "test-id:test-secret"},
                     {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev"},
                     {"HOST", "127.0.0.1"},
                     {"PORT", "0"},
                     {"SCHEMA_CACHE_DIR", "none"}};
  for (const auto& [name, value] : more) all[name] = value;
  auto configuration = load_configuration("/dev/null", all);
  if (!configuration) FAIL(to_string(configuration.error().front()));
  return configuration->settings;
}

// A store that was used, and is closed.
void make_store(const fs::path& folder) {
  REQUIRE(SqliteStore::open({.folder = folder}).has_value());
}

void overwrite(const fs::path& file, std::streamoff at, const std::string& bytes) {
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(at);
  out << bytes;
  REQUIRE(out.flush());
}

std::size_t count_lines(const std::string& text, std::string_view word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

// While one lives no file grows, as on a disk that is full. Nothing may be printed meanwhile.
class FullDisk {
 public:
  FullDisk() : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

// While one lives the process acts as somebody who is not root: root may write anywhere.
class NotRoot {
 public:
  NotRoot() : user_(::geteuid()) {
    constexpr uid_t nobody = 65534;
    if (user_ == 0) REQUIRE(::seteuid(nobody) == 0);
  }
  ~NotRoot() {
    if (user_ == 0) static_cast<void>(::seteuid(user_));
  }
  NotRoot(const NotRoot&) = delete;
  NotRoot& operator=(const NotRoot&) = delete;

 private:
  uid_t user_;
};

RunRecord a_record(std::uint8_t number, WallTime expires) {
  RunRecord record;
  record.id.bytes[0] = number;
  record.state = RunState::completed;
  record.owner = "default";
  record.promised = true;
  record.created = record.changed = WallTime(Seconds(1'700'000'000));
  record.expires = expires;
  return record;
}

Result<Done, StoreError> write_to(StateStore& store, const RunRecord& record) {
  std::promise<Result<Done, StoreError>> done;
  store.write(record, Durability::durable, std::chrono::steady_clock::now() + Seconds(10),
              [&](Result<Done, StoreError> result) { done.set_value(std::move(result)); });
  return done.get_future().get();
}

// Once the models' documents are there.
Received ask_ready(const Served& server) {
  server.wait_for_documents();
  Received got = server.get("/ready");
  while (got.body.find("no model's document") != std::string::npos) got = server.get("/ready");
  return got;
}

// What was logged until it serves.
std::string log_of_start(const Served& server) {
  CHECK(eventually([&] { return server.log().find("listening on") != std::string::npos; }));
  return server.log();
}

}  // namespace

TEST_CASE(
    "a server that cannot use STATE_DIR says so in one line, and makes pictures all the same") {
  const Folder folder;
  fs::path place = folder.at("state");
  std::string word;
  std::shared_ptr<void> while_it_lasts;
  SUBCASE("a folder that can only be read") {
    place = folder.path();
    fs::permissions(place, fs::perms(0555));
    while_it_lasts = std::make_shared<NotRoot>();
    word = "falproxy.lock cannot be opened: Permission denied. Mend: let falproxy write there, ";
  }
  SUBCASE("a file in the way") {
    place = fs::path(folder.write("state", "")) / "below";
    word =
        "Mend: let falproxy write there, make room on the disk, name another folder, or write "
        "STATE_DIR=none.";
  }
  SUBCASE("a store that somebody has") {
    auto held = SqliteStore::open({.folder = place});
    REQUIRE(held.has_value());
    while_it_lasts = std::shared_ptr<SqliteStore>(*std::move(held));
    word = "Another process has the store in " + place.string() +
           ": give each one a folder of its own.";
  }
  SUBCASE("a store of a newer falproxy") {
    make_store(place);
    overwrite(place / "falproxy.db", 60, {0, 0, 3, 0});
    word = "is of version 768, and this falproxy knows";
  }
  SUBCASE("another program's database") {
    make_store(place);
    overwrite(place / "falproxy.db", 68, "abcd");
    word = "is another program's database: it is left as it is. Name another folder.";
  }
  const Served server(noting_in(place));
  CHECK(server.post("/v1/images/generations", lighthouse).status == 200);
  const std::string log = log_of_start(server);
  CAPTURE(log);
  REQUIRE(count_lines(log, "STATE_DIR: ") == 1);
  const std::size_t at = log.find("STATE_DIR: ");
  const std::string line = log.substr(at, log.find('\n', at) - at);
  CHECK(line.find(word) != std::string::npos);
  CHECK(line.find(in_memory_only) != std::string::npos);
  CHECK(ask_ready(server).status == 200);
  CHECK(ask_ready(server).body == told_at_ready);
  const std::string status = server.get("/v1/falproxy/status").body;
  CHECK(text_at(status, "state.store") == "memory");
  CHECK(line.find(text_at(status, "state.degraded")) != std::string::npos);
  CHECK_FALSE(text_at(status, "state.degraded").empty());

  const auto refused = open_state(settings_with(only_in(place)), {}, {});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::invalid_settings);
  CHECK(refused.error().field == "STATE_DIR");
  CAPTURE(refused.error().message);
  CHECK(refused.error().message.find(word) != std::string::npos);
  CHECK(refused.error().message.ends_with(
      " Without it nothing is served, since REQUIRE_STATE is true."));
}

TEST_CASE("a full disk is told at the start") {
  const Folder folder;
  const Settings settings = settings_with(noting_in(folder.at("state")));
  const Settings strict = settings_with(only_in(folder.at("state")));
  Result<State> opened = State{};
  Result<State> refused = State{};
  {
    const FullDisk full;
    opened = open_state(settings, {}, {});
    refused = open_state(strict, {}, {});
  }
  REQUIRE(opened.has_value());
  CAPTURE(opened->trouble);
  CHECK(opened->trouble.starts_with("STATE_DIR: The store in " + folder.at("state")));
  CHECK(opened->trouble.find("make room on the disk") != std::string::npos);
  CHECK(opened->trouble.ends_with(in_memory_only));
  CHECK(opened->store->status().name == "memory");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().field == "STATE_DIR");
  CHECK(open_state(strict, {}, {}).has_value());
}

TEST_CASE("without a home runs are noted in memory, and a folder is asked for") {
  const Settings settings = settings_with({});
  const auto opened = open_state(settings, {{"PATH", "/bin"}}, {});
  REQUIRE(opened.has_value());
  CHECK(opened->trouble ==
        "STATE_DIR: There is no home folder for it: name a folder, or write STATE_DIR=none. " +
            in_memory_only);
  CHECK_FALSE(open_state(settings_with({{"REQUIRE_STATE", "true"}}), {}, {}).has_value());
}

TEST_CASE("runs are noted where the XDG rules say, for the owner alone") {
  const Folder folder;
  const std::string home = folder.at("home");
  CHECK(state_directory({}, {{"HOME", "/home/me"}}) == "/home/me/.local/state/falproxy");
  CHECK(state_directory({}, {{"HOME", "/home/me"}, {"XDG_STATE_HOME", "/s"}}) == "/s/falproxy");
  CHECK(state_directory({}, {{"HOME", "/home/me"}, {"XDG_STATE_HOME", "s"}}) ==
        "/home/me/.local/state/falproxy");
  CHECK(state_directory("here", {{"HOME", "/home/me"}}) == "here");
  CHECK_FALSE(state_directory("none", {{"HOME", "/home/me"}}).has_value());
  const auto opened = open_state(settings_with({}), {{"HOME", home}}, {});
  REQUIRE(opened.has_value());
  CHECK(opened->trouble.empty());
  CHECK(opened->store->status().name == "sqlite");
  const fs::path made = fs::path(home) / ".local/state/falproxy";
  CHECK(fs::exists(made / "falproxy.db"));
  CHECK(fs::status(made).permissions() == fs::perms::owner_all);
}

TEST_CASE("a damaged store is set aside and told, and runs are noted in a new one") {
  const Folder folder;
  const std::string file = folder.write("falproxy.db", std::string(8192, 'x'));
  const Served server(only_in(folder.path()));
  CHECK(ask_ready(server).body == R"({"status":"ok"})");
  CHECK(text_at(server.get("/v1/falproxy/status").body, "state.store") == "sqlite");
  const std::string log = log_of_start(server);
  CAPTURE(log);
  CHECK(count_lines(log, "STATE_DIR: ") == 1);
  CHECK(log.find("It is kept as " + file + ".damaged-") != std::string::npos);
  bool kept = false;
  for (const auto& entry : fs::directory_iterator(folder.path()))
    kept = kept || entry.path().filename().string().starts_with("falproxy.db.damaged-");
  CHECK(kept);
}

TEST_CASE("a server that notes its runs says where, and how many") {
  const Folder folder;
  const Served server(noting_in(folder.at("state")));
  CHECK(server.post("/v1/images/generations", lighthouse).status == 200);
  CHECK(ask_ready(server).body == R"({"status":"ok"})");
  const std::string log = log_of_start(server);
  CHECK(log.find("runs are noted in " + folder.at("state") + "\n") != std::string::npos);
  CHECK(log.find("STATE_DIR") == std::string::npos);
  // The end of a run is noted a moment after its answer.
  CHECK(eventually([&] {
    const std::string status = server.get("/v1/falproxy/status").body;
    return at(status, "state.records").as_integer() == 1 &&
           at(status, "state.open").as_integer() == 0;
  }));
  const std::string status = server.get("/v1/falproxy/status").body;
  CHECK(text_at(status, "state.store") == "sqlite");
  CHECK(at(status, "state.open").as_integer() == 0);
  CHECK(at(status, "state.degraded").as_string() == "");
  const std::string metrics = server.get("/metrics").body;
  for (const char* name : {"records gauge", "open gauge", "waiting gauge", "writes_total counter",
                           "commits_total counter", "degraded gauge"}) {
    CAPTURE(name);
    CHECK(metrics.find(std::string("# TYPE falproxy_state_") + name) != std::string::npos);
  }
  CHECK(metrics.find("\nfalproxy_state_degraded 0\n") != std::string::npos);
}

TEST_CASE("who wants nothing on the disk has it so, without a warning") {
  const Folder folder;
  const Served server(Environment{{"STATE_DIR", "none"}});
  CHECK(ask_ready(server).body == R"({"status":"ok"})");
  CHECK(text_at(server.get("/v1/falproxy/status").body, "state.store") == "memory");
  const std::string log = log_of_start(server);
  CHECK(log.find("runs are noted in memory\n") != std::string::npos);
  CHECK(log.find("STATE_DIR") == std::string::npos);
}

TEST_CASE("a disk that fills up is told at once, and so is its end") {
  const Folder folder;
  std::vector<std::string> told;
  auto state = open_state(settings_with(noting_in(folder.path())), {},
                          [&](LogLevel level, std::string_view text) {
                            told.push_back(std::string(name_of(level)) + " " + std::string(text));
                          });
  REQUIRE(state.has_value());
  StateStore& store = *state->store;
  const WallTime later = std::chrono::system_clock::now() + Seconds(3600);
  REQUIRE(write_to(store, a_record(1, later)));
  Environment more;
  std::string told_while_full = told_at_ready;
  int status_while_full = 200;
  SUBCASE("of one who can do without") {}
  SUBCASE("of one who cannot") {
    more["REQUIRE_STATE"] = "true";
    more["STATE_DIR"] = folder.at("whatever");
    status_while_full = 503;
    told_while_full =
        R"({"status":"unavailable","reason":"runs cannot be noted in STATE_DIR: see the log"})";
  }
  const Served server(more, Served::quick(), std::move(state->store));
  server.wait_for_documents();
  CHECK(ask_ready(server).body == R"({"status":"ok"})");
  Received full;
  std::string metrics;
  bool written = true;
  {
    const FullDisk disk;
    written = write_to(store, a_record(2, later)).has_value();
    full = ask_ready(server);
    metrics = server.get("/metrics").body;
  }
  CHECK_FALSE(written);
  CHECK(full.status == status_while_full);
  CHECK(full.body == told_while_full);
  CHECK(metrics.find("\nfalproxy_state_degraded 1\n") != std::string::npos);
  REQUIRE(told.size() == 1);
  CHECK(told[0].starts_with("error STATE_DIR: The store in " + folder.path().string()));
  CHECK(told[0].ends_with("or write STATE_DIR=none."));
  CHECK(write_to(store, a_record(2, later)));
  CHECK(ask_ready(server).body == R"({"status":"ok"})");
  REQUIRE(told.size() == 2);
  CHECK(told[1] == "info STATE_DIR: The store in " + folder.path().string() + " is written again.");
}

TEST_CASE("what has expired is forgotten as soon as the server runs") {
  static const SystemClock clock;
  auto made = std::make_unique<MemoryStore>(clock);
  const WallTime now = std::chrono::system_clock::now();
  REQUIRE(write_to(*made, a_record(1, now - Seconds(1))));
  REQUIRE(write_to(*made, a_record(2, now + Seconds(3600))));
  const MemoryStore& store = *made;
  const Served server({}, Served::quick(), std::move(made));
  CHECK(eventually([&] { return store.status().records == 1; }));
}

TEST_CASE("a reload keeps the store, and says that another folder needs a restart") {
  const Folder folder;
  const Served server(noting_in(folder.at("state")));
  const auto reload = [&](const std::string& place) {
    auto next = load_configuration("/dev/null", server.environment({{"STATE_DIR", place}}));
    REQUIRE(next.has_value());
    server.service->reload(std::move(next).value());
  };
  const auto told = [&] {
    return server.log().find(", STATE_DIR, STATE_URL and the proxies change with a restart only") !=
           std::string::npos;
  };
  reload(folder.at("state"));
  server.service->log().line(LogLevel::info, "the first one is done");
  CHECK(eventually([&] { return server.log().find("first one is done") != std::string::npos; }));
  CHECK_FALSE(told());
  reload(folder.at("other"));
  CHECK(eventually(told));
  CHECK_FALSE(fs::exists(folder.at("other")));
  const auto held = SqliteStore::open({.folder = folder.at("state")});
  REQUIRE_FALSE(held.has_value());
  CHECK(held.error().fault == StoreFault::in_use);
  CHECK(text_at(server.get("/v1/falproxy/status").body, "state.store") == "sqlite");
}

TEST_CASE("a server that stops leaves its folder to the next one") {
  const Folder folder;
  {
    const Served first(only_in(folder.path()));
  }
  const Served second(only_in(folder.path()));
  CHECK(ask_ready(second).status == 200);
}

TEST_CASE("looking at a folder does not disturb the server that has it") {
  const Folder folder;
  const Served server(noting_in(folder.path()));
  const auto names = [&] {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder.path()))
      all.push_back(entry.path().filename().string());
    std::ranges::sort(all);
    return all;
  };
  const auto before = names();
  CHECK(fault_of_writing(folder.path()).empty());
  CHECK(names() == before);
  std::string full;
  {
    const FullDisk disk;
    full = fault_of_writing(folder.path());
  }
  CHECK(full == "File too large");
  CHECK(names() == before);
}

TEST_CASE("a folder that cannot be written is seen beforehand, also one that is to be made") {
  const Folder folder;
  fs::create_directory(folder.at("state"));
  CHECK(fault_of_writing(folder.at("state")).empty());
  CHECK(fault_of_writing(folder.at("new/state")).empty());
  for (const char* locked : {"state", "."}) fs::permissions(folder.at(locked), fs::perms(0555));
  const NotRoot somebody;
  CHECK(fault_of_writing(folder.at("state")) == "Permission denied");
  CHECK(fault_of_writing(folder.at("new/state")) == folder.path().string() + ": Permission denied");
}

TEST_CASE("of two processes on one folder the second is told, and takes over after the first") {
  const Folder folder;
  auto sim = falsim::Falsim::start({.job_time = Milliseconds(0)});
  REQUIRE(sim.has_value());
  Program first(*sim, noting_in(folder.path()));
  CHECK(first.log().find("STATE_DIR: ") == std::string::npos);
  {
    const Program second(*sim, noting_in(folder.path()));
    CHECK(second.log().find("STATE_DIR: Another process has the store in " +
                            folder.path().string()) != std::string::npos);
    RawClient client(second.port());
    CHECK(client.exchange(test::get("/health")).status == 200);
  }
  const std::string file = folder.write(
      "env", sim->env() +
                 "CUSTOM_ACCESS_KEY=a-key-for-this-test\nAI_KEYS=a:b\nHOST=127.0.0.1\n"
                 "SUPPORTED_MODELS=flux:fal-ai/flux/dev\nSCHEMA_CACHE_DIR=none\nPORT=0\n"
                 "REQUIRE_STATE=true\nSTATE_DIR=" +
                 folder.path().string() + "\n");
  std::string said;
  std::FILE* third = ::popen(
      ("timeout 20 env -i " FALPROXY_PROGRAM " serve --env " + file + " 2>&1").c_str(), "r");
  REQUIRE(third != nullptr);
  std::array<char, 1024> bytes;
  while (std::fgets(bytes.data(), bytes.size(), third) != nullptr) said += bytes.data();
  const int ended = ::pclose(third);
  CAPTURE(said);
  CHECK(WEXITSTATUS(ended) == 2);
  CHECK(said == "falproxy: STATE_DIR: Another process has the store in " + folder.path().string() +
                    ": give each one a folder of its own. Without it nothing is served, since "
                    "REQUIRE_STATE is true.\n");
  first.signal(SIGKILL);
  CHECK(first.wait(Seconds(20)) == 128 + SIGKILL);
  const Program last(*sim, only_in(folder.path()));
  CHECK(last.log().find("STATE_DIR: ") == std::string::npos);
}

}  // namespace falproxy::app
