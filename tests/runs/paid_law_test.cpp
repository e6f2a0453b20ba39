// Whatever fal, its CDN and the clients do: what is paid for reaches somebody, or is kept for one
// who asks again, and nothing is paid for twice.
#include <doctest/doctest.h>

#include <deque>
#include <map>
#include <set>
#include <string>

#include "falproxy/media.hpp"
#include "falproxy/runner.hpp"
#include "runs/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

namespace {

// A fal and a CDN that do anything at all, by the dice, and remember what they did.
class WildFal {
 public:
  explicit WildFal(GatewayWorld& world) : world_(world) {
    world.fal.fault = [this](const HttpRequest& request) { return answer_to(request); };
  }

  bool wild = true;
  FixedRandom random{7};
  std::set<std::string> unknown;  ///< jobs that were taken without an answer
  std::set<std::string> failed;   ///< jobs whose result is a refusal

  int below(int n) { return static_cast<int>(random() * n); }
  bool one_in(int n) { return below(n) == 0; }
  Milliseconds up_to(Milliseconds most) {
    return Milliseconds(below(static_cast<int>(most.count())));
  }

 private:
  std::optional<Script> answer_to(const HttpRequest& request) {
    if (inside_) return std::nullopt;
    const std::size_t file = request.url.find("/files/job-");
    if (file != std::string::npos) return picture(request.url.substr(file + 11));
    if (!wild || !request.url.starts_with("https://queue.fal.run/")) return std::nullopt;
    if (request.method == "POST") return submit(request);
    if (request.method == "PUT") return std::nullopt;
    const std::string last = request.url.substr(request.url.rfind('/') + 1);
    if (last == "stream" || last == "status") return status();
    return result(last);
  }

  // Each has a width of its own, so that an answer tells whose it is.
  std::optional<Script> picture(const std::string& number) {
    const std::string bytes = tests::whole_png(static_cast<std::uint32_t>(std::stoi(number)), 1);
    Script script = answer(200, bytes);
    switch (wild ? below(16) : 16) {
      case 0:
        return answer(404, "");
      case 1:
        return answer(500, "<html>");
      case 2:
        return broken(TransportFault::interrupted);
      case 3:
        return answer(200, "<html>at work</html>");
      case 4:
        return answer(200, bytes.substr(0, bytes.size() - 1 - static_cast<std::size_t>(below(12))));
      case 5:
        script.after = up_to(10s);
        break;
      default:
        break;
    }
    return script;
  }

  std::optional<Script> submit(const HttpRequest& request) {
    switch (below(24)) {
      case 0:
        return answer(503, "<html>");
      case 1:
        return broken(TransportFault::unreachable, true);
      case 2:
        return answer(500, R"({"detail":"x"})");
      case 3:
        return answer(429, R"({"detail":"x"})");
      case 4:
        serve(request);
        unknown.insert(world_.fal.jobs.back().id);
        return broken(TransportFault::interrupted);
      case 5: {
        Script slow = serve(request);
        slow.after = up_to(3s);
        return slow;
      }
      default:
        return std::nullopt;
    }
  }

  std::optional<Script> status() {
    switch (below(16)) {
      case 0:
        return answer(503, "<html>");
      case 1:
        return broken(TransportFault::interrupted);
      case 2:
        return answer(500, R"({"detail":"x"})");
      default:
        return std::nullopt;
    }
  }

