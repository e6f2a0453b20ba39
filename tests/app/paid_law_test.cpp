// What is paid for reaches somebody, or is kept for one who asks again: over real sockets on both
// sides, with faults of fal and of its CDN, and clients that leave or cannot wait.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/test_doubles.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;
using falsim::FalsimStats;
using falsim::Fault;
using testing::FixedRandom;

constexpr int request_count = 1000;
constexpr int clients = 8;

// One request, and what reached those who sent it.
struct Asked {
  std::string prompt;
  int n = 1;
  bool in_base64 = false, streamed = false;
  std::set<std::string> got = {};  // jobs whose pictures came as addresses
  std::size_t most = 0;            // pictures in one answer

  [[nodiscard]] std::string body() const {
    return fmt::format(
        R"({{"model":"vidu","prompt":"{}","n":{},"response_format":"{}","stream":{}}})", prompt, n,
        in_base64 ? "b64_json" : "url", streamed);
  }

  void take(const Received& answer) {
    std::size_t pictures = 0;
    const std::string_view marker = streamed    ? "event: image_generation.completed\n"
                                    : in_base64 ? "\"b64_json\":"
                                                : "\"url\":";
    for (std::size_t at = answer.body.find(marker); at != std::string::npos;
         at = answer.body.find(marker, at + 1)) {
      ++pictures;
      if (in_base64 || streamed) continue;
      // http://host/files/ANIMAL/JOB-0_....
      const std::size_t end = answer.body.find("-0_", at);
      const std::size_t begin = answer.body.rfind('/', end) + 1;
      got.insert(answer.body.substr(begin, end - begin));
    }
    most = std::max(most, pictures);
  }
};

// The dice of one client.
class Client {
 public:
  Client(const Served& server, std::uint64_t seed) : server_(server), random_(seed) {}

  void ask(Asked& asked) {
    for (int attempt = 0; attempt < 3; ++attempt) {
      std::string fields = key_field();
      fields += one_in(8) ? "x-request-timeout: 0.2\r\n" : "x-request-timeout: 4\r\n";
      if (attempt > 0) fields += fmt::format("x-stainless-retry-count: {}\r\n", attempt);
      RawClient client(server_.port());
      client.send(test::post("/v1/images/generations", asked.body(), fields));
      if (one_in(6)) {
        std::this_thread::sleep_for(Milliseconds(static_cast<int>(random_() * 60)));
        if (one_in(2)) client.reset();
        ++left;
        continue;
      }
      const Received answer = client.receive();
      asked.take(answer);
      if (answer.status == 200) break;
    }
  }
  int left = 0;

 private:
  bool one_in(int n) { return random_() * n < 1; }
  const Served& server_;
  FixedRandom random_;
};

void add_faults(falsim::Falsim& sim) {
  for (const char* name : {"ingress_503",
                           "queue_500",
                           "submit_reset_unread",
                           "submit_reset",
                           "submit_accepts_and_closes",
                           "stream_refused",
                           "stream_dies",
                           "stream_ends",
                           "status_reset",
                           "result_503",
                           "result_reset",
                           "result_truncated",
                           "result_html",
                           "job_error",
                           "job_500",
                           "content_policy",
                           "no_images",
                           "media_404",
                           "media_500",
                           "media_html",
                           "media_reset",
                           "media_truncated"}) {
    std::optional<Fault> fault = Fault::preset(name);
    REQUIRE(fault.has_value());
    fault->chance = 0.02;
    fault->times = -1;
    sim.add_fault(*fault);
  }
  Fault slow{.step = falsim::Step::submit};
  slow.chance = 0.02;
  slow.job.job_time = Milliseconds(6'000);
  sim.add_fault(slow);
}

// Whether fal has pictures of the job.
bool is_good(const falsim::Falsim& sim, const std::string& job_id) {
  const std::string url = sim.queue_url();
  std::uint16_t port = 0;
  const std::size_t colon = url.rfind(':') + 1;
  std::from_chars(url.data() + colon, url.data() + url.size(), port);
  RawClient client(port);
  const Received result = client.exchange(
      test::get("/vidu/q2/requests/" + job_id, "Authorization: Key test-id:test-secret\r\n"));
  return result.status == 200 && result.body.find("\"url\"") != std::string::npos;
}

// Of falproxy_jobs_total.
int metric_of(const std::string& metrics, std::string_view event) {
  const std::string start = fmt::format("jobs_total{{event=\"{}\"}} ", event);
  const std::size_t at = metrics.find(start);
  REQUIRE(at != std::string::npos);
  return std::stoi(metrics.substr(at + start.size()));
}

}  // namespace

