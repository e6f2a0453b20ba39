// What it costs a generation to be noted in STATE_DIR: processor time of the server and time of the
// answer, beside STATE_DIR=none, on the disk as it is and on one whose every flush takes a
// millisecond more. Three servers over one falsim whose jobs take no time, each a process of its
// own, are asked in turns. Usage: bench_noted FOLDER [SECONDS [CONNECTIONS [keyed]]]
// The folder must be empty, and is left as it is. Keyed: each request has an Idempotency-Key.
#include <fmt/format.h>
#include <httplib.h>
#include <sqlite3.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <falsim/falsim.hpp>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "configuration.hpp"
#include "service.hpp"

namespace {

using namespace falproxy;
using Steady = std::chrono::steady_clock;

constexpr int rounds = 5;
const std::string access_key = "benchmark-key";

[[noreturn]] void fail(std::string_view what) {
  std::cerr << what << '\n';
  std::exit(1);
}

// ---- Flushes that take a millisecond more.

sqlite3_vfs* real_disk = nullptr;
// By the table that they stand in for: a journal's is not that of the file.
std::map<const sqlite3_io_methods*, sqlite3_io_methods> slow_methods;
int (*real_flush)(sqlite3_file*, int) = nullptr;

int flush_slowly(sqlite3_file* file, int flags) {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return real_flush(file, flags);
}

int open_slow(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out) {
  const int code = real_disk->xOpen(real_disk, path, file, flags, out);
  if (code != SQLITE_OK) return code;
  const auto slow = slow_methods.emplace(file->pMethods, *file->pMethods).first;
  real_flush = file->pMethods->xSync;
  slow->second.xSync = flush_slowly;
  file->pMethods = &slow->second;
  return code;
}

// Whatever is opened from now on has such flushes.
void slow_all_flushes() {
  static sqlite3_vfs slow;
  real_disk = sqlite3_vfs_find(nullptr);
  slow = *real_disk;
  slow.zName = "slow";
  slow.xOpen = open_slow;
  sqlite3_vfs_register(&slow, 1);
}

// ---- Processes.

struct Child {
  pid_t pid = -1;
  std::string said;  // its first words
};

// `serve` says what there is to know, and then stays.
Child start(const std::function<std::string()>& serve) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) fail("no pipe");
  Child child;
  child.pid = ::fork();
  if (child.pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::string words = serve();
    words += '\0';
    if (::write(pipe[1], words.data(), words.size()) < 0) ::_exit(1);
    while (true) ::pause();
  }
  ::close(pipe[1]);
  char one = 0;
  while (::read(pipe[0], &one, 1) == 1 && one != '\0') child.said += one;
  ::close(pipe[0]);
  if (one != '\0' || child.said.empty()) fail("a server did not start");
  return child;
}

std::string serve_fal() {
  static falsim::Falsim sim = falsim::Falsim::start({.job_time = Milliseconds(0)}).value();
  return sim.env();
}

std::string serve(const std::string& fal, const std::string& place) {
  app::Environment settings = {{"CUSTOM_ACCESS_KEY", access_key},
                               {"AI_KEYS", "key-1:secret"},
                               {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev"},
                               {"HOST", "127.0.0.1"},
                               {"PORT", "0"},
                               {"SCHEMA_CACHE_DIR", "none"},
                               {"STATE_DIR", place},
                               {"REQUIRE_STATE", place == "none" ? "false" : "true"}};
  std::istringstream lines(fal);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t sign = line.find('=');
    if (sign != std::string::npos) settings[line.substr(0, sign)] = line.substr(sign + 1);
  }
  auto configuration = app::load_configuration("/dev/null", settings);
  if (!configuration) fail(to_string(configuration.error().front()));
  static std::unique_ptr<app::Service> service =
      app::Service::create(*std::move(configuration), {.write_log = [](std::string_view) {
      }}).value();
  service->start();
  return std::to_string(service->port());
}

