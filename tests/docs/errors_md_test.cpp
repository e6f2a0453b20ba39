#include <doctest/doctest.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/openai.hpp"
#include "runs/faults.hpp"
#include "runs/job.hpp"

using namespace falproxy;

namespace {

using Row = std::vector<std::string>;

// A cell without its blanks and its code marks.
std::string content_of(std::string_view cell) {
  std::string_view text = trim(cell);
  if (text.size() >= 2 && text.starts_with('`') && text.ends_with('`'))
    text = text.substr(1, text.size() - 2);
  return std::string(text);
}

// The rows of the table whose first column has this title.
std::vector<Row> table(std::string_view first_title, std::string_view second_title) {
  std::ifstream in(FALPROXY_SOURCE_DIR "/docs/errors.md");
  std::vector<Row> rows;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with('|')) {
      inside = false;
      continue;
    }
    Row row;
    for_each_part(std::string_view(line).substr(1, line.size() - 2), '|',
                  [&](std::string_view cell) { row.push_back(content_of(cell)); });
    if (row[0] == first_title && row[1] == second_title) {
      inside = true;
    } else if (inside && !row[0].starts_with("---")) {
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::vector<ErrorKind> all_kinds() {
  std::vector<ErrorKind> kinds;
  for (int i = 0; i <= static_cast<int>(ErrorKind::internal); ++i)
    kinds.push_back(static_cast<ErrorKind>(i));
  return kinds;
}

std::string_view name_of_cause(fal::Fault::Cause cause) {
  using enum fal::Fault::Cause;
  switch (cause) {
    case invalid_input:
      return "invalid_input";
    case content_policy:
      return "content_policy";
    case no_media:
      return "no_media";
    case key_refused:
      return "key_refused";
    case account_blocked:
      return "account_blocked";
    case forbidden:
      return "forbidden";
    case not_found:
      return "not_found";
    case busy:
      return "busy";
    case ingress:
      return "ingress";
    case request_timeout:
      return "request_timeout";
    case cancelled:
      return "cancelled";
    case model_failed:
      return "model_failed";
    case not_fal:
      return "not_fal";
  }
  return "?";
}

}  // namespace

TEST_CASE("docs/errors.md has a row for every kind of error, in order, and each row is true") {
  const std::vector<Row> rows = table("kind", "status");
  const std::vector<ErrorKind> kinds = all_kinds();
  REQUIRE(rows.size() == kinds.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i][0]);
    REQUIRE(rows[i].size() == 6);
    const openai::ErrorRow row = openai::describe(kinds[i]);
    CHECK(rows[i][0] == name_of(kinds[i]));
    CHECK(rows[i][1] == std::to_string(row.status));
    CHECK(rows[i][2] == row.type);
    CHECK(rows[i][3] == row.code);
    CHECK(rows[i][4] == (row.retry ? "yes" : "no"));
    CHECK(rows[i][5].size() > 10);
  }
}

TEST_CASE("docs/errors.md tells what each of fal's answers becomes") {
  const auto endpoint = *fal::EndpointId::parse("fal-ai/flux/dev");
  const std::vector<Row> rows = table("status", "headers");
  std::set<std::string> causes;
  for (const Row& row : rows) {
    REQUIRE(row.size() == 5);
    CAPTURE(row[0] + " " + row[2]);
    HttpHead head{std::stoi(row[0]), {}};
    if (const std::size_t colon = row[1].find(": "); colon != std::string::npos) {
      head.headers.add(row[1].substr(0, colon), row[1].substr(colon + 2));
    }
    const fal::Fault fault = fal::read_fault(head, row[2]);
    CHECK(row[3] == name_of_cause(fault.cause));
    CHECK(row[4] == name_of(runs::error_of(fault, endpoint).kind));
    causes.insert(row[3]);
  }
  CHECK(causes.size() == static_cast<std::size_t>(fal::Fault::Cause::not_fal) + 1);
}

TEST_CASE("docs/errors.md says when a submit is repeated as the code decides it") {
  using namespace runs;
  using Kind = Action::Kind;
  const auto answer = [](int status, const char* body, HttpHeaders headers = {}) -> Event {
    return event::Answered{{status, std::move(headers)}, std::make_shared<const std::string>(body)};
  };
  const auto lost = [](TransportFault fault) -> Event {
    return event::NoAnswer{{fault, "", false}};
  };
  const HttpHeaders of_the_queue = {{"x-fal-request-id", "r"}};
  // Examples of each row; the words before its first comma or colon tell it.
  const std::map<std::string, std::vector<Event>> examples = {
      {"the connection failed", {lost(TransportFault::unreachable)}},
      {"401",
       {answer(401, R"({"detail":"No user found"})"), answer(402, R"({"detail":"pay"})"),
        answer(403, R"({"detail":"User is locked."})"), answer(403, R"({"detail":"no"})"),
        answer(401, "<html>")}},
      {"429", {answer(429, "{}")}},
      {"502", {answer(502, "<html>"), answer(503, ""), answer(504, R"({"detail":"x"})")}},
      {"any other answer",
       {answer(200, "<html>"), answer(302, ""), answer(404, "{}"), answer(418, ""),
        answer(500, "{}"), answer(503, R"({"detail":"x"})", of_the_queue),
        answer(422, R"({"detail":"x"})"), lost(TransportFault::interrupted),
        lost(TransportFault::timed_out), lost(TransportFault::too_large), event::Threw{"x"}}},
  };
  const std::vector<Row> rows = table("what happened", "same key");
  REQUIRE(rows.size() == examples.size());
  for (const Row& row : rows) {
    CAPTURE(row[0]);
    const auto found = examples.find(row[0].substr(0, row[0].find_first_of(",:")));
    REQUIRE(found != examples.end());
    for (const Event& event : found->second) {
      const std::function<double()> half = [] { return 0.5; };
      const TimePoint now(std::chrono::hours(1));
      Job job({.endpoint = *fal::EndpointId::parse("fal-ai/flux/dev"),
               .queue = "https://queue.fal.run",
               .max_submit_attempts = 2,
               .deadline = now + std::chrono::minutes(1)},
              half);
      (void)job.step(event::Started{}, now);
      (void)job.step(event::KeyGranted{0}, now);
      const Action next = job.step(event, now);
      const bool again = next.kind == Kind::wait;
      const bool another = next.kind == Kind::acquire_key;
      CHECK(again == row[1].starts_with("again"));
      CHECK(another == (row[2] == "yes"));
      CHECK((again || another || next.kind == Kind::finished));
      CHECK((row[1] != "never" || !again));
      if (!again) continue;
      CHECK(job.step(event::Woken{}, next.until).kind == Kind::submit);
      CHECK(job.step(event, next.until).kind == Kind::finished);  // MAX_SUBMIT_ATTEMPTS
    }
  }
}
