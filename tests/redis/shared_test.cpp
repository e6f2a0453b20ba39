// What several processes have in common.
#include "shared.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/spending_laws.hpp"

using namespace falproxy;
using tests::Answer;
using tests::RedisServer;

namespace {

RunRecord keyed(unsigned number) {
  RunRecord record = tests::run(number);
  record.key_hash = tests::digest_of(900);
  return record;
}

std::optional<RunId> claim(StateStore& store, const RunRecord& record,
                           std::vector<RunId> known = {}) {
  const Answer<std::optional<RunId>> answer;
  store.claim(record, std::move(known), no_deadline, answer.callback());
  const auto claimed = answer.wait();
  REQUIRE(claimed.has_value());
  return *claimed;
}

bool take(Peers& peers, const std::string& ticket, int limit) {
  const Answer<bool> answer;
  peers.take_place("account", ticket, limit, no_deadline, answer.callback());
  const auto taken = answer.wait();
  REQUIRE(taken.has_value());
  return *taken;
}

template <class Test>
bool comes_true(Test&& test) {
  for (int tries = 0; tries < 2'000; ++tries) {
    if (test()) return true;
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("of two that claim a key one is told of the other") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto one = tests::opened(tests::options_for(server, 1));
  const auto two = tests::opened(tests::options_for(server, 2));
  CHECK(claim(*one, keyed(1)) == std::nullopt);
  CHECK(claim(*two, keyed(2)) == tests::run_id(1));
  CHECK(tests::numbers(tests::find(*two, RunQuery::of_key("alice", tests::digest_of(900)))) == "1");
  CHECK(claim(*two, keyed(2), {tests::run_id(1)}) == std::nullopt);

  RunRecord bob = keyed(3);
  bob.owner = "bob";
  CHECK(claim(*two, bob) == std::nullopt);
}

TEST_CASE("what fal has had holds its key, and what it never had does not") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto store = tests::opened(tests::options_for(server));
  RunRecord refused = keyed(1);
  REQUIRE(claim(*store, refused) == std::nullopt);
  refused.fence = 2;
  refused.state = refused.jobs.front().state = RunState::failed;
  REQUIRE(tests::write(*store, refused).has_value());
  CHECK(claim(*store, keyed(2)) == std::nullopt);

  RunRecord made = keyed(2);
  made.fence = 2;
  made.state = made.jobs.front().state = RunState::completed;
  made.jobs.front().request_id = "764cabcf";
  REQUIRE(tests::write(*store, made).has_value());
  CHECK(claim(*store, keyed(3)) == tests::run_id(2));
}

TEST_CASE("a budget is one for all, to the last cent") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const Day today = 20'000;
  const SpendingBound bound{"ann", BudgetWindow::day, Usd{100}};
  std::atomic<int> charged = 0;
  std::vector<std::thread> threads;
  for (unsigned process = 1; process <= 3; ++process) {
    threads.emplace_back([&, process] {
      const auto store = tests::opened(tests::options_for(server, process));
      for (int i = 0; i < 20; ++i) {
        const Answer<Charged> answer;
        store->charge_within({{"ann", today, Usd{7}}}, {bound}, today, no_deadline,
                             answer.callback());
        const auto told = answer.wait();
        if (told.has_value() && told->done) ++charged;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(charged == 14);
  const auto store = tests::opened(tests::options_for(server));
  CHECK(tests::balances(*store, today).front().day == Usd{98});

  // The next day is another window, and the total goes on.
  Answer<Charged> answer;
  store->charge_within({{"ann", today + 1, Usd{7}}}, {bound}, today + 1, no_deadline,
                       answer.callback());
  CHECK(answer.wait().value() ==
        Charged{true,
                {{.owner = "ann",
                  .day = Usd{7},
                  .week = Usd{first_day(BudgetWindow::week, today + 1) <= today ? 105 : 7},
                  .month = Usd{first_day(BudgetWindow::month, today + 1) <= today ? 105 : 7},
                  .total = Usd{105}}}});
  const Answer<Charged> more;
  store->charge_within({{"ann", today + 1, Usd{1}}}, {{"ann", BudgetWindow::total, Usd{105}}},
                       today + 1, no_deadline, more.callback());
  CHECK_FALSE(more.wait().value().done);
}

TEST_CASE("of two that change a text at once neither undoes the other") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto one = tests::opened(tests::options_for(server, 1));
  const auto two = tests::opened(tests::options_for(server, 2));
  const auto newer = [](SpendingStore& store, std::optional<std::uint64_t> version) {
    const Answer<std::optional<KeptText>> answer;
    store.get_newer("keys", version, no_deadline, answer.callback());
    return answer.wait().value();
  };
  const auto put = [](SpendingStore& store, std::uint64_t version, const std::string& text) {
    const Answer<bool> answer;
    store.put_after("keys", version, text, no_deadline, answer.callback());
    return answer.wait().value();
  };
  const std::optional<KeptText> none = newer(*one, std::nullopt);
  REQUIRE(none.has_value());
  CHECK(*none == KeptText());
  CHECK(put(*one, none->version, "a"));
  CHECK_FALSE(put(*two, none->version, "b"));
  const std::optional<KeptText> kept = newer(*two, none->version);
  REQUIRE(kept.has_value());
  CHECK(kept->text == "a");
  CHECK(newer(*one, kept->version) == std::nullopt);
  const Answer<Done> over;
  one->put("keys", "c", no_deadline, over.callback());
  REQUIRE(over.wait().has_value());
  CHECK_FALSE(put(*two, kept->version, "b"));

  std::vector<std::thread> threads;
  for (RedisStore* const store : {one.get(), two.get()}) {
    threads.emplace_back([store] {
      for (int i = 0; i < 20; ++i) {
        const Answer<Done> done;
        edit_text(
            *store, "keys", [](const std::string& text) { return text + "+"; }, no_deadline,
            done.callback());
        REQUIRE(done.wait().has_value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(newer(*one, std::nullopt).value_or(KeptText()).text == "c" + std::string(40, '+'));
}

TEST_CASE("a large report, and many owners, are read whole, in steps") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto store = tests::opened(tests::options_for(server));
  constexpr std::size_t users = 1'500;
  const Day today = 20'000;
  for (const char* const key : {"a*n", "ann"}) {
    std::vector<Answer<Done>> answers(2 * users);
    for (std::size_t user = 0; user < users; ++user) {
      const std::string name = "u" + std::to_string(user);
      store->add({.day = today - static_cast<Day>(user % 2),
                  .key = key,
                  .model = "flux",
                  .user = name,
                  .requests = 1,
                  .cost = Usd{2}},
                 no_deadline, answers[2 * user].callback());
      store->charge({{key + name, today, Usd{3}}}, Durability::lazy, no_deadline,
                    answers[2 * user + 1].callback());
    }
    for (const Answer<Done>& answer : answers) REQUIRE(answer.wait().has_value());
  }
  const Answer<std::vector<Spending>> sum;
  store->sum({.first = today - 1, .last = today, .by = SpendingBy::key, .key = "a*n"}, no_deadline,
             sum.callback());
  const auto rows = sum.wait();
  REQUIRE(rows.has_value());
  REQUIRE(rows->size() == 1);
  CHECK(rows->front() == Spending{.key = "a*n", .requests = users, .cost = Usd{2 * users}});
  CHECK(server.figure("cmdstat_hscan:calls") > 4);
  const std::vector<Balance> balances = tests::balances(*store, today);
  CHECK(balances.size() == 2 * users);
  for (const Balance& balance : balances) REQUIRE(balance.week == Usd{3});
}

TEST_CASE("an account has so many places, for all together") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto one = tests::opened(tests::options_for(server, 1));
  const auto two = tests::opened(tests::options_for(server, 2));
  CHECK(take(*one, "a", 2));
  CHECK(take(*two, "b", 2));
  CHECK_FALSE(take(*one, "c", 2));
  CHECK_FALSE(take(*two, "d", 2));
  CHECK(take(*one, "a", 2));  // it has it
  two->give_back("account", "b");
  CHECK(comes_true([&] { return take(*one, "c", 2); }));
  CHECK_FALSE(take(*two, "d", 2));
}

TEST_CASE("a process that ends gives its places back, and one that dies loses them") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  RedisStore::Options options = tests::options_for(server, 1);
  options.lease = Milliseconds(3'000);
  options.beat = Milliseconds(20);
  const auto one = tests::opened(options);
  options.self = tests::run_id(2);
  auto two = tests::opened(options);
  REQUIRE(take(*two, "b", 1));
  CHECK(comes_true([&] { return one->count() == 2; }));
  CHECK_FALSE(one->is_gone(tests::run_id(2)));
  two.reset();
  CHECK(take(*one, "a", 1));
  CHECK(comes_true([&] { return one->is_gone(tests::run_id(2)); }));
  CHECK(one->count() == 1);
  CHECK_FALSE(one->is_gone(tests::run_id(1)));
  one->give_back("account", "a");

  // Whoever says nothing for long loses what it has.
  options.beat = Milliseconds(3'600'000);
  auto silent = tests::opened(options);
  REQUIRE(comes_true([&] { return take(*silent, "c", 1); }));
  CHECK_FALSE(take(*one, "d", 1));
  CHECK(comes_true([&] { return take(*one, "d", 1); }));
}

TEST_CASE("places outlast a Redis that forgets") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  RedisStore::Options options = tests::options_for(server, 1);
  options.beat = Milliseconds(20);
  const auto one = tests::opened(options);
  REQUIRE(take(*one, "a", 1));
  server.stop();
  server.start();
  CHECK(comes_true([&] {
    const auto two = tests::opened(tests::options_for(server, 2));
    return !take(*two, "b", 1);
  }));
}

TEST_CASE("who only asks for a place gets none by a connection that is made anew") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  RedisStore::Options options = tests::options_for(server, 1);
  options.beat = Milliseconds(1);
  const auto one = tests::opened(options);
  const auto two = tests::opened(tests::options_for(server, 2));
  REQUIRE(take(*two, "a", 1));
  for (int i = 0; i < 200; ++i) {
    tests::say(server, {"CLIENT", "KILL", "TYPE", "normal"});
    CHECK_FALSE(take(*one, "b" + std::to_string(i), 1));
  }
}

namespace {

Charged post_within(SpendingStore& store, const Posting& posting, Usd bound) {
  const Answer<Charged> answer;
  store.post_within(posting, {{"ann", BudgetWindow::total, bound}}, 20'000, no_deadline,
                    answer.callback());
  const auto told = answer.wait();
  REQUIRE(told.has_value());
  return *told;
}

void post(SpendingStore& store, const Posting& posting) {
  const Answer<Done> answer;
  store.post(posting, no_deadline, answer.callback());
  REQUIRE(answer.wait().has_value());
}

}  // namespace

TEST_CASE("what has a name is posted once, whoever asks for it") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto one = tests::opened(tests::options_for(server, 1));
  const auto two = tests::opened(tests::options_for(server, 2));
  const Posting settled{.once = "settled:764cabcf",
                        .charges = {{"ann", 20'000, Usd{7}}, {"*", 20'000, Usd{7}}},
                        .spending = {.day = 20'000, .key = "ann", .cost = Usd{7}}};
  for (SpendingStore* store : {one.get(), two.get(), one.get()}) post(*store, settled);
  CHECK(tests::balances(*two, 20'000).back().total == Usd{7});
  CHECK(tests::sum(*two, {.first = 20'000, .last = 20'000}) ==
        std::vector<Spending>{{.day = 20'000, .cost = Usd{7}}});
}

TEST_CASE("what is taken back was never charged, though it is charged later") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto store = tests::opened(tests::options_for(server));
  const Posting first{.once = "1", .charges = {{"ann", 20'000, Usd{7}}}};
  Posting back = first;
  back.takes_back = true;
  CHECK(post_within(*store, first, Usd{10}).done);
  CHECK(post_within(*store, first, Usd{10}).done);  // it is, already
  CHECK_FALSE(post_within(*store, {.charges = first.charges}, Usd{10}).done);
  for (int i = 0; i < 2; ++i) post(*store, back);
  CHECK(tests::balances(*store, 20'000).front().total == Usd{});
  // It overtook the charge.
  Posting second = first;
  second.once = back.once = "2";
  post(*store, back);
  CHECK_FALSE(post_within(*store, second, Usd{10}).done);
  CHECK(tests::balances(*store, 20'000).front().total == Usd{});
}

TEST_CASE("a text that was emptied is not brought back by who has an older one") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto store = tests::opened(tests::options_for(server));
  const auto first = [&](const std::string& text) {
    const Answer<KeptText> answer;
    store->put_first("keys", text, no_deadline, answer.callback());
    return answer.wait().value().text;
  };
  CHECK(first("a") == "a");
  CHECK(first("b") == "a");
  const Answer<Done> emptied;
  store->put("keys", "", no_deadline, emptied.callback());
  REQUIRE(emptied.wait().has_value());
  CHECK(first("b") == "");
}
