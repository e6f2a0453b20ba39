// What the store in a file costs with a million records in it: to open it, to look something up,
// and the processor's time for a generation (intent and accepted durable, completed lazy), for so
// many that run at once. Usage: bench_state FOLDER [RECORDS]     The folder must be empty, and is
// left as it is.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/sqlite_store.hpp"

namespace {

using namespace falproxy;
using Steady = std::chrono::steady_clock;

double seconds(timeval time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// Of all threads of the process, in seconds; what the kernel does for it stands apart, too.
double kernel_time() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_stime);
}
double processor_time() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double since(Steady::time_point then) {
  return std::chrono::duration<double>(Steady::now() - then).count();
}

// Lets at most so many operations be under way.
class Window {
 public:
  explicit Window(std::size_t size) : room_(size) {}
  void enter() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return room_ > 0; });
    --room_;
    ++inside_;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    --inside_;
    if (room_++ == 0 || inside_ == 0) changed_.notify_all();
  }
  void wait_for_all() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return inside_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t room_;
  std::size_t inside_ = 0;
};

void require(const Result<Done, StoreError>& result) {
  if (result) return;
  std::cerr << result.error() << '\n';
  std::exit(1);
}

std::mt19937_64 randomness(1);

template <std::size_t n>
std::array<std::uint8_t, n> random_bytes() {
  std::array<std::uint8_t, n> bytes{};
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(randomness());
  return bytes;
}

std::string hex(std::size_t digits) {
  std::string text;
  for (std::size_t i = 0; i < digits; ++i) text += "0123456789abcdef"[randomness() % 16];
  return text;
}

