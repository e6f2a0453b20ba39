#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fal/endpoints.hpp"
#include "falproxy/fal.hpp"

using namespace falproxy;
using fal::QueueState;
using testing::endpoint;

namespace {

constexpr const char* base = "https://queue.fal.run";

}  // namespace

TEST_CASE("the addresses of an accepted job are used as given") {
  const auto job = fal::parse_submitted(
      R"({"status":"IN_QUEUE","request_id":"0f1e-2d","response_url":"https://queue.fal.run/fal-ai/flux/requests/0f1e-2d/response",
          "status_url":"https://queue.fal.run/fal-ai/flux/requests/0f1e-2d/status?x=1",
          "cancel_url":"https://queue.fal.run/fal-ai/flux/requests/0f1e-2d/cancel","queue_position":3,"logs":null})",
      endpoint("fal-ai/flux/dev"), base);
  REQUIRE(job.has_value());
  CHECK(job->request_id == "0f1e-2d");
  CHECK(job->response_url == "https://queue.fal.run/fal-ai/flux/requests/0f1e-2d/response");
  CHECK(job->status_url == "https://queue.fal.run/fal-ai/flux/requests/0f1e-2d/status?x=1");
  CHECK(job->cancel_url == "https://queue.fal.run/fal-ai/flux/requests/0f1e-2d/cancel");
  CHECK(job->queue_position == 3);
}

TEST_CASE("missing addresses are built from the app, not from the whole id") {
  struct Case {
    const char* id;
    const char* root;
  };
  for (const Case& c :
       {Case{"fal-ai/flux/dev", "https://queue.fal.run/fal-ai/flux/requests/r1"},
        Case{"workflows/me/mine/v2", "https://queue.fal.run/workflows/me/mine/requests/r1"}}) {
    CAPTURE(std::string(c.id));
    const auto job =
        fal::parse_submitted(R"({"request_id":"r1","status_url":null})", endpoint(c.id), base);
    REQUIRE(job.has_value());
    CHECK(job->status_url == std::string(c.root) + "/status");
    CHECK(job->response_url == c.root);
    CHECK(job->cancel_url == std::string(c.root) + "/cancel");
    CHECK_FALSE(job->queue_position.has_value());
  }
}

