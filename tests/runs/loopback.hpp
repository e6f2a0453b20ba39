// loopback.hpp: the runner over the real transport, clock and threads, with falsim for fal.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "falproxy/http_transport.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/system_clock.hpp"
#include "falproxy/test_doubles.hpp"
#include "falproxy/thread_executor.hpp"
#include "falsim/falsim.hpp"

namespace falproxy::inline v0::testing {

/// The certificate of falsim's authority, in a file for as long as it is needed.
class AuthorityFile {
 public:
  explicit AuthorityFile(const std::string& pem) {
    if (pem.empty()) return;
    path_ = "/tmp/falproxy-test-authority-XXXXXX";
    const int file = mkstemp(path_.data());
    REQUIRE(file >= 0);
    close(file);
    std::ofstream(path_) << pem;
  }
  ~AuthorityFile() {
    if (!path_.empty()) std::remove(path_.c_str());
  }
  AuthorityFile(const AuthorityFile&) = delete;
  AuthorityFile& operator=(const AuthorityFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The real time, or one that runs faster: for waits of half a minute.
class QuickClock final : public Clock {
 public:
  /// Before anything is under way.
  void run_at(int speed) { speed_ = speed; }
  [[nodiscard]] TimePoint now() const override { return from_ + (system_.now() - from_) * speed_; }
  [[nodiscard]] WallTime wall_now() const override { return system_.wall_now(); }
  bool sleep_until(TimePoint until, std::stop_token stop) override {
    return system_.sleep_until(from_ + (until - from_) / speed_, std::move(stop));
  }

 private:
  SystemClock system_;
  const TimePoint from_ = system_.now();
  int speed_ = 1;
};

/// Models: flux (url or data URIs), live (the same by fal's /stream where streamed), nano (with its
/// edit endpoint), vidu (one image a job, no data URIs).
class Loopback {
 public:
  static constexpr const char* prompt = "a lighthouse";

  using Accounts = std::vector<std::vector<Secret>>;
  static Accounts three_accounts() {
    return {{Secret("key-a:secret-a")}, {Secret("key-b:secret-b")}, {Secret("key-c:secret-c")}};
  }

  explicit Loopback(falsim::FalsimOptions sim_options = {.job_time = Milliseconds(20)},
                    Runner::Options options = {}, Accounts accounts = three_accounts(),
                    falsim::Tls tls = falsim::Tls::none)
      : sim_(start(std::move(sim_options), tls)),
        authority_(sim_.authority_pem()),
        transport_(open(authority_.path())),
        keys_(std::move(accounts), {}, std::ref(random_)),
        catalog_({*transport_, clock_, executor_, nullptr, std::ref(random_), {}},
                 {.fal = addresses()}, models(), {}),
        runner_({.transport = *transport_,
                 .clock = clock_,
                 .executor = executor_,
                 .codecs = codecs_,
                 .keys = keys_,
                 .catalog = catalog_,
                 .masks = nullptr,
                 .random = std::ref(random_)},
                complete(std::move(options))) {
    catalog_.refresh_due(clock_.now(), {});
    sim_.reset_stats();
  }

  [[nodiscard]] falsim::Falsim& sim() { return sim_; }
  [[nodiscard]] Runner& runner() { return runner_; }
  [[nodiscard]] QuickClock& clock() { return clock_; }
  [[nodiscard]] HttpTransport& transport() { return *transport_; }
  [[nodiscard]] const KeyRing& keys() const { return keys_; }

  Outcome handle(Wish request, CallContext context = {}) {
    if (context.deadline == TimePoint()) context.deadline = clock_.now() + std::chrono::seconds(30);
    return runner_.handle(std::move(request), context);
  }

  /// What must hold once nothing is in flight, whatever went wrong.
  void check_closed() {
    const Runner::Counters counters = runner_.counters();
    CHECK(counters.submits == counters.repeated + counters.results + counters.cancels +
                                  counters.failures + counters.abandoned);
    CHECK(counters.streams_held == 0);
    int leases = 0;
    for (const AccountStatus& account : keys_.status(clock_.now())) leases += account.leases;
    CHECK(leases == 0);
    const falsim::FalsimStats stats = sim_.stats();
    CHECK(stats.misplaced_keys.empty());
    CHECK(stats.foreign_keys == 0);
    CHECK(stats.elsewhere == 0);
    CHECK(stats.results_too_early == 0);
    CHECK(stats.broken_requests == 0);
    CHECK(stats.unknown_inputs.empty());
  }

 private:
  static falsim::Falsim start(falsim::FalsimOptions options, falsim::Tls tls) {
    options.keys = {"key-a:secret-a", "key-b:secret-b", "key-c:secret-c"};
    Result<falsim::Falsim> sim = falsim::Falsim::start(std::move(options), {.tls = tls});
    REQUIRE(sim);
    return std::move(*sim);
  }
  static std::unique_ptr<HttpTransport> open(const std::string& authority) {
    auto transport = HttpTransport::create({.ca_file = authority});
    REQUIRE(transport);
    return std::move(*transport);
  }
  static std::vector<CatalogModel> models() {
    const auto id = [](const char* text) { return *fal::EndpointId::parse(text); };
    return {{"flux", id("fal-ai/flux/dev"), std::nullopt, {}},
            {"live", id("fal-ai/flux/dev"), std::nullopt, {.stream = true}},
            {"nano", id("fal-ai/nano-banana"), id("fal-ai/nano-banana/edit"), {}},
            {"vidu", id("vidu/q2/text-to-image"), std::nullopt, {}}};
  }
  [[nodiscard]] fal::Addresses addresses() const {
    return {sim_.queue_url(), sim_.run_url(), sim_.schema_url(), sim_.rest_url()};
  }
  [[nodiscard]] Runner::Options complete(Runner::Options options) const {
    options.fal = addresses();
    options.media_hosts = *fal::MediaHosts::parse(sim_.media_hosts());
    return options;
  }

  falsim::Falsim sim_;
  AuthorityFile authority_;
  FixedRandom random_{42};
  QuickClock clock_;
  ThreadExecutor executor_;
  OpensslCodecs codecs_;
  std::unique_ptr<HttpTransport> transport_;
  KeyRing keys_;
  Catalog catalog_;
  Runner runner_;
};

}  // namespace falproxy::inline v0::testing
