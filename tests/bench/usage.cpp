// How long a report of a month takes in which ten million answers were given. Usage: bench_usage
// FOLDER [ANSWERS]     The folder must be empty, and is left as it is.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <iostream>
#include <string>
#include <vector>

#include "falproxy/sqlite_store.hpp"

namespace {

using namespace falproxy;
using Steady = std::chrono::steady_clock;

constexpr Day first = 20'000, days = 30;
constexpr std::uint64_t keys = 200, models = 10, users_of_a_key = 150;

double since(Steady::time_point then) {
  return std::chrono::duration<double>(Steady::now() - then).count();
}

// As the server notes them, but that answers that have all names in common come at once.
void fill(SqliteStore& store, std::uint64_t answers) {
  const std::uint64_t a_day = answers / days;
  for (Day day = first; day < first + days; ++day) {
    std::uint64_t left = a_day;
    std::vector<std::future<bool>> done;
    for (std::uint64_t i = 0; left > 0; ++i) {
      const std::uint64_t user = i % users_of_a_key;
      const std::uint64_t some = std::min<std::uint64_t>(left, 1 + user % 3);
      left -= some;
      const auto one = std::make_shared<std::promise<bool>>();
      done.push_back(one->get_future());
      store.add({.day = day,
                 .key = fmt::format("team-{}", i / users_of_a_key % keys),
                 .model = fmt::format("model-{}", i / 7 % models),
                 .user = fmt::format("user-{}@example.com", user),
                 .requests = some,
                 .artifacts = some,
                 .units = {static_cast<std::int64_t>(some) * 1'000'000'000},
                 .cost = {static_cast<std::int64_t>(some) * 25'000'000}},
                no_deadline, [one](const Result<Done, StoreError>& result) {
                  one->set_value(result.has_value());
                });
      if (done.size() < 5'000 && left > 0) continue;
      for (std::future<bool>& each : done) {
        if (each.get()) continue;
        std::cerr << "the store took not all\n";
        std::exit(1);
      }
      done.clear();
    }
  }
}

void measure(SqliteStore& store, SpendingBy by) {
  std::vector<double> times;
  std::size_t rows = 0;
  std::uint64_t requests = 0;
  for (int i = 0; i < 9; ++i) {
    const auto start = Steady::now();
    std::promise<std::vector<Spending>> answer;
    store.sum({.first = first, .last = first + days - 1, .by = by}, no_deadline,
              [&](Result<std::vector<Spending>, StoreError> found) {
                answer.set_value(*std::move(found));
              });
    const std::vector<Spending> all = answer.get_future().get();
    times.push_back(since(start) * 1e3);
    rows = all.size();
    requests = 0;
    for (const Spending& one : all) requests += one.requests;
  }
  std::ranges::sort(times);
  std::cout << fmt::format(
      "by {:5}: {:7.1f} ms at the median, {:7.1f} ms at most; {} rows, {} "
      "answers\n",
      name_of(by), times[times.size() / 2], times.back(), rows, requests);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::cerr << "usage: bench_usage FOLDER [ANSWERS]\n", 2;
  const std::filesystem::path folder = argv[1];
  const std::uint64_t answers = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'000'000;
  const auto start = Steady::now();
  {
    const auto store = SqliteStore::open({.folder = folder}).value();
    fill(*store, answers);
  }
  std::cout << fmt::format("filled in {:.1f} s; file: {} MB\n", since(start),
                           std::filesystem::file_size(folder / "falproxy.db") >> 20);
  const auto store = SqliteStore::open({.folder = folder}).value();
  for (const SpendingBy by :
       {SpendingBy::day, SpendingBy::key, SpendingBy::model, SpendingBy::user})
    measure(*store, by);
}