  std::optional<Script> result(const std::string& job) {
    if (failed.contains(job)) return content_refused;
    Script cut = answer(200, R"({"images":[{"url":"https://v3.fal.m)");
    Script slow =
        answer(200, R"({"images":[{"url":"https://v3.fal.media/files/)" + job + R"(.png"}]})");
    switch (below(16)) {
      case 0:
        return answer(503, "<html>");
      case 1:
        return broken(TransportFault::interrupted);
      case 2:
        return answer(200, "<html>at work</html>");
      case 3:
        return cut;
      case 4:
        slow.after = up_to(5s);
        return slow;
      case 5:
        failed.insert(job);
        return content_refused;
      default:
        return std::nullopt;
    }
  }

  Script serve(const HttpRequest& request) {
    inside_ = true;
    Script script = world_.fal.serve(request);
    inside_ = false;
    return script;
  }

  GatewayWorld& world_;
  bool inside_ = false;
};

// One who sends a request, perhaps leaves, and notes whose pictures have reached it.
struct Client final : Progress {
  void completed(const Product& product, bool) override { note(product.content.str(), false); }
  void note(const std::string& content, bool is_url) {
    if (left) return;
    if (is_url) {
      const std::size_t name = content.rfind('/') + 1;
      got.insert(content.substr(name, content.rfind('.') - name));
      return;
    }
    const auto size = media::dimensions(PlainCodecs().decode_base64(content).value_or(""));
    REQUIRE(size.has_value());
    got.insert("job-" + std::to_string(size->width));
  }
  std::stop_source stop;
  bool left = false;
  std::set<std::string> got;
};

}  // namespace

TEST_CASE(
    "a thousand requests in a wild world: every job that was done reached somebody or is kept") {
  constexpr int requests = 1000;
  GatewayWorld world;
  WildFal fal(world);
  std::deque<Client> clients;  // what is planned for them may happen late
  std::map<std::string, int> wanted;
  std::map<std::string, std::set<std::string>> received;
  int left = 0, late = 0, partial = 0, recovered = 0;

  const auto send = [&](const Wish& request, CallContext context, bool leaves) {
    Client& client = clients.emplace_back();
    if (leaves) {
      const TimePoint then = world.clock.now() + fal.up_to(6s);
      world.clock.at(then, [&client] { client.left = true; });
      world.clock.at(then + 5s, [&client] { client.stop.request_stop(); });
    }
    context.client = "me";
    context.stop = client.stop.get_token();
    context.client_left = [&client] { return client.left; };
    context.repeat_hold = 5s;
    context.progress = &client;
    const Outcome outcome = world.handle(request, context);
    if (outcome.response) {
      for (const auto& data : *outcome.response) client.note(data.content.str(), data.is_address);
    }
    received[*request.prompt].insert(client.got.begin(), client.got.end());
    left += client.left ? 1 : 0;
    partial += outcome.shortfall ? 1 : 0;
    recovered += outcome.receipt.recovered ? 1 : 0;
    late += !outcome.response && outcome.response.error().kind == ErrorKind::timed_out ? 1 : 0;
    return outcome.response && !client.left;
  };

  for (int i = 0; i < requests; ++i) {
    Wish request = request_for("flux", "request " + std::to_string(i));
    request.n = 1 + fal.below(4);
    request.stream = fal.one_in(3);
    if (request.stream || fal.one_in(2)) request = in_base64(request);
    wanted[*request.prompt] = *request.n;
    for (int attempt = 0; attempt < 3; ++attempt) {
      CallContext context{.may_repeat = fal.one_in(2)};
      if (attempt > 0 && context.may_repeat) context.retry_count = attempt;
      if (fal.one_in(4)) context.deadline = world.clock.now() + fal.up_to(6s) + 1ms;
      if (send(request, context, fal.one_in(4))) break;
      world.clock.advance(fal.up_to(15s));
    }
    // What nobody has is there for those who ask again, once the world is well.
    fal.wild = false;
    for (int probe = 0; probe < 4; ++probe)
      static_cast<void>(send(request, {.retry_count = 9}, false));
    fal.wild = true;
  }

  int good = 0, lost = 0;
  std::map<std::string, int> made;
  for (const ScriptedFal::Job& job : world.fal.jobs) {
    if (job.cancelled || fal.failed.contains(job.id) || fal.unknown.contains(job.id)) continue;
    const auto prompt = nlohmann::json::parse(job.input)["prompt"].get<std::string>();
    CAPTURE(prompt);
    CAPTURE(job.id);
    ++good;
    const bool reached = received[prompt].contains(job.id);
    lost += reached ? 0 : 1;
    CHECK(reached);
    ++made[prompt];
  }
  for (const auto& jobs : made) {
    const std::string& prompt = jobs.first;
    CAPTURE(prompt);
    CHECK(jobs.second <= wanted[prompt]);
  }
  MESSAGE("jobs ", world.fal.jobs.size(), ", done ", good, ", lost ", lost, "; cancelled ",
          world.fal.count_cancelled(), ", refused ", fal.failed.size(), ", without an answer ",
          fal.unknown.size(), "; clients left ", left, ", late ", late, ", partial answers ",
          partial, ", recovered ", recovered);
  CHECK(good > requests);
  CHECK(left > requests / 10);
  CHECK(late > 20);
  CHECK(partial > 20);
  world.check_closed();
}

}  // namespace falproxy
