// The log of a video's job, as falsim writes it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "falproxy/fal_desk.hpp"

namespace {

using namespace std::chrono_literals;
using falproxy::testing::InProcessFal;
using nlohmann::json;

struct Asked {
  explicit Asked(const std::string& endpoint) {
    const json job = json::parse(
        ask("POST", std::string(InProcessFal::queue_url) + "/" + endpoint, R"({"prompt":"x"})"));
    status_url = job["status_url"];
  }
  std::string ask(const std::string& method, const std::string& url, const std::string& body = {}) {
    const falproxy::HttpRequest request{.method = method,
                                        .url = url,
                                        .headers = {{"Authorization", "Key id:secret"}},
                                        .body = falproxy::Body(body)};
    const auto answer = fetch(fal, request, clock.now() + 600s, {}, 64u << 20);
    REQUIRE(answer.has_value());
    return answer->body;
  }
  std::vector<std::string> lines(const std::string& query) {
    const json status = json::parse(ask("GET", status_url + query));
    std::vector<std::string> lines;
    for (const json& line : status["logs"]) lines.push_back(line["message"]);
    return lines;
  }

  falproxy::testing::VirtualClock clock;
  InProcessFal fal{clock, {.job_time = 40s}};
  std::string status_url;
};

}  // namespace

TEST_CASE("falsim's videos print their steps to those who ask for the log, and nothing else does") {
  Asked video("falsim/clip/text-to-video");
  CHECK(video.lines("?logs=1").back() == "  0%|          | 0/20 [00:00<00:00,  0.00s/it]");
  video.clock.advance(21s);
  const std::vector<std::string> half = video.lines("?logs=1");
  CHECK(half.size() == 13);
  CHECK(half[1].starts_with("Loading pipeline components...: 100%|"));
  CHECK(half.back() == " 50%|█████     | 10/20 [00:20<00:20,  2.00s/it]");
  CHECK(video.lines("").empty());
  video.clock.advance(60s);
  const std::vector<std::string> whole = video.lines("?logs=1");
  CHECK(whole.size() == 24);
  CHECK(whole[22] == "100%|██████████| 20/20 [00:40<00:00,  2.00s/it]");
  CHECK(whole.back() == "Done");

  Asked picture("fal-ai/flux/dev");
  picture.clock.advance(21s);
  CHECK(picture.lines("?logs=1").size() == 1);
}

TEST_CASE("each step of a video of falsim's is an event of the stream that has the log") {
  const auto events = [](const std::string& query) {
    Asked video("falsim/clip/text-to-video");
    const std::string text = video.ask("GET", video.status_url + "/stream" + query);
    std::vector<std::size_t> lines;
    for (std::size_t at = text.find("data: "); at != std::string::npos;
         at = text.find("data: ", at + 1)) {
      const std::size_t end = text.find('\n', at);
      lines.push_back(json::parse(text.substr(at + 6, end - at - 6))["logs"].size());
    }
    return lines;
  };
  std::vector<std::size_t> want(21, 1);
  want.front() = 3;
  want.back() = 2;
  CHECK(events("?logs=1") == want);
  CHECK(events("") == std::vector<std::size_t>{0, 0});
}
