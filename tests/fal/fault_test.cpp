#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/fal.hpp"

using namespace falproxy;
using fal::Fault;
using Cause = fal::Fault::Cause;
using std::chrono::milliseconds;

namespace {

Fault read(int status, std::string_view body, HttpHeaders headers = {}) {
  return fal::read_fault(HttpHead{status, std::move(headers)}, body);
}
const HttpHeaders from_queue = {{"x-fal-request-id", "req-1"}};

}  // namespace

TEST_CASE("fal's answers tell their cause") {
  struct Case {
    const char* name;
    int status;
    const char* body;
    HttpHeaders headers;
    Cause cause;
    const char* type;
    const char* message;
    bool retryable;
  };
  const Case cases[] = {
      {"validation", 422,
       R"({"detail":[{"loc":["body","num_images"],"msg":"Input should be less than or equal to 4","type":"less_than_equal","ctx":{"le":4}}]})",
       from_queue, Cause::invalid_input, "less_than_equal",
       "Input should be less than or equal to 4", false},
      {"validation as text", 422, R"({"detail":"bad input"})", from_queue, Cause::invalid_input, "",
       "bad input", false},
      {"content policy", 422,
       R"({"detail":[{"loc":["body","prompt"],"msg":"flagged","type":"content_policy_violation"}]})",
       from_queue, Cause::content_policy, "content_policy_violation", "flagged", false},
      {"content policy behind another complaint", 422,
       R"({"detail":[{"loc":["body","x"],"msg":"other","type":"missing"},{"loc":["body","prompt"],"msg":"flagged","type":"content_policy_violation"}]})",
       from_queue, Cause::content_policy, "content_policy_violation", "flagged", false},
      {"content policy of a partner", 400,
       R"({"detail":"no","error_type":"content_policy_violation"})", from_queue,
       Cause::content_policy, "content_policy_violation", "no", false},
      {"no media", 422,
       R"({"detail":[{"loc":["body"],"msg":"nothing","type":"no_media_generated"}]})", from_queue,
       Cause::no_media, "no_media_generated", "nothing", false},
      {"bad request", 400, R"({"detail":"Bad","error_type":"bad_request"})", from_queue,
       Cause::invalid_input, "bad_request", "Bad", false},
      {"partner's failure with a 400", 400,
       R"({"detail":[{"loc":["body"],"msg":"partner","type":"downstream_service_error"}]})",
       from_queue, Cause::model_failed, "downstream_service_error", "partner", false},
      {"key",
       401,
       R"({"detail":"No user found for Key ID and Secret"})",
       {},
       Cause::key_refused,
       "",
       "No user found for Key ID and Secret",
       false},
      {"no balance",
       403,
       R"({"detail":"User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."})",
       {},
       Cause::account_blocked,
       "",
       "User is locked. Reason: Exhausted balance. Top up your balance at "
       "fal.ai/dashboard/billing.",
       false},
      {"locked",
       403,
       R"({"detail":"User is locked. Reason: TOP_UP."})",
       {},
       Cause::account_blocked,
       "",
       "User is locked. Reason: TOP_UP.",
       false},
      {"payment",
       402,
       R"({"error":{"type":"billing","message":"pay"}})",
       {},
       Cause::account_blocked,
       "billing",
       "pay",
       false},
      {"forbidden",
       403,
       R"({"detail":"This app is private"})",
       {},
       Cause::forbidden,
       "",
       "This app is private",
       false},
      {"unknown request",
       404,
       R"({"status":"NOT_FOUND"})",
       {},
       Cause::not_found,
       "",
       "NOT_FOUND",
       false},
      {"unknown path", 404, R"({"detail":"Path /x not found"})", from_queue, Cause::not_found, "",
       "Path /x not found", false},
      {"sub-path kept", 405, "", {}, Cause::not_found, "", "", false},
      {"concurrency",
       429,
       R"({"detail":"Reached concurrent requests limit of 20","type":"concurrent_requests_limit"})",
       {{"X-Fal-needs-retry", "1"}},
       Cause::busy,
       "concurrent_requests_limit",
       "Reached concurrent requests limit of 20",
       true},
      {"plain 429", 429, "slow down", {}, Cause::busy, "", "", true},
      {"cancelled", 499, R"({"detail":"gone","error_type":"client_cancelled"})", from_queue,
       Cause::cancelled, "client_cancelled", "gone", false},
      {"app crash", 500, R"({"detail":"Internal Server Error"})", from_queue, Cause::model_failed,
       "", "Internal Server Error", false},
      {"runner", 503, R"({"detail":"no runner","error_type":"runner_scheduling_failure"})",
       from_queue, Cause::model_failed, "runner_scheduling_failure", "no runner", true},
      {"type only in the header",
       503,
       R"({"detail":"no runner"})",
       {{"x-fal-request-id", "req-1"}, {"X-Fal-Error-Type", "runner_connection_error"}},
       Cause::model_failed,
       "runner_connection_error",
       "no runner",
       true},
      {"generation timeout, said not to be retryable",
       504,
       R"({"detail":[{"loc":["body"],"msg":"slow","type":"generation_timeout"}]})",
       {{"x-fal-request-id", "req-1"}, {"X-Fal-Retryable", "false"}},
       Cause::model_failed,
       "generation_timeout",
       "slow",
       false},
      {"downstream, said to be retryable",
       500,
       R"({"detail":[{"loc":["body"],"msg":"down","type":"downstream_service_unavailable"}]})",
       {{"x-fal-request-id", "req-1"}, {"X-Fal-Retryable", "true"}},
       Cause::model_failed,
       "downstream_service_unavailable",
       "down",
       true},
      {"runner, said not to be retryable",
       503,
       R"({"detail":"x","error_type":"runner_disconnected"})",
       {{"x-fal-request-id", "req-1"}, {"X-Fal-Needs-Retry", "0"}},
       Cause::model_failed,
       "runner_disconnected",
       "x",
       false},
      {"our own start timeout",
       504,
       R"({"detail":"Request timed out","error_type":"request_timeout"})",
       {{"X-Fal-Request-Timeout-Type", "user"}},
       Cause::request_timeout,
       "request_timeout",
       "Request timed out",
       false},
      {"request timeout", 504, R"({"detail":"Request timed out","error_type":"request_timeout"})",
       from_queue, Cause::request_timeout, "request_timeout", "Request timed out", true},
      {"startup timeout", 504, R"({"detail":"Startup timed out","error_type":"startup_timeout"})",
       from_queue, Cause::model_failed, "startup_timeout", "Startup timed out", true},
      {"platform error",
       400,
       R"({"error":{"type":"validation_error","message":"bad","docs_url":"u"}})",
       {},
       Cause::invalid_input,
       "validation_error",
       "bad",
       false},
      {"nginx before the queue",
       502,
       "<html><head><title>502 Bad Gateway</title></head></html>",
       {},
       Cause::ingress,
       "",
       "",
       true},
      {"ingress with JSON",
       503,
       R"({"detail":"upstream"})",
       {},
       Cause::ingress,
       "",
       "upstream",
       true},
      {"ingress timeout", 504, "", {}, Cause::ingress, "", "", true},
      {"HTML from behind the queue", 502, "<html>", from_queue, Cause::not_fal, "", "", false},
      {"no form at all", 418, "teapot", {}, Cause::not_fal, "", "", false},
      {"empty 500", 500, "", {}, Cause::not_fal, "", "", false},
      {"an array", 422, "[1,2]", from_queue, Cause::not_fal, "", "", false},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    const Fault fault = read(c.status, c.body, c.headers);
    CHECK(static_cast<int>(fault.cause) == static_cast<int>(c.cause));
    CHECK(fault.status == c.status);
    CHECK(fault.type == c.type);
    CHECK(fault.message == c.message);
    CHECK(fault.retryable == c.retryable);
    CHECK(fault.request_id == c.headers.find("x-fal-request-id").value_or(""));
  }
}