TEST_CASE("a thousand requests over sockets: every job that was done is answered or kept, once") {
  Served server(
      {{"SUPPORTED_MODELS", "vidu:vidu/q2/text-to-image"}, {"RECOVERY_WINDOW_SECONDS", "3600"}},
      {.job_time = Milliseconds(15), .random_seed = 11});
  server.wait_for_documents();
  add_faults(server.sim);
  std::vector<Asked> all(request_count);
  FixedRandom random(3);
  for (int i = 0; i < request_count; ++i) {
    all[static_cast<std::size_t>(i)] = {.prompt = fmt::format("request {}", i),
                                        .n = 1 + static_cast<int>(random() * 4),
                                        .in_base64 = random() < 0.5,
                                        .streamed = random() < 0.25};
  }
  std::atomic<int> left{0};
  std::atomic<std::size_t> next{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < clients; ++i) {
      threads.emplace_back([&, i] {
        Client client(server, static_cast<std::uint64_t>(i) + 1);
        for (std::size_t k = next++; k < all.size(); k = next++) client.ask(all[k]);
        left += client.left;
      });
    }
  }
  server.sim.clear_faults();
  REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress + s.in_queue == 0; },
                              Milliseconds(60'000)));
  const std::uint64_t before = server.sim.stats().submits;
  for (Asked& asked : all) {
    for (int probe = 0; probe < 2; ++probe) {
      asked.take(server.post("/v1/images/generations", asked.body(),
                             "x-stainless-retry-count: 9\r\nx-request-timeout: 15\r\n"));
    }
  }
  const std::vector<falsim::SeenSubmit> submits = server.sim.submits();
  const std::string metrics = server.get("/metrics").body;
  server.service.reset();  // the log is written to its end
  const std::string log = server.log();

  std::map<std::string, std::set<std::string>> good;  // by prompt
  std::size_t unknown = 0, done = 0;
  for (const falsim::SeenSubmit& submit : submits) {
    if (submit.request_id.empty() || !is_good(server.sim, submit.request_id)) continue;
    if (log.find(submit.request_id) == std::string::npos) {
      ++unknown;  // fal's answer to its submit never came
      continue;
    }
    ++done;
    good[text_at(submit.input, "prompt")].insert(submit.request_id);
  }
  for (const Asked& asked : all) {
    CAPTURE(asked.prompt);
    const std::set<std::string>& ids = good[asked.prompt];
    CHECK(ids.size() <= static_cast<std::size_t>(asked.n));
    CHECK(asked.most >= ids.size());
    if (!asked.in_base64 && !asked.streamed) CHECK(std::ranges::includes(asked.got, ids));
  }
  CHECK(static_cast<int>(unknown) <= metric_of(metrics, "abandoned"));
  int ended = 0;
  for (const char* event : {"repeated", "result", "cancelled", "failed", "abandoned"})
    ended += metric_of(metrics, event);
  CHECK(metric_of(metrics, "submitted") == ended);
  MESSAGE(submits.size(), " submits, ", done, " jobs done, ", unknown, " without an answer, ",
          server.sim.stats().cancelled, " cancelled, ", left.load(), " clients left, ",
          server.sim.stats().submits - before, " jobs made for repeats");
  CHECK(done > request_count);
  CHECK(left > request_count / 10);
  CHECK(server.sim.stats().cancelled > 0);
}

}  // namespace falproxy::app
