#include "fal/told_progress.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace falproxy {
namespace {

// 0: nothing.
int percent_of(std::string_view line) { return fal::percent_of_line(line).value_or(0); }

nlohmann::json log_of(const std::vector<std::string>& lines) {
  nlohmann::json logs = nlohmann::json::array();
  for (const std::string& line : lines)
    logs.push_back({{"message", line}, {"timestamp", "2026-11-01T10:00:00.1"}, {"level", "INFO"}});
  return {{"status", "IN_PROGRESS"}, {"logs", logs}};
}

}  // namespace

TEST_CASE("a line of a model's log tells how far it is if it is of the steps themselves") {
  struct Row {
    std::string line;
    int want;
  };
  for (const Row& row : std::vector<Row>{
           {" 50%|█████     | 14/28 [00:07<00:07,  1.92it/s]", 50},
           {" 50%|█████     | 14/28", 50},
           {"  4%|▎         | 1/28 [00:00<00:14,  1.92it/s]", 3},
           {"  1%|          | 1/200 [00:00<00:14,  1.92it/s]", 1},
           {" 11%|#1        | 3/28 [00:00<?, ?it/s]", 10},
           {"  0%|          | 0/28 [00:00<?, ?it/s]\r 36%|███▌      | 10/28 [00:03<00:05]", 35},
           {"  7%|▋         | 2/28 [00:00<00:14]\r\n", 7},
           {"14/28", 50},
           {"14/28 [00:07<00:07,  1.92it/s]", 50},
           {"Denoising:  50%|█████     | 14/28 [00:07<00:07]", 50},
           {"Sampling steps: 14/28", 50},
           {"Step 14/28 done", 50},
           {"STEP: 7/28", 25},
           {"Progress: 42%", 42},
           {"progress 42.7 %", 0},
           {"progress 42.7%", 42},
           {"Generating video: 42% of it", 42},
           {"Inference: 0.5%", 0}}) {
    CAPTURE(row.line);
    CHECK(percent_of(row.line) == row.want);
  }
}

TEST_CASE("a line of a model's log that is of something else tells nothing") {
  for (const std::string line :
       {"",
        " ",
        "%",
        "42%",
        "100%",
        "/",
        "14/",
        "/28",
        "14/28/2026",
        "3/10 frames were dropped",
        "Loading pipeline components...: 100%|██████████| 7/7 [00:00<00:00, 12.50it/s]",
        "Loading pipeline components...:  57%|█████▋    | 4/7 [00:00<00:00, 12.50it/s]",
        "Loading checkpoint shards:  50%|█████     | 2/4 [00:01<00:01,  1.50it/s]",
        "Fetching 12 files:  50%|█████     | 6/12 [00:01<00:01,  1.50it/s]",
        "model.safetensors:  50%|█████     | 2.5G/5.1G [00:11<00:11, 220MB/s]",
        " 50%|█████     | 264M/528M [00:01<00:01, 220MB/s]",
        " 50%|█████     | 264000/528000 [00:01<00:01, 220000B/s]",
        " 50%|█████     | 1/2 [00:01<00:01,  1.00it/s]",
        "100%|██████████| 28/28 [00:14<00:00,  1.92it/s]",
        " 50%|█████     | 14/28it [00:07<00:07]",
        " 50%|█████     14/28",
        "50%|",
        "50%||",
        "Quantizing model.layers.14:  50%|█████     | 14/28 [00:05<00:05,  2.37it/s]",
        "Video upload: 42%",
        "Progress of the download: 42%",
        "Progress: 100%",
        "Progress: 0%",
        "Progress: 420%",
        "Progress: -42%",
        "Progress: 42%x",
        "Progressing: 42%",
        "Progress: 99999999999999999999%",
        "GPU memory 42%",
        "29/28",
        "28/28",
        "0/28",
        "14/99999999999999999999",
        "step",
        "step:",
        "Step four/5",
        "2.5/10",
        "3/0"}) {
    CAPTURE(line);
    CHECK(percent_of(line) == 0);
  }
}

TEST_CASE("of a line of any length no more is read than its end") {
  const std::string bar = " 50%|#####     | 14/28 [00:07<00:07]";
  std::string bars;
  for (int i = 0; i < 100'000; ++i) bars += bar + "\r";
  CHECK(percent_of(bars) == 50);
  CHECK(percent_of(std::string(1'000'000, 'x') + "\n" + bar) == 50);
  CHECK(percent_of(std::string(1'000'000, 'x') + bar) == 0);
  CHECK(percent_of("50%|" + std::string(500, '#') + "| 14/28") == 50);
  CHECK(percent_of("50%|" + std::string(600, '#') + "| 14/28") == 0);
  CHECK(percent_of("these are not 14/28 [" + std::string(1'024 - 7, 'x')) == 0);
  CHECK(percent_of(std::string(1'000'000, '5')) == 0);
}

TEST_CASE("the newest line of a log that says how far a job is counts") {
  const auto told = [](const nlohmann::json& body) {
    const auto status = fal::parse_logged_status(body.dump());
    REQUIRE(status);
    return status->percent.value_or(0);
  };
  CHECK(told(log_of({"Progress: 10%", "Progress: 20%", "Saving a frame", "100%|#####| 7/7"})) ==
        20);
  CHECK(told(log_of({})) == 0);
  std::vector<std::string> long_ago(1000, "Saving a frame");
  long_ago.front() = "Progress: 10%";
  CHECK(told(log_of(long_ago)) == 0);
  nlohmann::json ended = log_of({"Progress: 20%"});
  ended["status"] = "COMPLETED";
  CHECK(told(ended) == 0);
  for (const char* logs :
       {"null", "{}", "7", R"("Progress: 20%")", R"(["Progress: 20%"])", R"([{"message":20}])",
        R"([{}])", R"([[{"message":"Progress: 20%"}]])"}) {
    CAPTURE(std::string(logs));
    CHECK(told({{"status", "IN_PROGRESS"}, {"logs", nlohmann::json::parse(logs)}}) == 0);
  }
}

TEST_CASE("a request for a log is one for the status that asks for its log, too") {
  CHECK(fal::with_logs({.method = "GET", .url = "https://a.example/status"}).url ==
        "https://a.example/status?logs=1");
  CHECK(fal::with_logs({.method = "GET", .url = "https://a.example/status?a=b"}).url ==
        "https://a.example/status?a=b&logs=1");
}

}  // namespace falproxy
