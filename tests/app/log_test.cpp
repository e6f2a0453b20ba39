#include "log.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/utf8.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

RequestRecord answered() {
  RequestRecord record{.time = WallTime(Milliseconds(1'700'000'000'123)),
                       .request_id = "req_1",
                       .client = "ann",
                       .route = "/v1/images/generations",
                       .model = "flux",
                       .status = 200,
                       .request_bytes = 70,
                       .answer_bytes = 350,
                       .total = Milliseconds(1500)};
  record.receipt.served_model = "backup";
  record.receipt.images = 2;
  record.receipt.queue = Milliseconds(200);
  record.receipt.inference = Milliseconds(1200);
  record.receipt.jobs.push_back(
      {.fal_request_id = "abc", .endpoint = "fal-ai/flux/dev", .billable_units = 1.5});
  return record;
}

TEST_CASE("a request is one line of text") {
  CHECK(format_request(answered(), LogFormat::text, false) ==
        "2023-11-14T22:13:20.123Z 200 /v1/images/generations 1.500 s client=ann model=flux "
        "served=backup images=2 in=70 "
        "out=350 queue=0.200 inference=1.200 fal=abc id=req_1");
}

TEST_CASE("times in a line are rounded to milliseconds") {
  RequestRecord record = answered();
  record.total = std::chrono::microseconds(1'999'600);
  record.receipt.queue = std::chrono::microseconds(61'499);
  const std::string line = format_request(record, LogFormat::text, false);
  CHECK(line.find(" 2.000 s ") != std::string::npos);
  CHECK(line.find(" queue=0.061 ") != std::string::npos);
}

TEST_CASE("a request is one JSON object on a line") {
  const std::string line = format_request(answered(), LogFormat::json, false);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(test::text_at(line, "request_id") == "req_1");
  CHECK(test::text_at(line, "served_model") == "backup");
  CHECK(test::at(line, "status").as_integer() == 200);
  CHECK(test::at(line, "phases.inference").as_number() == 1.2);
  CHECK(test::at(line, "billable_units").as_number() == 1.5);
  CHECK(test::text_at(line, "fal_request_id") == "abc");
}

TEST_CASE("a request that failed tells the operator what fal, or the way to it, did") {
  RequestRecord record = answered();
  record.receipt.jobs[0].fault = "connect: Connection refused";
  CHECK(format_request(record, LogFormat::text, false).find("refused") == std::string::npos);
  record.status = 503;
  record.error_code = "upstream_unreachable";
  record.error_message = "fal could not be reached.";
  CHECK(format_request(record, LogFormat::text, false)
            .ends_with("error=upstream_unreachable message=\"fal could not be reached.\" "
                       "cause=\"connect: Connection refused\""));
  CHECK(test::text_at(format_request(record, LogFormat::json, false), "cause") ==
        "connect: Connection refused");
}

TEST_CASE("what clients send cannot write lines of its own or paint the terminal") {
  RequestRecord record = answered();
  record.model = "a\nb\033[31m";
  record.status = 400;
  record.error_code = "invalid_value";
  record.error_message = "the model 'a\r\nb' does not exist";
  const std::string text = format_request(record, LogFormat::text, false);
  CHECK(text.find('\n') == std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find('\033') == std::string::npos);
  CHECK(text.ends_with(R"(error=invalid_value message="the model 'a\u000d\nb' does not exist")"));
  CHECK(format_request(record, LogFormat::json, true).find('\n') == std::string::npos);
}

TEST_CASE(
    "a value that could be taken for others is quoted, and what a terminal obeys is escaped") {
  struct Case {
    std::string value;
    std::string written;
  };
  for (const Case& c : std::vector<Case>{
           {"flux-dev", "flux-dev"},
           {"black/flux.1+x", "black/flux.1+x"},
           {"flux id=req_forged 200 client=alice", R"("flux id=req_forged 200 client=alice")"},
           {"a=b", R"("a=b")"},
           {"say \"x\" \\", R"("say \"x\" \\")"},
           {"a\tb", R"("a\u0009b")"},
           {"a\x7f", R"("a\u007f")"},
           {"a\u0085\u009b31m", R"("a\u0085\u009b31m")"},
           {"a\u2028b\u2029", R"("a\u2028b\u2029")"},
           {"a\u202eb\u2066", R"("a\u202eb\u2066")"},
           {"\u7ed8\u56fe", "\"\u7ed8\u56fe\""},
           {"a\x9b", "\"a\ufffd\""},
       }) {
    CAPTURE(c.value);
    RequestRecord record = answered();
    record.model = c.value;
    const std::string line = format_request(record, LogFormat::text, false);
    CHECK(line.find(" model=" + c.written + " served=backup") != std::string::npos);
    record.model = "flux";
    record.receipt.served_model = c.value;
    record.receipt.jobs[0].fal_request_id = c.value;
    const std::string other = format_request(record, LogFormat::text, false);
    CHECK(other.find(" served=" + c.written + " images") != std::string::npos);
    CHECK(other.find(" fal=" + c.written + " id=") != std::string::npos);
    // JSON keeps the value, and shows the terminal ASCII only.
    const std::string json = format_request(record, LogFormat::json, false);
    CHECK(std::ranges::all_of(json, [](char byte) { return byte >= ' ' && byte <= '~'; }));
    if (is_utf8(c.value)) CHECK(test::text_at(json, "served_model") == c.value);
    CHECK(format_line({}, LogLevel::info, c.value, LogFormat::text, false).find('\t') ==
          std::string::npos);
  }
  CHECK(format_line({}, LogLevel::info, "fal says \"no\"\u009b\n", LogFormat::text, false)
            .ends_with(R"( info fal says "no"\u009b\n)"));
}

TEST_CASE("what clients send is cut before it is kept") {
  RequestRecord record = answered();
  record.model = std::string(1'000'000, 'm');
  record.error_message = std::string(20'000'000, 'e');
  record.receipt.jobs[0].fault = std::string(20'000'000, 'f');
  record.status = 400;
  record.error_code = "invalid_value";
  const std::string line = format_request(shortened(std::move(record)), LogFormat::text, false);
  CHECK(line.size() < 10'000);
  CHECK(line.find("... (999744 bytes more)") != std::string::npos);
  CHECK(line.find("... (19995904 bytes more)") != std::string::npos);
  std::string written;
  {
    Log log({}, [&](std::string_view text) { written.append(text); });
    log.line(LogLevel::info, std::string(20'000'000, 'x'));
  }
  CHECK(written.size() < 70'000);
  CHECK(written.find("bytes more)") != std::string::npos);
}

TEST_CASE("colours are for terminals") {
  CHECK(format_request(answered(), LogFormat::text, true).find("\033[32m200\033[0m") !=
        std::string::npos);
  CHECK(format_line({}, LogLevel::warning, "x", LogFormat::text, true)
            .find("\033[33mwarning\033[0m x") != std::string::npos);
  CHECK(format_line({}, LogLevel::warning, "x", LogFormat::text, false) ==
        "1970-01-01T00:00:00.000Z warning x");
}

TEST_CASE("everything is written before the log ends, in order, but for what is below its level") {
  std::string written;
  {
    Log log({}, [&](std::string_view text) { written.append(text); });
    log.line(LogLevel::debug, "not this");
    log.line(LogLevel::info, "one");
    log.request(answered());
    log.reload(LogFormat::text, LogLevel::debug);
    log.line(LogLevel::debug, "two");
  }
  CHECK(written.find("not this") == std::string::npos);
  const std::size_t one = written.find("info one\n");
  const std::size_t request = written.find("req_1\n");
  const std::size_t two = written.find("debug two\n");
  CHECK(one < request);
  CHECK(request < two);
  CHECK(two != std::string::npos);
}

TEST_CASE("what a log keeps that cannot be written is bounded in bytes, too") {
  std::mutex mutex;
  std::condition_variable changed;
  bool writing = false;
  bool open = false;
  std::string written;
  {
    Log log({.queue_bytes = 100'000}, [&](std::string_view text) {
      std::unique_lock lock(mutex);
      writing = true;
      changed.notify_all();
      changed.wait(lock, [&] { return open; });
      written.append(text);
    });
    // What is being written counts until it is.
    log.line(LogLevel::info, std::string(60'000, 'a'));
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return writing; });
    }
    log.line(LogLevel::info, std::string(60'000, 'b'));
    CHECK(log.dropped() == 1);
    RequestRecord record = answered();
    record.receipt.notes.push_back({"field", std::string(60'000, 'n')});
    log.request(record);
    CHECK(log.dropped() == 2);
    log.line(LogLevel::info, std::string(10'000, 'c'));
    CHECK(log.dropped() == 2);
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  CHECK(written.find("2 lines were dropped") != std::string::npos);
  CHECK(written.find("cccc") != std::string::npos);
  Log log({.queue_bytes = 100'000}, [](std::string_view) {});
  for (int i = 0; i < 100; ++i) {
    log.line(LogLevel::info, std::string(60'000, 'd'));
    CHECK(test::eventually([&] { return log.queued_bytes() == 0; }));
  }
  CHECK(log.dropped() == 0);
}

TEST_CASE("a log that cannot be written drops lines, counts them and says so") {
  std::mutex mutex;
  std::condition_variable changed;
  bool writing = false;
  bool open = false;
  std::string written;
  {
    Log log({.queue_lines = 10}, [&](std::string_view text) {
      std::unique_lock lock(mutex);
      writing = true;
      changed.notify_all();
      changed.wait(lock, [&] { return open; });
      written.append(text);
    });
    log.line(LogLevel::info, "first");
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return writing; });
    }
    for (int i = 0; i < 25; ++i) log.line(LogLevel::info, "more");
    CHECK(log.dropped() == 15);
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  CHECK(written.find("15 lines were dropped") != std::string::npos);
}

}  // namespace
}  // namespace falproxy::app