double processor_time(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    fail("a server is gone");
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// ---- Clients.

struct Figures {
  double rate = 0;       // generations a second
  double processor = 0;  // us of the server's for each
  double median = 0;     // ms of an answer
  double high = 0;       // the same, 99th of 100
  double commits = 0;    // of the store, for each generation
};

struct Load {
  int connections = 32;
  double seconds = 3;
  bool is_keyed = false;
};

double commits_so_far(int port) {
  httplib::Client client("127.0.0.1", port);
  const auto answer = client.Get("/metrics", {{"Authorization", "Bearer " + access_key}});
  const std::string name = "\nfalproxy_state_commits_total ";
  const std::size_t at = answer ? answer->body.find(name) : std::string::npos;
  return at == std::string::npos ? 0
                                 : std::strtod(answer->body.c_str() + at + name.size(), nullptr);
}

std::vector<double> ask(int port, const Load& load, Steady::time_point until) {
  static std::atomic<std::uint64_t> next{0};
  httplib::Client client("127.0.0.1", port);
  client.set_keep_alive(true);
  client.set_tcp_nodelay(true);
  std::vector<double> times;
  while (Steady::now() < until) {
    const std::uint64_t number = ++next;
    httplib::Headers headers = {{"Authorization", "Bearer " + access_key}};
    if (load.is_keyed) headers.emplace("Idempotency-Key", fmt::format("key-{}", number));
    const std::string body =
        fmt::format(R"({{"model":"flux","prompt":"lighthouse number {}"}})", number);
    const auto start = Steady::now();
    const auto answer = client.Post("/v1/images/generations", headers, body, "application/json");
    times.push_back(std::chrono::duration<double, std::milli>(Steady::now() - start).count());
    if (!answer || answer->status != 200)
      fail(fmt::format("a request failed: {}", answer ? answer->body : "no answer"));
  }
  return times;
}

Figures measure(const Child& server, const Load& load) {
  const int port = std::stoi(server.said);
  const double commits = commits_so_far(port);
  const double processor = processor_time(server.pid);
  const auto start = Steady::now();
  const auto until = start + std::chrono::duration_cast<Steady::duration>(
                                 std::chrono::duration<double>(load.seconds));
  std::vector<std::vector<double>> of_each(static_cast<std::size_t>(load.connections));
  std::vector<std::thread> clients;
  clients.reserve(of_each.size());
  for (std::vector<double>& times : of_each)
    clients.emplace_back([&] { times = ask(port, load, until); });
  for (std::thread& client : clients) client.join();
  // What is written later belongs to it, too.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  std::vector<double> all;
  for (const std::vector<double>& times : of_each)
    all.insert(all.end(), times.begin(), times.end());
  std::ranges::sort(all);
  const auto count = static_cast<double>(all.size());
  const double used = processor_time(server.pid) - processor;
  return {.rate = count / load.seconds,
          .processor = used * 1e6 / count,
          .median = all[all.size() / 2],
          .high = all[all.size() * 99 / 100],
          .commits = (commits_so_far(port) - commits) / count};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2)
    return std::cerr << "usage: bench_noted FOLDER [SECONDS [CONNECTIONS [keyed]]]\n", 2;
  const std::string folder = argv[1];
  Load load;
  if (argc > 2) load.seconds = std::strtod(argv[2], nullptr);
  if (argc > 3) load.connections = std::max(1, std::atoi(argv[3]));
  load.is_keyed = argc > 4 && std::string_view(argv[4]) == "keyed";

  const Child fal = start(serve_fal);
  const Child none = start([&] { return serve(fal.said, "none"); });
  const Child disk = start([&] { return serve(fal.said, folder + "/disk"); });
  const Child slow = start([&] {
    slow_all_flushes();
    return serve(fal.said, folder + "/slow");
  });
  struct Place {
    const char* name;
    const Child& server;
    std::vector<Figures> figures = {};
  };
  std::array<Place, 3> places = {
      Place{"STATE_DIR=none", none}, {"on disk", disk}, {"flushes of 1 ms more", slow}};
  Load first = load;
  first.seconds = 0.5;
  for (const Place& place : places) measure(place.server, first);
  // Until then a server looks for each request among those of the one before it.
  std::this_thread::sleep_for(std::chrono::seconds(11));
  for (int round = 0; round < rounds; ++round) {
    for (Place& place : places) place.figures.push_back(measure(place.server, load));
  }
  std::cout << fmt::format("{} connections, {} rounds of {} s each; medians of the rounds\n",
                           load.connections, rounds, load.seconds);
  const auto over_rounds = [&](const Place& place, double Figures::* figure, bool is_added) {
    std::vector<double> values;
    for (std::size_t round = 0; round < place.figures.size(); ++round)
      values.push_back(place.figures[round].*figure -
                       (is_added ? places.front().figures[round].*figure : 0.0));
    return median(values);
  };
  for (const Place& place : places) {
    std::cout << fmt::format(
        "{:20}: {:6.0f} a second, {:6.1f} us of processor, answer {:5.2f} ms, 99th of 100 {:5.2f} "
        "ms, "
        "{:.2f} commits; added: {:6.1f} us of processor, {:5.2f} ms\n",
        place.name, over_rounds(place, &Figures::rate, false),
        over_rounds(place, &Figures::processor, false), over_rounds(place, &Figures::median, false),
        over_rounds(place, &Figures::high, false), over_rounds(place, &Figures::commits, false),
        over_rounds(place, &Figures::processor, true), over_rounds(place, &Figures::median, true));
  }
  for (const Child& child : {slow, disk, none, fal}) {
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
  }
}