TEST_CASE("an address outside the queue's origin is never used: ours stands in its place") {
  const fal::Submitted ours = fal::submitted_as("r1", endpoint("fal-ai/flux/dev"), base).value();
  CHECK(ours.response_url == "https://queue.fal.run/fal-ai/flux/requests/r1");
  for (const char* name : {"status_url", "response_url", "cancel_url"}) {
    for (const char* url : {"https://evil.example/x", "http://queue.fal.run/x",
                            "https://queue.fal.run@evil.example/x", "https://queue.fal.run:444/x",
                            "queue.fal.run/x", "https://queue.falrun.com.evil.example/x",
                            "http://queue.falrun.com/x", "https://queue.falrun.com:444/x", ""}) {
      CAPTURE(std::string(name));
      CAPTURE(std::string(url));
      const std::string body =
          std::string(R"({"request_id":"r1",")") + name + R"(":")" + url + R"("})";
      const auto job = fal::parse_submitted(body, endpoint("fal-ai/flux/dev"), base);
      REQUIRE(job.has_value());
      CHECK(*job == ours);
    }
  }
}

TEST_CASE("an address on a backup host of fal's is used as given, if the queue is fal's own") {
  for (const char* host : {"https://queue.falrun.com", "https://falrun.com"}) {
    CAPTURE(std::string(host));
    const std::string url = std::string(host) + "/fal-ai/flux/requests/r1/status";
    const std::string body = R"({"request_id":"r1","status_url":")" + url + R"("})";
    const auto status_url = [&](const char* queue) {
      return fal::parse_submitted(body, endpoint("fal-ai/flux/dev"), queue).value().status_url;
    };
    CHECK(status_url("https://queue.fal.run") == url);
    CHECK(status_url("https://queue.falrun.com") == url);
    for (const char* queue : {"http://queue.fal.run", "https://queue.fal.run:8443",
                              "https://gateway.example", "http://127.0.0.1:9000"}) {
      CAPTURE(std::string(queue));
      CHECK(status_url(queue) == std::string(queue) + "/fal-ai/flux/requests/r1/status");
    }
  }
}

TEST_CASE("no addresses are made of what is no request id") {
  for (const char* id : {"", ".", "..", "a/b", "a b", "a\r\nb", "a?b", "a#b", "a%2Fb"}) {
    CAPTURE(std::string(id));
    CHECK_FALSE(fal::submitted_as(id, endpoint("fal-ai/flux"), base).has_value());
  }
  CHECK_FALSE(fal::submitted_as(std::string(129, 'a'), endpoint("fal-ai/flux"), base).has_value());
}

TEST_CASE("what the queue says to a cancel") {
  using enum fal::CancelAnswer;
  struct Row {
    int status;
    const char* body;
    fal::CancelAnswer want;
  };
  for (const Row& row :
       {Row{202, R"({"status":"CANCELLATION_REQUESTED"})", taken},
        Row{200, R"({"status":"OK"})", taken}, Row{200, "", taken}, Row{204, "", taken},
        Row{400, R"({"status":"ALREADY_COMPLETED"})", already_completed},
        Row{200, R"({"status":"ALREADY_COMPLETED"})", already_completed},
        Row{404, R"({"status":"NOT_FOUND"})", not_found},
        Row{200, R"({"status":"NOT_FOUND"})", not_found}, Row{404, "<html>", not_found},
        Row{400, R"({"detail":"x"})", unclear}, Row{401, R"({"detail":"x"})", unclear},
        Row{302, "", unclear}, Row{503, "<html>", unclear}, Row{400, "[7]", unclear}}) {
    CAPTURE(row.status);
    CAPTURE(std::string(row.body));
    CHECK(fal::parse_cancel({row.status, {}}, row.body) == row.want);
  }
}

TEST_CASE("an answer to a submit that is not the queue's is told apart") {
  for (const char* body : {"", "<html>", "[]", "{}", R"({"request_id":7})", R"({"request_id":""})",
                           R"({"request_id":"a/../b"})", R"({"request_id":".."})",
                           R"({"request_id":"a\r\nb"})", R"({"images":[]})"}) {
    CAPTURE(std::string(body));
    const auto job = fal::parse_submitted(body, endpoint("fal-ai/flux"), base);
    REQUIRE_FALSE(job.has_value());
    CHECK(job.error().kind == ErrorKind::upstream_failed);
  }
}

TEST_CASE("a status says where the job stands") {
  SUBCASE("in the queue") {
    const auto status = fal::parse_status(R"({"status":"IN_QUEUE","queue_position":0})");
    REQUIRE(status.has_value());
    CHECK(status->state == QueueState::in_queue);
    CHECK(status->queue_position == 0);
  }
  SUBCASE("in progress, with logs in either shape") {
    for (const char* body :
         {R"({"status":"IN_PROGRESS","logs":null})", R"({"status":"IN_PROGRESS","logs":{}})",
          R"({"status":"IN_PROGRESS","logs":[{"message":"x","timestamp":"t","labels":{}}]})"}) {
      CHECK(fal::parse_status(body)->state == QueueState::in_progress);
    }
  }
  SUBCASE("completed, with the seconds of inference") {
    const auto status =
        fal::parse_status(R"({"status":"COMPLETED","metrics":{"inference_time":17.79}})");
    CHECK(status->state == QueueState::completed);
    CHECK(status->inference_seconds == 17.79);
    CHECK_FALSE(status->error.has_value());
  }
  SUBCASE("completed, as legacy apps say it") {
    CHECK(fal::parse_status(R"({"status":"COMPLETED","metrics":{}})")->state ==
          QueueState::completed);
    CHECK(fal::parse_status(R"({"status":"COMPLETED","metrics":null,"error":null})")->error ==
          std::nullopt);
  }
  SUBCASE("completed, but failed") {
    const auto status = fal::parse_status(
        R"({"status":"COMPLETED","error":"Request timed out","error_type":"request_timeout"})");
    CHECK(status->state == QueueState::completed);
    CHECK(status->error == "Request timed out");
    CHECK(status->error_type == "request_timeout");
  }
  SUBCASE("completed, and the error is no text") {
    CHECK(fal::parse_status(R"({"status":"COMPLETED","error":{"a":1}})")->error == R"({"a":1})");
  }
  SUBCASE("in a word that is not known") {
    CHECK(fal::parse_status(R"({"status":"WARMING_UP","queue_position":"x"})")->state ==
          QueueState::unknown);
    CHECK(fal::parse_status(R"({"status":"NOT_FOUND"})")->state == QueueState::unknown);
  }
}

TEST_CASE("what is no status is an error, not a state") {
  for (const char* body : {"", "null", "[1]", "{}", R"({"status":3})", "<html>502</html>"}) {
    CAPTURE(std::string(body));
    const auto status = fal::parse_status(body);
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error().kind == ErrorKind::upstream_failed);
  }
}
