// spending_laws.hpp: what holds for every SpendingStore, wherever it keeps what was spent.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/spending_store.hpp"
#include "support/store_laws.hpp"

namespace falproxy::tests {

inline void charge(SpendingStore& store, std::vector<Charge> charges,
                   Durability durability = Durability::durable) {
  const Answer<Done> answer;
  store.charge(std::move(charges), durability, no_deadline, answer.callback());
  CHECK(answer.wait().has_value());
}

inline void add(SpendingStore& store, Spending spending) {
  const Answer<Done> answer;
  store.add(std::move(spending), no_deadline, answer.callback());
  CHECK(answer.wait().has_value());
}

inline std::vector<Spending> sum(SpendingStore& store, const SpendingQuery& query) {
  const Answer<std::vector<Spending>> answer;
  store.sum(query, no_deadline, answer.callback());
  return answer.wait().value();
}

inline std::vector<Balance> balances(SpendingStore& store, Day today) {
  const Answer<std::vector<Balance>> answer;
  store.balances(today, no_deadline, answer.callback());
  std::vector<Balance> all = answer.wait().value();
  std::ranges::sort(all, {}, &Balance::owner);
  return all;
}

inline std::string text(SpendingStore& store, const std::string& name) {
  const Answer<std::string> answer;
  store.get(name, no_deadline, answer.callback());
  return answer.wait().value();
}

inline void put(SpendingStore& store, const std::string& name, const std::string& text) {
  const Answer<Done> answer;
  store.put(name, text, no_deadline, answer.callback());
  CHECK(answer.wait().has_value());
}

inline void check_spending_laws(SpendingStore& store) {
  const Day sunday = *parse_day("2026-11-29");
  const Usd cent{10'000'000};
  CHECK(balances(store, sunday).empty());
  charge(store, {{"ann", sunday, cent}, {"*", sunday, cent}});
  charge(store, {{"ann", sunday - 1, cent}, {"ann", sunday - 10, cent}}, Durability::lazy);
  charge(store, {{"ann", sunday - 100, cent}, {"ann", sunday, Usd{} - Usd{1}}});
  const Usd less = cent - Usd{1};
  CHECK(balances(store, sunday) ==
        std::vector<Balance>{
            {"*", cent, cent, cent, cent},
            {"ann", less, less + cent, less + cent + cent, less + cent + cent + cent}});
  CHECK(balances(store, sunday + 1) ==
        std::vector<Balance>{{"*", {}, {}, cent, cent},
                             {"ann", {}, {}, less + cent + cent, less + cent + cent + cent}});

  const Spending one{.day = sunday,
                     .key = "ann",
                     .model = "flux",
                     .user = "u1",
                     .requests = 1,
                     .artifacts = 2,
                     .units = {2'000'000'000},
                     .cost = cent};
  // What fal's bill has changed afterwards, of a job whose cost was not known and of one that was.
  const Spending bill{.day = sunday - 1,
                      .key = "eve",
                      .model = "flux",
                      .unpriced = -1,
                      .cost = cent,
                      .corrected = cent};
  Spending other = one;
  other.model = "nano";
  other.user = "";
  other.failures = 1;
  other.unpriced = 1;
  other.cost = Usd{5};
  Spending third = one;
  third.key = "bob";
  third.day = sunday - 1;
  Spending unpriced{.day = sunday - 1, .key = "eve", .model = "flux", .requests = 1, .unpriced = 1};
  Spending cheaper{.day = sunday - 1,
                   .key = "eve",
                   .model = "flux",
                   .cost = Usd{} - Usd{7},
                   .corrected = Usd{} - Usd{7}};
  for (const Spending& spending : {unpriced, bill, cheaper}) add(store, spending);
  CHECK(sum(store, {.first = sunday - 1, .last = sunday, .by = SpendingBy::key}) ==
        std::vector<Spending>{
            {.key = "eve", .requests = 1, .cost = cent - Usd{7}, .corrected = cent - Usd{7}}});
  add(store, {.day = sunday - 1,
              .key = "eve",
              .model = "flux",
              .cost = Usd{7} - cent,
              .corrected = Usd{7} - cent});
  for (const Spending& spending : {one, one, other, third}) add(store, spending);
  const auto of = [&](SpendingBy by, std::optional<std::string> key = {}) {
    return sum(store, {.first = sunday - 1, .last = sunday, .by = by, .key = std::move(key)});
  };
  const std::vector<Spending> days = of(SpendingBy::day);
  REQUIRE(days.size() == 2);
  CHECK(days[0] == Spending{.day = sunday - 1,
                            .requests = 2,
                            .artifacts = 2,
                            .units = {2'000'000'000},
                            .cost = cent});
  CHECK(days[1] == Spending{.day = sunday,
                            .requests = 3,
                            .failures = 1,
                            .artifacts = 6,
                            .unpriced = 1,
                            .units = {6'000'000'000},
                            .cost = cent + cent + Usd{5}});
  const std::vector<Spending> keys = of(SpendingBy::key);
  REQUIRE(keys.size() == 3);
  CHECK(keys[2] == Spending{.key = "eve", .requests = 1});
  CHECK(keys[0].key == "ann");
  CHECK(keys[1] ==
        Spending{
            .key = "bob", .requests = 1, .artifacts = 2, .units = {2'000'000'000}, .cost = cent});
  CHECK(of(SpendingBy::model)[0].model == "flux");
  CHECK(of(SpendingBy::user)[0].user == "u1");
  CHECK(of(SpendingBy::user)[1].requests == 2);
  CHECK(of(SpendingBy::model, "bob").size() == 1);
  const Spending of_bob{
      .user = "u1", .requests = 1, .artifacts = 2, .units = {2'000'000'000}, .cost = cent};
  CHECK(of(SpendingBy::user, "bob") == std::vector<Spending>{of_bob});
  CHECK(of(SpendingBy::user, "b").empty());
  CHECK(of(SpendingBy::user, "zoe").empty());
  CHECK(sum(store, {.first = sunday + 1, .last = sunday + 2}).empty());
  const Answer<Done> forgotten;
  store.forget_spending(sunday, no_deadline, forgotten.callback());
  CHECK(forgotten.wait().has_value());
  CHECK(of(SpendingBy::day).size() == 1);
  CHECK(balances(store, sunday)[1].total == less + cent + cent + cent);

  CHECK(text(store, "a").empty());
  put(store, "a", "one");
  put(store, "b", "two");
  put(store, "a", "three");
  CHECK(text(store, "a") == "three");
  CHECK(text(store, "b") == "two");
  put(store, "a", "");
  CHECK(text(store, "a").empty());
}

}  // namespace falproxy::tests
