// What a request is estimated to cost, over real documents, beside what a stand-in for fal bills
// for it: that counts the files that it has made, by code that shares nothing with the estimate.
#include "falproxy/money.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/fal_desk.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/profile.hpp"
#include "support/shared_documents.hpp"

namespace falproxy {
namespace {

using MoneyRaw = nlohmann::json;

struct MoneyFal {
  MoneyFal()
      : fal(clock, {.job_time = Milliseconds(2500), .schemas = shared_documents::folder()}) {}

  Result<HttpResponse, TransportError> ask(HttpRequest request) {
    return fetch(fal, request, clock.now() + std::chrono::hours(1), stop, 64u << 20);
  }

  std::optional<Price> price_of(const std::string& endpoint) {
    const auto got = ask(fal::pricing_request(testing::InProcessFal::addresses(),
                                              std::vector{endpoint}, Secret("id:secret")));
    REQUIRE(got);
    PriceTable table;
    const Result<Json> answer = Json::parse(got->body);
    REQUIRE(answer);
    REQUIRE(read_prices(*answer, table));
    const auto found = table.find(endpoint);
    return found == table.end() ? std::nullopt : std::optional(found->second);
  }

  // Of one job; none: fal refuses its input, which other tests judge.
  std::optional<Units> billed(const std::string& endpoint, Body input) {
    const auto id = fal::EndpointId::parse(endpoint);
    REQUIRE(id);
    const auto got = ask(fal::run_request(testing::InProcessFal::addresses(), *id,
                                          Secret("id:secret"), std::move(input)));
    REQUIRE(got);
    const auto units = got->head.headers.find("x-fal-billable-units");
    if (got->head.status != 200 || !units) return std::nullopt;
    return Units::nearest(std::strtod(std::string(*units).c_str(), nullptr));
  }

  testing::VirtualClock clock;
  testing::InProcessFal fal;
  std::stop_token stop;
};

std::vector<Wish> wishes_for(const profile::Profile& profile) {
  std::vector<Wish> wishes;
  const auto add = [&](auto&& change) {
    Wish wish;
    wish.makes = profile.makes.value_or(Medium::image);
    wish.model = "a-model";
    wish.prompt = "A lighthouse at dusk: größer als erwartet.";
    change(wish);
    for (const bool with_picture : {false, true}) {
      wishes.push_back(wish);
      if (with_picture) wishes.back().images.push_back({.url = "https://example.com/a.png"});
    }
  };
  add([](Wish&) {});
  if (wishes.front().makes == Medium::image) {
    add([](Wish& wish) { wish.n = 3; });
    for (const auto& [width, height] : {std::pair(1024U, 1024U), {1536U, 1024U}, {512U, 768U}}) {
      add([&, w = width, h = height](Wish& wish) {
        wish.size = {SizeWish::Kind::pixels, w, h};
        wish.n = 2;
      });
    }
  } else {
    for (const double seconds : {5.0, 8.0}) add([&](Wish& wish) { wish.seconds = seconds; });
  }
  return wishes;
}

struct Reckoning {
  int right = 0, unknown = 0, refused = 0;
  std::vector<std::string> wrong;
};

void reckon(MoneyFal& world, const std::string& endpoint, const Price& price,
            const plan::Plan& plan, Reckoning& sums) {
  for (const plan::JobInput& job : plan.jobs) {
    const std::vector<Body> pictures(10, Body("https://example.com/a.png"));
    const std::optional<Units> billed =
        world.billed(endpoint, plan::render(job, pictures, Body("https://example.com/m.png")));
    if (!billed) {
      ++sums.refused;
      continue;
    }
    const std::optional<Units> expected = expected_units(price, plan::expected_of(plan, job));
    if (!expected) {
      ++sums.unknown;
      continue;
    }
    const auto estimate = static_cast<double>(cost(price.unit_price, *expected).nano);
    const auto real = static_cast<double>(cost(price.unit_price, *billed).nano);
    if (std::abs(estimate - real) <= 0.01 * real) {
      ++sums.right;
    } else {
      sums.wrong.push_back(endpoint + ": " + expected->to_string() + " " + price.unit +
                           " were expected, and " + billed->to_string() +
                           " billed: " + job.input.dump());
    }
  }
}

}  // namespace

TEST_CASE("over real documents a cost is estimated right, or said to be unknown") {
  const std::vector<shared_documents::Document> documents = shared_documents::read();
  if (documents.empty()) return;
  MoneyFal world;
  std::map<UnitKind, Reckoning> by_kind;
  for (const shared_documents::Document& document : documents) {
    const auto profile = profile::read_profile(document.text);
    const MoneyRaw::json_pointer id("/info/x-fal-metadata/endpointId");
    if (!profile || !document.json.contains(id)) continue;
    const std::string endpoint = document.json[id].get<std::string>();
    const std::optional<Price> price = world.price_of(endpoint);
    if (!price) continue;
    for (const Wish& wish : wishes_for(**profile)) {
      const Result<plan::Plan> plan = plan::make_plan(wish, **profile, {}, {});
      if (plan) reckon(world, endpoint, *price, *plan, by_kind[price->kind()]);
    }
  }
  std::size_t wrong = 0;
  for (const auto& [kind, sums] : by_kind) {
    std::cout << name_of(kind) << ": " << sums.right << " right, " << sums.unknown << " unknown, "
              << sums.wrong.size() << " wrong, " << sums.refused << " refused\n";
    wrong += sums.wrong.size();
    for (std::size_t i = 0; i < std::min<std::size_t>(sums.wrong.size(), 40); ++i)
      std::cout << "  " << sums.wrong[i] << '\n';
  }
  CHECK(wrong == 0);
  // What is known afterwards only is nothing that anybody guesses.
  CHECK(by_kind[UnitKind::other].right == 0);
  for (const UnitKind kind : {UnitKind::image, UnitKind::megapixel, UnitKind::second,
                              UnitKind::characters, UnitKind::request})
    CHECK(by_kind[kind].right > 0);
}

}  // namespace falproxy
