// What answers cost, what keys may spend, and what is left of that after a kill.
#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "configuration.hpp"
#include "folder.hpp"
#include "program.hpp"
#include "raw_client.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const std::string money_pictures = "/v1/images/generations";
const std::string money_ann = key_field("ann-has-this-key");

std::string money_body(int number, std::string_view more = {}) {
  return R"({"model":"flux","prompt":"number )" + std::to_string(number) + "\"" +
         std::string(more) + "}";
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path) << text;
}

/// Settings of a server whose ann may spend what `row` says, at a cent for a picture of flux.
Environment with_budget(const testing::Folder& folder, const std::string& row) {
  write_file(folder.path() / "keys.json", R"({"ann": {"key": "ann-has-this-key", )" + row + "}}");
  write_file(folder.path() / "prices.json",
             R"({"fal-ai/flux/dev": {"unit_price": "0.01", "unit": "images"}})");
  return {{"KEYS_FILE", (folder.path() / "keys.json").string()},
          {"PRICES_FILE", (folder.path() / "prices.json").string()},
          {"STATE_DIR", (folder.path() / "state").string()},
          {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev"}};
}

struct MoneyServed {
  explicit MoneyServed(const std::string& row) : server(with_budget(folder, row)) {
    server.wait_for_documents();
    CHECK(test::eventually([&] {
      return get("/v1/models", money_ann).body.find("unit_price_usd") != std::string::npos;
    }));
  }
  [[nodiscard]] Received ask(const std::string& body, const std::string& fields = {}) const {
    // What was spent is known a moment after the start.
    Received got;
    CHECK(test::eventually([&] {
      RawClient client(server.port());
      got = client.exchange(test::post(money_pictures, body, money_ann + fields));
      return got.body.find("What is spent cannot be noted now") == std::string::npos;
    }));
    return got;
  }
  [[nodiscard]] Received get(const std::string& path, const std::string& key) const {
    RawClient client(server.port());
    return client.exchange(test::get(path, key));
  }
  testing::Folder folder;
  Served server;
};

}  // namespace

TEST_CASE("of 200 requests at once on a budget for seven, seven are submitted; after a kill none") {
  const testing::Folder folder;
  falsim::Falsim sim = std::move(falsim::Falsim::start({.job_time = Milliseconds(100)})).value();
  const Environment settings = with_budget(folder, R"("budget": "0.07/total")");
  auto program = std::make_unique<Program>(sim, settings);
  const auto ask_all = [&](int from) {
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 200; ++i) {
      clients.push_back(std::make_unique<RawClient>(program->port()));
      clients.back()->send(test::post(money_pictures, money_body(from + i), money_ann));
    }
    std::map<int, int> statuses;
    for (const auto& client : clients) {
      const Received got = client->receive();
      ++statuses[got.status];
      if (got.status != 429) continue;
      CHECK(text_at(got.body, "error.code") == "insufficient_quota");
      CHECK(text_at(got.body, "error.type") == "insufficient_quota");
      CHECK(got.header("x-should-retry") == "false");
      CHECK(got.header("retry-after").empty());
    }
    return statuses;
  };
  // What was spent is known a moment after the start, and until then it is 503. What there is no
  // room for at all is never submitted.
  const auto wait_for_budgets = [&] {
    CHECK(test::eventually([&] {
      RawClient client(program->port());
      return client.exchange(test::post(money_pictures, money_body(0, R"(,"n":8)"), money_ann))
                 .status == 429;
    }));
  };
  wait_for_budgets();
  const std::map<int, int> statuses = ask_all(0);
  CHECK(sim.stats().submits == 7);
  CHECK(statuses == std::map<int, int>{{200, 7}, {429, 193}});
  program->signal(SIGKILL);
  REQUIRE(program->wait(Seconds(20)) == 128 + SIGKILL);
  program = std::make_unique<Program>(sim, settings);
  wait_for_budgets();
  CHECK(ask_all(100'000) == std::map<int, int>{{429, 200}});
  CHECK(sim.stats().submits == 7);
}

TEST_CASE("a kill in the middle of jobs leaves what they may cost spent") {
  const testing::Folder folder;
  falsim::Falsim sim = std::move(falsim::Falsim::start({.job_time = Seconds(600)})).value();
  const Environment settings = with_budget(folder, R"("budget": "0.03/total")");
  auto program = std::make_unique<Program>(sim, settings);
  std::vector<std::unique_ptr<RawClient>> clients;
  const auto submits = [](int wanted) {
    return [wanted](const falsim::FalsimStats& s) {
      return s.submits >= static_cast<std::uint64_t>(wanted);
    };
  };
  for (int tries = 0; tries < 200 && sim.stats().submits < 3; ++tries) {
    clients.push_back(std::make_unique<RawClient>(program->port()));
    clients.back()->send(test::post(money_pictures, money_body(tries), money_ann));
    static_cast<void>(sim.wait_for(submits(1), Milliseconds(100)));
  }
  REQUIRE(sim.wait_for(submits(3)));
  program->signal(SIGKILL);
  REQUIRE(program->wait(Seconds(20)) == 128 + SIGKILL);
  program = std::make_unique<Program>(sim, settings);
  const auto ask_once = [&](int number) {
    RawClient client(program->port());
    return client.exchange(test::post(money_pictures, money_body(number), money_ann)).status;
  };
  // Until what was spent is known, nobody is served.
  int first = 503;
  CHECK(test::eventually([&] { return (first = ask_once(999)) != 503; }));
  CHECK(first == 429);
  for (int i = 0; i < 20; ++i) CHECK(ask_once(1000 + i) == 429);
  CHECK(sim.stats().submits == 3);
}

TEST_CASE("an answer tells what it cost, and what is left") {
  const MoneyServed world(R"("budget": "1.00/day")");
  const Received got = world.ask(money_body(1, R"(,"n":3)"));
  REQUIRE(got.status == 200);
  CHECK(got.header("x-falproxy-cost-usd") == "0.03");
  CHECK(got.header("x-falproxy-budget-remaining-usd") == "0.97");
  CHECK(at(got.body, "usage.cost").as_number() == 0.03);
  const Received streamed = world.ask(money_body(2, R"(,"stream":true)"));
  CHECK(streamed.body.find("x-falproxy-cost-usd: 0.01\n") != std::string::npos);
  CHECK(streamed.body.find(R"("cost":0.01})") != std::string::npos);
  CHECK(streamed.body.find("x-falproxy-budget-remaining-usd: 0.96\n") != std::string::npos);
}

TEST_CASE("over its budget a key is told until when, and another key goes on") {
  const MoneyServed world(R"("budget": "0.01/day")");
  CHECK(world.ask(money_body(1)).status == 200);
  const Received refused = world.ask(money_body(2));
  CHECK(refused.status == 429);
  CHECK(refused.header("x-falproxy-budget-remaining-usd") == "0.00");
  CHECK(text_at(refused.body, "error.message").find("T00:00:00Z") != std::string::npos);
  CHECK(world.server.post(money_pictures, money_body(3)).status == 200);
  CHECK(world.server.post(money_pictures, money_body(3)).header("x-falproxy-cost-usd") == "0.01");
  CHECK(world.server.post(money_pictures, money_body(4))
            .header("x-falproxy-budget-remaining-usd")
            .empty());
}

TEST_CASE("a failure that fal does not bill gives back what was reserved") {
  MoneyServed world(R"("budget": "0.01/day")");
  world.server.sim.add_fault(
      {.step = falsim::Step::result,
       .times = 1,
       .answer = falsim::Answer{.status = 500, .body = R"({"detail":"Internal Server Error"})"}});
  CHECK(world.ask(money_body(1)).status >= 500);
  CHECK(world.ask(money_body(2)).status == 200);
  CHECK(world.ask(money_body(3)).status == 429);
}

TEST_CASE("prices come from fal, and what a request would cost is told before it is sent") {
  falsim::Falsim sim = std::move(falsim::Falsim::start(Served::quick())).value();
  const std::string api = sim.api_url();
  const Served server({}, std::move(sim), [&](const falsim::Falsim&) {
    return Environment{{"FAL_API_URL", api}, {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev"}};
  });
  server.wait_for_documents();
  REQUIRE(test::eventually([&] {
    return server.get("/v1/models/flux").body.find("unit_price_usd") != std::string::npos;
  }));
  const std::string model = server.get("/v1/models/flux").body;
  CHECK(model.find(R"("unit_price_usd":"0.025")") != std::string::npos);
  CHECK(model.find(R"("estimate_usd":"0.025")") != std::string::npos);
  for (const std::string size : {"1024x1024", "1536x1024", "512x512"}) {
    CAPTURE(size);
    const std::string body = money_body(1, R"(,"n":2,"size":")" + size + "\"");
    const std::string estimate = text_at(
        server.post(money_pictures, body, "x-falproxy-explain: 1\r\n").body, "estimate_usd");
    const Received made = server.post(money_pictures, body);
    REQUIRE(made.status == 200);
    CHECK_FALSE(estimate.empty());
    CHECK(made.header("x-falproxy-cost-usd") == estimate);
  }
}

TEST_CASE("prices that a reload takes out of PRICES_FILE do not count any more") {
  const testing::Folder folder;
  const Served server(with_budget(folder, R"("unknown_price": "refuse", "budget": "1.00/day")"));
  server.wait_for_documents();
  const auto ask = [&] {
    RawClient client(server.port());
    return client.exchange(test::post(money_pictures, money_body(1), money_ann)).status;
  };
  REQUIRE(test::eventually([&] { return ask() == 200; }));
  write_file(folder.path() / "prices.json", "{}");
  auto next = load_configuration(
      "/dev/null", server.environment({{"KEYS_FILE", (folder.path() / "keys.json").string()},
                                       {"PRICES_FILE", (folder.path() / "prices.json").string()},
                                       {"STATE_DIR", (folder.path() / "state").string()},
                                       {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev"}}));
  REQUIRE(next.has_value());
  server.service->reload(std::move(next).value());
  CHECK(ask() == 400);
  CHECK(server.get("/v1/models/flux").body.find("unit_price_usd") == std::string::npos);
}

TEST_CASE("a request that runs out of time while fal works on is followed, settled and kept") {
  const testing::Folder folder;
  Environment settings = with_budget(folder, R"("budget": "1.00/day")");
  settings["MEDIA_STORE"] = "dir:" + folder.at("media");
  const Served server(settings, {.job_time = Milliseconds(6'000)});
  server.wait_for_documents();
  const auto get = [&](const std::string& path) {
    return RawClient(server.port()).exchange(test::get(path, money_ann)).body;
  };
  REQUIRE(test::eventually(
      [&] { return get("/v1/models").find("unit_price_usd") != std::string::npos; }));
  const auto ask = [&](const std::string& fields) {
    return RawClient(server.port())
        .exchange(test::post(money_pictures, money_body(1, R"(,"response_format":"url")"),
                             money_ann + "Idempotency-Key: k-1\r\n" + fields));
  };
  const Received late = ask("x-stainless-timeout: 3\r\n");
  CHECK(late.status == 504);
  REQUIRE(test::eventually(
      [&] { return text_at(get("/v1/falproxy/jobs"), "data.0.status") == "completed"; }));
  CHECK(text_at(get("/v1/falproxy/jobs"), "data.0.cost_usd") == "0.01");
  CHECK(text_at(get("/v1/falproxy/status"), "cost_usd") == "0.01");
  REQUIRE(test::eventually(
      [&] { return text_at(get("/v1/falproxy/media"), "data.0.status") == "kept"; }));
  CHECK(text_at(get("/v1/falproxy/media"), "data.0.cost_usd") == "0.01");
  const Received again = ask("");
  CHECK(again.status == 200);
  CHECK(again.header("idempotent-replayed") == "true");
  CHECK(server.sim.stats().submits == 1);
}

TEST_CASE("runs that go on without their requests count against the limit of their key") {
  MoneyServed world(R"("budget": "1.00/day", "max_in_flight": 1)");
  world.server.sim.add_fault(
      {.step = falsim::Step::submit, .job = {.job_time = Milliseconds(600'000)}});
  const auto ask = [&](const std::string& key) {
    return world.ask(money_body(1), "Idempotency-Key: " + key + "\r\nx-stainless-timeout: 3\r\n")
        .status;
  };
  CHECK(ask("k-1") == 504);
  CHECK(ask("k-1") == 504);  // it is let in, and waits for the same job
  CHECK(world.server.sim.stats().submits == 1);
  CHECK(ask("k-2") == 504);
  CHECK(ask("k-3") == 429);
  CHECK(world.server.sim.stats().submits == 2);
}

TEST_CASE("what a repeat pays for a job that was cancelled counts, and what was paid before once") {
  MoneyServed world(R"("budget": "1.00/day")");
  world.server.sim.add_fault({.step = falsim::Step::submit,
                              .skip = 1,
                              .times = 1,
                              .job = {.job_time = Milliseconds(60'000)}});
  const std::string five = money_body(1, R"(,"n":5)");
  CHECK(world.ask(five, "x-stainless-timeout: 4\r\n").status == 200);
  const auto costs = [&] {
    return text_at(world.get("/v1/falproxy/status", money_ann).body, "cost_usd");
  };
  const std::string before = costs();
  CHECK(before != "0.05");
  CHECK(world.ask(five, "x-stainless-retry-count: 1\r\n").header("x-falproxy-cost-usd") == "0.05");
  CHECK(costs() == "0.05");
  CHECK(world.ask(five, "x-stainless-retry-count: 2\r\n").header("x-falproxy-cost-usd") == "0.05");
  CHECK(costs() == "0.05");
}

TEST_CASE("what a job of any endpoint cost stands under one name in the metrics") {
  const testing::Folder folder;
  Environment settings = with_budget(folder, R"("budget": "1.00/day")");
  settings.erase("KEYS_FILE");
  settings["ALLOW_ANY_MODEL"] = "true";
  const Served server(settings);
  server.wait_for_documents();
  const std::string body = R"({"model":"fal-ai/flux/dev","prompt":"a"})";
  REQUIRE(test::eventually(
      [&] { return server.post(money_pictures, body).header("x-falproxy-cost-usd") == "0.01"; }));
  const std::string metrics = server.get("/metrics").body;
  CHECK(metrics.find(R"(falproxy_cost_usd_total{key="default",model="other"})") !=
        std::string::npos);
  CHECK(metrics.find(R"(falproxy_cost_usd_total{key="default",model="fal-ai)") ==
        std::string::npos);
}

TEST_CASE("usage is told by day, key, model and user, to each key its own") {
  const MoneyServed world(R"("user_header": "X-OpenWebUI-User-Id")");
  CHECK(world.ask(money_body(1, R"(,"n":2)"), "X-OpenWebUI-User-Id: u1\r\n").status == 200);
  CHECK(world.ask(money_body(2, R"(,"user":"u2")")).status == 200);
  CHECK(world.server.post(money_pictures, money_body(3)).status == 200);
  const auto usage = [&](const std::string& query, const std::string& key = money_ann) {
    return world.get("/v1/falproxy/usage" + query, key);
  };
  REQUIRE(test::eventually(
      [&] { return at(usage("?group_by=user").body, "data.0.cost_usd").as_number() == 0.02; }));
  const std::string users = usage("?group_by=user").body;
  CHECK(text_at(users, "object") == "list");
  CHECK(text_at(users, "data.0.user") == "u1");
  CHECK(at(users, "data.0.requests").as_integer() == 1);
  CHECK(at(users, "data.0.artifacts").as_integer() == 2);
  CHECK(at(users, "data.0.units").as_integer() == 2);
  CHECK(text_at(users, "data.1.user") == "u2");
  CHECK(at(users, "data.1.cost_usd").as_number() == 0.01);
  const std::string days = usage("").body;
  CHECK(at(days, "data").size() == 1);
  CHECK(at(days, "data.0.cost_usd").as_number() == 0.03);
  CHECK(text_at(usage("?group_by=model").body, "data.0.model") == "flux");
  const std::string keys = usage("?group_by=key").body;
  CHECK(at(keys, "data").size() == 1);
  CHECK(text_at(keys, "data.0.key") == "ann");
  CHECK(text_at(world.get("/v1/falproxy/status", money_ann).body, "cost_usd") == "0.03");
  CHECK(at(usage("?start=2020-01-01&end=2020-12-31").body, "data").size() == 0);
  const Received csv = usage("?group_by=user&format=csv");
  CHECK(csv.header("content-type") == "text/csv; charset=utf-8");
  CHECK(csv.body.find("\"u1\",1,0,2,2,0.02,0,0.00\r\n") != std::string::npos);
  for (const char* wrong :
       {"?start=x", "?group_by=cat", "?format=xml", "?start=2026-01-02&end=2026-01-01"}) {
    CAPTURE(wrong);
    CHECK(usage(wrong).status == 400);
  }
  CHECK(usage("", key_field("nobody-has-this")).status == 401);
}

TEST_CASE("an alert is posted when a budget is spent") {
  const testing::Folder folder;
  falsim::Falsim sim = std::move(falsim::Falsim::start(Served::quick())).value();
  const std::string elsewhere = sim.elsewhere_url();
  Environment settings = with_budget(folder, R"("budget": "0.01/day")");
  settings["ALERT_URL"] = elsewhere + "/alerts?token=of-an-alert";
  const Served server({}, std::move(sim), [&](const falsim::Falsim& running) {
    Environment all = settings;
    all.emplace("FAL_API_URL", running.api_url());
    return all;
  });
  server.wait_for_documents();
  const auto ask = [&](int number) {
    RawClient client(server.port());
    return client.exchange(test::post(money_pictures, money_body(number), money_ann)).status;
  };
  REQUIRE(test::eventually([&] { return ask(1) == 200; }));
  CHECK(server.sim.wait_for([](const falsim::FalsimStats& s) { return s.elsewhere >= 1; }));
  CHECK(test::eventually([&] {
    return server.log().find("The key 'ann' has spent 0.01 USD of its budget of 0.01/day.") !=
           std::string::npos;
  }));
  CHECK(server.log().find("of-an-alert") == std::string::npos);
}

// A server that asks fal for prices, and knows them.
Served priced(const Environment& more, falsim::FalsimOptions options = Served::quick()) {
  falsim::Falsim sim = std::move(falsim::Falsim::start(std::move(options))).value();
  const std::string api = sim.api_url();
  return Served(more, std::move(sim),
                [&](const falsim::Falsim&) { return Environment{{"FAL_API_URL", api}}; });
}

TEST_CASE("the object of a job and of a video tells what it cost") {
  const Served server =
      priced({{"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,clip:falsim/clip/text-to-video"}});
  server.wait_for_documents();
  for (const std::string model : {"flux", "clip"}) {
    REQUIRE(test::eventually([&] {
      return server.get("/v1/models/" + model).body.find("unit_price_usd") != std::string::npos;
    }));
  }
  const auto ended = [&](const std::string& path) {
    std::string body;
    REQUIRE(test::eventually([&] {
      body = server.get(path).body;
      return text_at(body, "status") == "completed";
    }));
    return body;
  };
  const Received begun =
      server.post(money_pictures, money_body(1, R"(,"n":2)"), "Prefer: respond-async\r\n");
  REQUIRE(begun.status == 202);
  const std::string job = ended("/v1/falproxy/jobs/" + text_at(begun.body, "id"));
  CHECK(text_at(job, "cost_usd") == "0.05");
  CHECK(at(job, "response.usage.cost").as_number() == 0.05);
  const Received filming =
      server.post("/v1/videos", R"({"model":"clip","prompt":"a fox","seconds":"8"})");
  REQUIRE(filming.status == 200);
  const std::string video = ended("/v1/videos/" + text_at(filming.body, "id"));
  const std::string cost = text_at(video, "falproxy.cost_usd");
  CHECK_FALSE(cost.empty());
}

TEST_CASE("what a call takes on average is told where nobody knows its units beforehand") {
  const Served server = priced({{"SUPPORTED_MODELS", "hear:falsim/listener,flux:fal-ai/flux/dev"}});
  server.wait_for_documents();
  REQUIRE(test::eventually([&] {
    return server.get("/v1/models/hear").body.find("estimate_usd") != std::string::npos;
  }));
  const std::string model = server.get("/v1/models/hear").body;
  CHECK(model.find(R"("unit":"compute seconds")") != std::string::npos);
  CHECK(model.find(R"("estimate_usd":"0.0027")") != std::string::npos);
  // What is known is told as it is.
  CHECK(server.get("/v1/models/flux").body.find(R"("estimate_usd":"0.025")") != std::string::npos);
}

TEST_CASE("a budget holds speech by its characters, before and after it is made") {
  const testing::Folder folder;
  Environment settings = with_budget(folder, R"("budget": "0.0100/total")");
  settings["SUPPORTED_MODELS"] = "news:falsim/announcer";
  // By fal's own price, and its bill: 0.05 for 1,000 characters.
  const Served server = priced(settings);
  server.wait_for_documents();
  const auto ask = [&](std::size_t characters) {
    const std::string body =
        R"({"model":"news","input":")" + std::string(characters, 'a') + R"(","voice":"alloy"})";
    Received got;
    CHECK(test::eventually([&] {
      RawClient client(server.port());
      got = client.exchange(test::post("/v1/audio/speech", body, money_ann));
      return got.status != 503 && got.body.find("is not known beforehand") == std::string::npos;
    }));
    return got;
  };
  const Received first = ask(120);
  CAPTURE(first.body.substr(0, 300));
  REQUIRE(first.status == 200);
  CHECK(first.header("x-falproxy-cost-usd") == "0.006");
  CHECK(first.header("x-falproxy-budget-remaining-usd") == "0.004");
  const Received refused = ask(81);
  CHECK(refused.status == 429);
  CHECK(text_at(refused.body, "error.code") == "insufficient_quota");
  CHECK(server.sim.stats().submits == 1);
  CHECK(ask(80).status == 200);
  CHECK(ask(1).status == 429);
}

TEST_CASE("a budget holds transcripts by the minutes of the recording, until fal has billed them") {
  const testing::Folder folder;
  Environment settings = with_budget(folder, R"("budget": "0.10/total")");
  write_file(folder.path() / "prices.json",
             R"({"falsim/listener": {"unit_price": "0.06", "unit": "minutes"}})");
  settings["SUPPORTED_MODELS"] = "ear:falsim/listener";
  Served server(settings);
  server.wait_for_documents();
  const auto hear = [&](const std::string& file) {
    const std::string form =
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\near\r\n--b\r\n"
        "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n" +
        file + "\r\n--b--\r\n";
    Received got;
    CHECK(test::eventually([&] {
      RawClient client(server.port());
      got = client.exchange("POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\n" + money_ann +
                            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                            std::to_string(form.size()) + "\r\n\r\n" + form);
      return got.body.find("What is spent cannot be noted now") == std::string::npos;
    }));
    return got;
  };
  // An mp3 of several bit rates, whose table tells its frames: 1,152 samples each.
  const auto minutes_of_mp3 = [](double minutes) {
    const auto frames = static_cast<std::uint32_t>(minutes * 60 * 44100 / 1152);
    std::string file = "\xFF\xFB\x90\x64" + std::string(32, '\0') + "Xing";
    file += std::string("\0\0\0\1", 4);
    for (int i = 3; i >= 0; --i) file += static_cast<char>(frames >> (8 * i) & 0xFF);
    return file + std::string(2'000, 'x');
  };
  // Two minutes would cost 0.12.
  CHECK(hear(minutes_of_mp3(2)).status == 429);
  // Nobody knows how long it is.
  CHECK(hear("\x1A\x45\xDF\xA3" + std::string(100, 'x')).status == 400);
  CHECK(server.sim.stats().submits == 0);
  // Fal bills a half of what was reserved, and what is left is there again.
  falsim::Fault billed{.step = falsim::Step::result};
  billed.answer = falsim::Answer{
      .status = 200, .body = R"({"text":"Hello.","chunks":[],"inferred_languages":[]})"};
  billed.answer->headers.add("x-fal-billable-units", "0.5");
  server.sim.add_fault(billed);
  for (const char* left : {"0.07", "0.04"}) {
    CAPTURE(left);
    const Received heard = hear(minutes_of_mp3(1) + left);
    CAPTURE(heard.body);
    REQUIRE(heard.status == 200);
    CHECK(heard.header("x-falproxy-cost-usd") == "0.03");
    CHECK(heard.header("x-falproxy-budget-remaining-usd") == left);
  }
  CHECK(hear(minutes_of_mp3(1)).status == 429);
  CHECK(server.sim.stats().submits == 2);
}

TEST_CASE("an alert is posted when fal locks an account, and when little is left on it") {
  falsim::FalsimOptions options = Served::quick();
  options.balance = 2;
  falsim::Falsim sim = std::move(falsim::Falsim::start(options)).value();
  const std::string api = sim.api_url(), elsewhere = sim.elsewhere_url();
  Served server({}, std::move(sim), [&](const falsim::Falsim&) {
    return Environment{{"FAL_API_URL", api},
                       {"FAL_ADMIN_KEY", "admin:secret"},
                       {"ALERT_URL", elsewhere + "/alerts"}};
  });
  server.wait_for_documents();
  const auto alerts = [&](std::uint64_t wanted) {
    return [wanted](const falsim::FalsimStats& s) { return s.elsewhere >= wanted; };
  };
  CHECK(server.sim.wait_for(alerts(1)));
  CHECK(test::eventually([&] {
    return server.log().find("2.00 USD are left on fal's account") != std::string::npos;
  }));
  CHECK(server.get("/metrics").body.find("falproxy_fal_balance_usd 2.00") != std::string::npos);
  server.sim.add_fault(*falsim::Fault::preset("exhausted"));
  CHECK(server.post(money_pictures, money_body(1)).status >= 400);
  CHECK(server.sim.wait_for(alerts(2)));
  CHECK(server.log().find("of-an-alert") == std::string::npos);
  CHECK(server.log().find("admin:secret") == std::string::npos);
}

}  // namespace falproxy::app