TEST_CASE("an account is blocked only by a text that speaks of its lock or its balance") {
  for (const char* text :
       {"User is locked. Reason: Exhausted balance. Top up at fal.ai/dashboard/billing.",
        "User is locked. Reason: TOP_UP.", "Your account is locked.", "Account has been locked",
        "user is temporarily locked", "Exhausted balance.", "Your balance is exhausted",
        "Insufficient balance", "insufficient account balance", "Balance is too low",
        "Please top up your balance", "Negative balance"}) {
    CAPTURE(std::string(text));
    const std::string body = std::string(R"({"detail":")") + text + R"("})";
    CHECK(read(403, body).cause == Cause::account_blocked);
  }
  for (const char* text :
       {"Request blocked by content filter", "This model is locked to enterprise customers",
        "The feature is locked for your account", "Your IP is blocked", "Unlocked models only",
        "A balanced composition is required", "White balance must be between 0 and 1",
        "Load balancer refused the request", "Forbidden", "You are not on the allow list",
        "Interlocked frames are not supported", "The user may not use this app",
        "Topup is a reserved word", "User is blocked", ""}) {
    CAPTURE(std::string(text));
    const std::string body = std::string(R"({"detail":")") + text + R"("})";
    CHECK(read(403, body).cause == Cause::forbidden);
  }
}

TEST_CASE("a refusal that is not in fal's form says nothing of a key or an account") {
  for (const int status : {401, 402, 403}) {
    for (const char* body :
         {"", "<html><h1>401 Authorization Required</h1></html>", "Unauthorized", "[]", "{}"}) {
      CAPTURE(status);
      CAPTURE(std::string(body));
      CHECK(read(status, body).cause == Cause::not_fal);
    }
  }
  // As gateways in between write it.
  for (const char* body :
       {R"({"message":"Unauthorized"})", R"({"error":"unauthorized"})", R"({"status":401})"}) {
    CAPTURE(std::string(body));
    CHECK(read(401, body).cause == Cause::not_fal);
    CHECK(read(402, body).cause == Cause::not_fal);
  }
}

TEST_CASE("the property at fault is named without the word body") {
  struct Case {
    const char* loc;
    std::vector<std::string> location;
  };
  for (const Case& c :
       {Case{R"(["body","image_size","width"])", {"image_size", "width"}},
        Case{R"(["body","loras",0,"scale"])", {"loras", "0", "scale"}}, Case{R"(["body"])", {}},
        Case{R"(["prompt"])", {"prompt"}}, Case{R"("prompt")", {}}, Case{"null", {}}}) {
    CAPTURE(std::string(c.loc));
    const std::string body =
        std::string(R"({"detail":[{"msg":"m","type":"t","loc":)") + c.loc + "}]}";
    CHECK(read(422, body).location == c.location);
  }
}

TEST_CASE("the time to wait is taken from whichever header says it") {
  struct Case {
    const char* name;
    HttpHeaders headers;
    std::optional<milliseconds> wait;
  };
  const Case cases[] = {
      {"none", {}, std::nullopt},
      {"seconds", {{"Retry-After", "7"}}, milliseconds(7000)},
      {"a fraction", {{"Retry-After", "0.5"}}, milliseconds(500)},
      {"milliseconds win", {{"Retry-After", "7"}, {"retry-after-ms", "534"}}, milliseconds(534)},
      {"a date, from the answer's own",
       {{"Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT"},
        {"Date", "Sun, 06 Nov 1994 08:49:37 GMT"}},
       milliseconds(30'000)},
      {"a date that has passed",
       {{"Retry-After", "Sun, 06 Nov 1994 08:49:07 GMT"},
        {"Date", "Sun, 06 Nov 1994 08:49:37 GMT"}},
       milliseconds(0)},
      {"a date and no clock to hold it against",
       {{"Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT"}},
       std::nullopt},
      {"a reset in seconds", {{"x-ratelimit-reset", "12"}}, milliseconds(12'000)},
      {"a reset as a date",
       {{"x-ratelimit-reset", "1795348810"}, {"Date", "Sun, 22 Nov 2026 12:00:00 GMT"}},
       milliseconds(10'000)},
      {"nonsense", {{"Retry-After", "soon"}}, std::nullopt},
      {"below zero", {{"Retry-After", "-1"}}, std::nullopt},
      {"a year", {{"Retry-After", "31536000"}}, std::nullopt},
      {"not a number", {{"Retry-After", "nan"}}, std::nullopt},
      {"infinite", {{"Retry-After", "1e400"}}, std::nullopt},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    CHECK(read(429, "{}", c.headers).retry_after == c.wait);
  }
}

TEST_CASE("fal's words are cut to one line of 500 bytes, at a character's end") {
  const std::string long_text = std::string(499, 'x') + "\xC3\xA9\xC3\xA9";
  CHECK(read(400, R"({"detail":")" + long_text + R"("})").message == std::string(499, 'x'));
  CHECK(read(400, R"({"detail":"a\r\nb\u0000c\t"})").message == "a  b c");
}

TEST_CASE("a COMPLETED with an error is a fault of the same causes") {
  struct Case {
    const char* type;
    Cause cause;
    bool retryable;
  };
  for (const Case& c : {Case{"request_timeout", Cause::request_timeout, true},
                        Case{"client_cancelled", Cause::cancelled, false},
                        Case{"content_policy_violation", Cause::content_policy, false},
                        Case{"runner_disconnected", Cause::model_failed, true},
                        Case{"", Cause::model_failed, false}}) {
    CAPTURE(std::string(c.type));
    fal::QueueStatus status;
    status.error = "what fal said";
    status.error_type = c.type;
    const Fault fault = fal::read_fault(status);
    CHECK(static_cast<int>(fault.cause) == static_cast<int>(c.cause));
    CHECK(fault.message == "what fal said");
    CHECK(fault.retryable == c.retryable);
  }
}
