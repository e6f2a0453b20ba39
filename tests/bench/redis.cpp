// What replicas cost a Redis together: so many stores in one process, each with its own connection,
// do what so many generations a second do.
// Usage: bench_redis PORT [REPLICAS, 20] [GENERATIONS A SECOND, 2000] [SECONDS, 10]
// The Redis listens on loopback; what is in it is mixed with what this writes.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/redis_store.hpp"
#include "link.hpp"

namespace {

using namespace falproxy;
using Steady = std::chrono::steady_clock;

double processor_time() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](timeval time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// What INFO says, by a connection of its own.
class Info {
 public:
  explicit Info(const StateAddress& address) : link_(address, nullptr) {
    if (!link_.open(Steady::now() + Seconds(5))) std::exit(1);
  }
  double operator()(const std::string& name) {
    std::vector<redis::Reply> answers;
    if (!link_.exchange(redis::command_of({"INFO"}), 1, Steady::now() + Seconds(5), answers))
      std::exit(1);
    const std::string& text = answers.front().text;
    const std::size_t at = text.find("\n" + name + ":");
    return at == std::string::npos ? 0 : std::atof(text.c_str() + at + name.size() + 2);
  }

 private:
  redis::Link link_;
};

// The steps of one generation with a place at its account: what a request waits for first.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(RedisStore& store, std::uint64_t number, std::atomic<int>& left,
             std::vector<double>& waits, std::mutex& mutex)
      : store_(store), left_(left), waits_(waits), mutex_(mutex) {
    const auto now = std::chrono::system_clock::now();
    for (std::size_t i = 0; i < 8; ++i) {
      record_.id.bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
      record_.digest[i] = record_.id.bytes[i];
      record_.id.bytes[8 + i] =
          static_cast<std::uint8_t>(now.time_since_epoch().count() >> (8 * i));
    }
    record_.owner = "default";
    record_.requested_model = record_.served_model = "flux";
    record_.created = record_.changed = now;
    record_.expires = now + std::chrono::seconds(60);
    record_.holder = store.self();
    record_.chance = 0.5;
    record_.jobs = {{.endpoint = "fal-ai/flux/dev", .held = Usd{25'000'000}, .input_mark = number}};
    ticket_ = fmt::format("0123456789abcdef:{}", number);
    job_ = fmt::format("764cabcf-b745-4b3e-ae38-{:012x}", number);
  }
  void begin() {
    began_ = Steady::now();
    store_.take_place("0123456789abcdef", ticket_, 1'000'000, until(),
                      [self = shared_from_this()](const auto&) { self->intend(); });
  }

 private:
  static TimePoint until() { return Steady::now() + Seconds(5); }
  void write(void (Generation::*next)()) {
    store_.write(record_, Durability::durable, until(),
                 [self = shared_from_this(), next](const Result<Done, StoreError>& done) {
                   if (!done) return self->end();
                   ++self->record_.fence;
                   (self.get()->*next)();
                 });
  }
  void intend() { write(&Generation::taken); }
  void taken() {
    {
      const std::lock_guard lock(mutex_);
      waits_.push_back(std::chrono::duration<double, std::milli>(Steady::now() - began_).count());
    }
    record_.state = record_.jobs[0].state = RunState::accepted;
    record_.jobs[0].request_id = job_;
    record_.jobs[0].account = "0123456789abcdef";
    record_.jobs[0].submitted = record_.created;
    write(&Generation::end_job);
  }
  void end_job() {
    store_.give_back("0123456789abcdef", ticket_);
    store_.post({.once = "settled:" + job_,
                 .spending = {.day = 20'000,
                              .key = "default",
                              .model = "flux",
                              .units = Units{1'000'000'000},
                              .cost = Usd{25'000'000}}},
                until(), [](const auto&) {});
    record_.state = record_.jobs[0].state = RunState::completed;
    record_.jobs[0].cost = Usd{25'000'000};
    record_.artifacts = {{.url = "https://v3.fal.media/files/zebra/0123456789abcdefABCDE.jpeg",
                          .content_type = "image/jpeg",
                          .width = 1024,
                          .height = 768}};
    store_.write(record_, Durability::lazy, until(), [](const auto&) {});
    store_.add({.day = 20'000, .key = "default", .model = "flux", .requests = 1, .artifacts = 1},
               until(), [self = shared_from_this()](const auto&) { self->end(); });
  }
  void end() { --left_; }

  RedisStore& store_;
  std::atomic<int>& left_;
  std::vector<double>& waits_;
  std::mutex& mutex_;
  RunRecord record_;
  std::string ticket_, job_;
  TimePoint began_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int at, int usual) { return argc > at ? std::atoi(argv[at]) : usual; };
  StateAddress address;
  address.hosts = {{"127.0.0.1", static_cast<std::uint16_t>(number(1, 6379))}};
  address.bound = Milliseconds(1'000);
  const int replicas = number(2, 20), rate = number(3, 2'000), seconds = number(4, 10);
  std::vector<std::unique_ptr<RedisStore>> stores;
  for (int i = 0; i < replicas; ++i) {
    RunId self;
    self.bytes[0] = static_cast<std::uint8_t>(i + 1);
    auto opened = RedisStore::open({.address = address, .self = self});
    if (!opened) return 1;
    stores.push_back(*std::move(opened));
  }
  Info info(address);
  const auto cpu = [&] { return info("used_cpu_user") + info("used_cpu_sys"); };
  std::atomic<int> left = 0;
  std::vector<double> waits;
  std::mutex mutex;
  const int all = rate * seconds;
  waits.reserve(static_cast<std::size_t>(all));
  const double redis_before = cpu(), in = info("total_net_input_bytes"),
               out = info("total_net_output_bytes"), commands = info("total_commands_processed"),
               own_before = processor_time();
  const auto began = Steady::now();
  for (int i = 0; i < all; ++i) {
    std::this_thread::sleep_until(began + std::chrono::microseconds(1'000'000LL * i / rate));
    ++left;
    std::make_shared<Generation>(*stores[static_cast<std::size_t>(i % replicas)],
                                 static_cast<std::uint64_t>(i), left, waits, mutex)
        ->begin();
  }
  while (left > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const double took = std::chrono::duration<double>(Steady::now() - began).count();
  std::uint64_t trips = 0;
  for (const auto& store : stores) trips += store->traffic().trips;
  const double each = 1.0 / all;
  std::ranges::sort(waits);
  const auto share = [&](double of) {
    return waits.empty()
               ? 0
               : waits[static_cast<std::size_t>(of * static_cast<double>(waits.size() - 1))];
  };
  std::cout << fmt::format(
      "{} replicas, {:.0f} generations a second for {:.1f} s\n"
      "a generation: {:.2f} commands (those of scripts included), {:.2f} round trips, {:.0f} bytes "
      "in, {:.0f} bytes out\n"
      "CPU a generation: {:.3f} ms of Redis, {:.3f} ms of all stores\n"
      "before the submit: {:.2f} ms median, {:.2f} ms in 99 of 100; {} failed\n",
      replicas, all / took, took, (info("total_commands_processed") - commands) * each,
      static_cast<double>(trips) * each, (info("total_net_input_bytes") - in) * each,
      (info("total_net_output_bytes") - out) * each, (cpu() - redis_before) * 1e3 * each,
      (processor_time() - own_before) * 1e3 * each, share(0.5), share(0.99),
      all - static_cast<int>(waits.size()));
  return 0;
}
