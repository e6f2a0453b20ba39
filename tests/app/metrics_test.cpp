#include "metrics.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>

namespace falproxy::app {
namespace {

// A reader of Prometheus' text format 0.0.4, as strict as its specification: every sample belongs
// to the family announced last, no sample stands twice, values are numbers. Returns samples by name
// and labels.
std::map<std::string, double> read_exposition(const std::string& text) {
  std::map<std::string, double> samples;
  std::set<std::string> families;
  std::string family;
  std::size_t at = 0;
  REQUIRE(text.ends_with("\n"));
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    CAPTURE(line);
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      CHECK(families.insert(family).second);
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      const std::string type = line.substr(line.rfind(' ') + 1);
      CHECK((line.substr(7, line.find(' ', 7) - 7) == family));
      CHECK((type == "counter" || type == "gauge" || type == "histogram"));
      continue;
    }
    const std::size_t value_at = line.rfind(' ');
    REQUIRE(value_at != std::string::npos);
    const std::string key = line.substr(0, value_at);
    const std::string name = key.substr(0, key.find('{'));
    CHECK((name == family || name == family + "_bucket" || name == family + "_sum" ||
           name == family + "_count"));
    std::size_t used = 0;
    const double value = std::stod(line.substr(value_at + 1), &used);
    CHECK(used == line.size() - value_at - 1);
    CHECK(samples.emplace(key, value).second);
  }
  return samples;
}

constexpr std::string_view generations_route = "/v1/images/generations";

RequestRecord record(std::string model, int status, int images) {
  RequestRecord made{.request_id = "req_1",
                     .route = generations_route,
                     .model = std::move(model),
                     .status = status,
                     .total = Milliseconds(1500)};
  made.receipt.images = images;
  made.receipt.queue = Milliseconds(200);
  made.receipt.inference = Milliseconds(1000);
  if (images > 0) made.receipt.jobs.emplace_back().billable_units = 0.5;
  if (status >= 400) made.error_code = "upstream_failed";
  return made;
}

TEST_CASE("requests are counted by route, model and status") {
  Metrics metrics;
  metrics.count_reply("/health", 200);
  metrics.count_reply("/health", 200);
  metrics.record(record("flux", 200, 2), true);
  metrics.record(record("flux", 502, 0), true);
  metrics.record(record("who knows", 400, 0), false);
  metrics.record(record("", 400, 0), false);
  metrics.count_reply(generations_route, 400);
  const auto samples = read_exposition(metrics.exposition({}));
  CHECK(samples.at(R"(falproxy_requests_total{route="/health",model="",status="200"})") == 2);
  CHECK(
      samples.at(
          R"(falproxy_requests_total{route="/v1/images/generations",model="flux",status="200"})") ==
      1);
  CHECK(
      samples.at(
          R"(falproxy_requests_total{route="/v1/images/generations",model="flux",status="502"})") ==
      1);
  CHECK(
      samples.at(
          R"(falproxy_requests_total{route="/v1/images/generations",model="other",status="400"})") ==
      1);
  CHECK(samples.at(
            R"(falproxy_requests_total{route="/v1/images/generations",model="",status="400"})") ==
        2);
  CHECK(samples.at(R"(falproxy_images_total{model="flux"})") == 2);
  CHECK(samples.at(R"(falproxy_billable_units_total{model="flux"})") == 0.5);
}

TEST_CASE("times are histograms whose buckets add up") {
  Metrics metrics;
  for (int i = 0; i < 3; ++i) metrics.record(record("flux", 200, 1), true);
  const auto samples = read_exposition(metrics.exposition({}));
  CHECK(samples.at(R"(falproxy_phase_seconds_count{phase="total"})") == 3);
  CHECK(samples.at(R"(falproxy_phase_seconds_sum{phase="total"})") == doctest::Approx(4.5));
  CHECK(samples.at(R"(falproxy_phase_seconds_bucket{phase="total",le="1"})") == 0);
  CHECK(samples.at(R"(falproxy_phase_seconds_bucket{phase="total",le="2.5"})") == 3);
  CHECK(samples.at(R"(falproxy_phase_seconds_bucket{phase="total",le="+Inf"})") == 3);
  CHECK(samples.at(R"(falproxy_phase_seconds_bucket{phase="inference",le="1"})") == 3);
  CHECK(samples.at(R"(falproxy_phase_seconds_count{phase="upload"})") == 0);
}