const WallTime began{std::chrono::seconds(1'800'000'000)};

// So many of four are promised, and have an Idempotency-Key.
std::uint64_t promised_of_four = 1;
bool is_promised(std::uint64_t number) { return number % 4 < promised_of_four; }

RunRecord intent(std::uint64_t number) {
  const WallTime now = began + std::chrono::milliseconds(number);
  RunRecord record{.id = {random_bytes<16>()},
                   .owner = fmt::format("team-{}", number % 20),
                   .digest = random_bytes<32>(),
                   .promised = is_promised(number),
                   .surface = number % 10 == 0 ? "videos" : "images.generations",
                   .requested_model = "gpt-image-1",
                   .served_model = "flux",
                   .created = now,
                   .changed = now,
                   .expires = now + std::chrono::hours(24),
                   .chance = 0.25,
                   .jobs = {{.endpoint = "fal-ai/flux/dev", .account = "b1946ac92492"}}};
  if (is_promised(number)) record.key_hash = random_bytes<32>();
  return record;
}

void accept(RunRecord& record) {
  ++record.fence;
  record.state = RunState::accepted;
  record.changed += std::chrono::milliseconds(150);
  record.jobs.front().state = RunState::accepted;
  record.jobs.front().request_id =
      hex(8) + "-" + hex(4) + "-" + hex(4) + "-" + hex(4) + "-" + hex(12);
  record.jobs.front().submitted = record.changed;
}

void complete(RunRecord& record) {
  ++record.fence;
  record.state = RunState::completed;
  record.changed += std::chrono::milliseconds(5000);
  record.jobs.front().state = RunState::completed;
  record.jobs.front().billable_units = 1.0;
  record.artifacts = {{.url = "https://v3.fal.media/files/zebra/" + hex(32) + ".png",
                       .content_type = "image/png",
                       .size = 1'234'567,
                       .width = 1024,
                       .height = 1024}};
}

std::unique_ptr<SqliteStore> opened(const std::filesystem::path& folder) {
  return SqliteStore::open({.folder = folder}).value();
}

std::vector<RunRecord> fill(SqliteStore& store, std::uint64_t records) {
  std::vector<RunRecord> some;
  Window window(10'000);
  for (std::uint64_t i = 0; i < records; ++i) {
    RunRecord record = intent(i);
    accept(record);
    complete(record);
    if (i % (records / 1000) == 0) some.push_back(record);
    window.enter();
    store.write(record, Durability::lazy, no_deadline, [&](const Result<Done, StoreError>& result) {
      require(result);
      window.leave();
    });
  }
  window.wait_for_all();
  return some;
}

// A step of so many runs at once; waits for them.
void write_all(SqliteStore& store, const std::vector<RunRecord>& batch, Durability durability) {
  Window window(batch.size());
  for (const RunRecord& record : batch) {
    window.enter();
    store.write(record, durability, no_deadline, [&](const Result<Done, StoreError>& result) {
      require(result);
      window.leave();
    });
  }
  window.wait_for_all();
}

// In batches: so many intents, then so many accepted, then so many completed. Lazy ones are not
// waited for.
void measure_generations(SqliteStore& store, std::uint64_t first, std::size_t at_once,
                         Durability at_last, std::uint64_t count) {
  std::vector<std::vector<RunRecord>> intents, accepted, completed;
  for (std::uint64_t i = 0; i < count; i += at_once) {
    std::vector<RunRecord> batch;
    for (std::uint64_t j = 0; j < at_once; ++j) batch.push_back(intent(first + i + j));
    intents.push_back(batch);
    for (RunRecord& record : batch) accept(record);
    accepted.push_back(batch);
    for (RunRecord& record : batch) complete(record);
    completed.push_back(std::move(batch));
  }
  const StoreStatus before = store.status();
  const double processor = processor_time(), kernel = kernel_time();
  const auto start = Steady::now();
  Window window(count + at_once);
  for (std::size_t i = 0; i < intents.size(); ++i) {
    write_all(store, intents[i], Durability::durable);
    write_all(store, accepted[i], Durability::durable);
    for (const RunRecord& record : completed[i]) {
      window.enter();
      store.write(record, at_last, no_deadline, [&](const Result<Done, StoreError>& result) {
        require(result);
        window.leave();
      });
    }
    if (at_last == Durability::durable) window.wait_for_all();
  }
  window.wait_for_all();
  const auto generations = static_cast<double>(intents.size() * at_once);
  const auto each = [&](double seconds) { return seconds * 1e6 / generations; };
  const double took = since(start);
  std::cout << fmt::format(
      "{:3} at once, completed {:8}: {:6.1f} us of processor ({:5.1f} in the kernel), {:5.0f} a "
      "second, {:.2f} commits a generation\n",
      at_once, name_of(at_last), each(processor_time() - processor), each(kernel_time() - kernel),
      generations / took,
      static_cast<double>(store.status().commits - before.commits) / generations);
}

void measure_lookups(SqliteStore& store, const std::vector<RunRecord>& some, const char* what,
                     const std::function<RunQuery(const RunRecord&)>& query) {
  std::vector<double> times;
  double processor = processor_time();
  for (const RunRecord& record : some) {
    const auto start = Steady::now();
    Window window(1);
    window.enter();
    bool found = false;
    store.find(query(record), no_deadline,
               [&](const Result<std::vector<RunRecord>, StoreError>& result) {
                 found = result.has_value() && !result->empty() && result->front() == record;
                 window.leave();
               });
    window.wait_for_all();
    if (!found) {
      std::cerr << what << ": not found\n";
      std::exit(1);
    }
    times.push_back(since(start) * 1e6);
  }
  processor = (processor_time() - processor) * 1e6 / static_cast<double>(some.size());
  std::ranges::sort(times);
  std::cout << fmt::format(
      "lookup by {:8}: median {:5.1f} us, 99th of 100 {:5.1f} us, {:5.1f} us of processor\n", what,
      times[times.size() / 2], times[times.size() * 99 / 100], processor);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::cerr << "usage: bench_state FOLDER [RECORDS]\n", 2;
  const std::filesystem::path folder = argv[1];
  const std::uint64_t records = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000'000;
  std::vector<RunRecord> some;
  {
    const auto store = opened(folder);
    const auto start = Steady::now();
    const double processor = processor_time();
    some = fill(*store, records);
    std::cout << fmt::format("{} records written in {:.1f} s, {:.1f} us of processor each\n",
                             records, since(start),
                             (processor_time() - processor) * 1e6 / static_cast<double>(records));
  }
  std::cout << fmt::format("file: {} MB, {} bytes a record, of which {} are the record\n",
                           std::filesystem::file_size(folder / "falproxy.db") >> 20,
                           std::filesystem::file_size(folder / "falproxy.db") / records,
                           pack(some.front())->size());
  auto start = Steady::now();
  const auto store = opened(folder);
  std::cout << fmt::format("open: {:.1f} ms\n", since(start) * 1e3);
  while (!store->status().records) {
  }
  std::cout << fmt::format("counted: {} after {:.1f} ms\n", *store->status().records,
                           since(start) * 1e3);

  std::vector<RunRecord> promised;
  for (const RunRecord& record : some) {
    if (record.promised) promised.push_back(record);
  }
  measure_lookups(*store, promised, "id",
                  [](const RunRecord& r) { return RunQuery::of_id(r.id, r.owner); });
  measure_lookups(*store, some, "digest",
                  [](const RunRecord& r) { return RunQuery::of_digest(r.owner, r.digest); });
  measure_lookups(*store, promised, "key hash",
                  [](const RunRecord& r) { return RunQuery::of_key(r.owner, *r.key_hash); });

  // A plain picture, and one with an Idempotency-Key, which more is written of.
  std::uint64_t next = records;
  for (const std::uint64_t share : {0U, 4U}) {
    promised_of_four = share;
    std::cout << (share == 0 ? "nobody was promised anything:\n" : "with an Idempotency-Key:\n");
    for (const Durability at_last : {Durability::lazy, Durability::durable}) {
      for (const std::size_t at_once : {32U, 8U, 1U}) {
        const std::uint64_t count = at_once * 400;
        measure_generations(*store, next, at_once, at_last, count);
        next += count;
      }
    }
  }
}