TEST_CASE("labels hold whatever a name holds") {
  Metrics metrics;
  metrics.record(record("a\"b\\c\nd", 200, 1), true);
  const auto samples = read_exposition(metrics.exposition({}));
  CHECK(samples.at(R"(falproxy_images_total{model="a\"b\\c\nd"})") == 1);
}

TEST_CASE("what is true now is shown, without a key") {
  Metrics metrics;
  Gauges gauges;
  gauges.now = WallTime(Seconds(1000));
  gauges.in_flight = 3;
  gauges.connections_open = 10;
  gauges.connections_busy = 3;
  gauges.runs.submits = 7;
  gauges.accounts = {{.state = AccountStatus::State::ready, .leases = 2, .keys = 1},
                     {.state = AccountStatus::State::resting, .leases = 0, .keys = 2}};
  gauges.documents = {
      {.endpoint = "fal-ai/flux/dev", .available = true, .fetched = WallTime(Seconds(400))},
      {.endpoint = "fal-ai/none", .fault = "404"}};
  const auto samples = read_exposition(metrics.exposition(gauges));
  CHECK(samples.at("falproxy_in_flight") == 3);
  CHECK(samples.at(R"(falproxy_connections{state="idle"})") == 7);
  CHECK(samples.at(R"(falproxy_jobs_total{event="submitted"})") == 7);
  CHECK(samples.at(R"(falproxy_accounts{state="ready"})") == 1);
  CHECK(samples.at(R"(falproxy_accounts{state="out"})") == 0);
  CHECK(samples.at(R"(falproxy_account_jobs{account="1"})") == 2);
  CHECK(samples.at(R"(falproxy_document_age_seconds{endpoint="fal-ai/flux/dev"})") == 600);
  CHECK(samples.at(R"(falproxy_document_available{endpoint="fal-ai/none"})") == 0);
}

TEST_CASE("each client has totals of its own, which others do not move") {
  Metrics metrics;
  const auto from = [&](std::string client, int status, int images) {
    RequestRecord made = record("flux", status, images);
    made.client = std::move(client);
    metrics.record(made, true);
  };
  from("ann", 200, 2);
  from("bob", 502, 0);
  for (int i = 0; i < 60; ++i) from("bob", 400, 0);
  CHECK(metrics.totals().requests == 62);
  CHECK(metrics.totals_of("ann").requests == 1);
  CHECK(metrics.totals_of("ann").images == 2);
  CHECK(metrics.totals_of("ann").errors.empty());
  CHECK(metrics.totals_of("bob").failures == 61);
  CHECK(metrics.totals_of("bob").errors.size() == 10);
  CHECK(metrics.totals_of("nobody").requests == 0);
}

TEST_CASE("the status page gets totals, averages and the last errors") {
  Metrics metrics;
  metrics.record(record("flux", 200, 2), true);
  for (int i = 0; i < 60; ++i) metrics.record(record("m" + std::to_string(i), 502, 0), true);
  const Metrics::Totals totals = metrics.totals();
  CHECK(totals.requests == 61);
  CHECK(totals.failures == 60);
  CHECK(totals.images == 2);
  CHECK(totals.timed == 1);
  CHECK(totals.other_seconds == doctest::Approx(0.3));
  REQUIRE(totals.errors.size() == 50);
  CHECK(totals.errors.front().model == "m59");
}

}  // namespace
}  // namespace falproxy::app
