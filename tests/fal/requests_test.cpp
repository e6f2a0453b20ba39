#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fal/endpoints.hpp"
#include "falproxy/fal.hpp"

using namespace falproxy;
using testing::endpoint;

namespace {

const fal::Addresses addresses;
const Secret key("id:secret");

fal::Submitted job() {
  return {.request_id = "r1",
          .status_url = "https://queue.fal.run/a/b/requests/r1/status?x=1",
          .response_url = "https://queue.fal.run/a/b/requests/r1",
          .cancel_url = "https://queue.fal.run/a/b/requests/r1/cancel",
          .queue_position = {}};
}

// The key stands in the Authorization header and nowhere else.
void check_key(const HttpRequest& request) {
  CHECK(request.headers.find("authorization") == "Key id:secret");
  CHECK(request.url.find("secret") == std::string::npos);
  CHECK(request.body.str().find("secret") == std::string::npos);
  for (const auto& [name, value] : request.headers) {
    if (name != "Authorization") CHECK(value.find("secret") == std::string::npos);
  }
}

}  // namespace

TEST_CASE("a submit posts the bare input to the whole id") {
  const HttpRequest request = fal::submit_request(addresses, endpoint("fal-ai/flux/dev"), key,
                                                  Body(R"({"prompt":"x"})"), {});
  CHECK(request.method == "POST");
  CHECK(request.url == "https://queue.fal.run/fal-ai/flux/dev");
  CHECK(request.headers.find("content-type") == "application/json");
  CHECK(request.headers.size() == 3);
  CHECK(request.body.str() == R"({"prompt":"x"})");
  check_key(request);
}

TEST_CASE("the time to start is sent where fal accepts it: above one second") {
  struct Case {
    double seconds;
    std::optional<std::string_view> header;
  };
  for (const Case& c : {Case{0.5, {}}, Case{1.0, {}}, Case{1.04, {}}, Case{1.19, "1.1"},
                        Case{2.0, "2"}, Case{599.96, "599.9"}, Case{600.0, "600"}}) {
    CAPTURE(c.seconds);
    const HttpRequest request = fal::submit_request(addresses, endpoint("a/b"), key, {},
                                                    {.start_timeout_seconds = c.seconds});
    CHECK(request.headers.find("X-Fal-Request-Start-Timeout") == c.header);
    // The old name loses if both are sent, and is going away.
    CHECK_FALSE(request.headers.find("X-Fal-Request-Timeout").has_value());
  }
}

TEST_CASE("what a model's settings ask of fal goes with the submit, by whichever route") {
  using Fields = std::vector<HttpHeaders::Field>;
  struct Case {
    FalPreferences preferences;
    Fields want;
  };
  for (
      const Case& c : std::vector<Case>{
          {{}, {}},
          {{.queue_priority = QueuePriority::low}, {{"X-Fal-Queue-Priority", "low"}}},
          {{.queue_priority = QueuePriority::normal}, {{"X-Fal-Queue-Priority", "normal"}}},
          {{.runner_hint = "lora 7"}, {{"X-Fal-Runner-Hint", "lora 7"}}},
          {{.disable_fallback = true}, {{"x-app-fal-disable-fallback", "true"}}},
          {{.output_expiration = std::chrono::seconds(604800)},
           {{"X-Fal-Object-Lifecycle-Preference", R"({"expiration_duration_seconds":604800})"}}},
          {{.output_access = OutputAccess::forbid},
           {{"X-Fal-Object-Lifecycle-Preference",
             R"({"initial_acl":{"default":"forbid","rules":[]}})"}}},
          {{.queue_priority = QueuePriority::low,
            .runner_hint = "h",
            .disable_fallback = true,
            .output_expiration = std::chrono::seconds(60),
            .output_access = OutputAccess::hide},
           {{"X-Fal-Queue-Priority", "low"},
            {"X-Fal-Runner-Hint", "h"},
            {"x-app-fal-disable-fallback", "true"},
            {"X-Fal-Object-Lifecycle-Preference",
             R"({"expiration_duration_seconds":60,"initial_acl":{"default":"hide","rules":[]}})"}}}}) {
    const HttpHeaders told = fal::preference_headers(c.preferences);
    CHECK(Fields(told.begin(), told.end()) == c.want);
    const auto id = endpoint("fal-ai/flux/dev");
    for (const HttpRequest& request :
         {fal::submit_request(addresses, id, key, {}, {.preferences = c.preferences}),
          fal::run_request(addresses, id, key, {}, c.preferences),
          fal::stream_request(addresses, id, key, {}, c.preferences)}) {
      CHECK(request.headers.size() == 3 + c.want.size());
      for (const auto& [name, value] : c.want) CHECK(request.headers.find(name) == value);
      check_key(request);
    }
  }
}

TEST_CASE("run and stream go to fal.run, and stream is said once") {
  CHECK(fal::run_request(addresses, endpoint("fal-ai/flux/dev"), key, {}).url ==
        "https://fal.run/fal-ai/flux/dev");
  const HttpRequest stream = fal::stream_request(addresses, endpoint("fal-ai/flux/dev"), key, {});
  CHECK(stream.url == "https://fal.run/fal-ai/flux/dev/stream");
  CHECK(stream.headers.find("accept") == "text/event-stream");
  check_key(stream);
  CHECK(fal::stream_request(addresses, endpoint("fal-ai/flux-lora/stream"), key, {}).url ==
        "https://fal.run/fal-ai/flux-lora/stream");
}

TEST_CASE("a job's own addresses are used for all that follows") {
  const HttpRequest status = fal::status_request(job(), key);
  CHECK(status.method == "GET");
  CHECK(status.url == job().status_url);
  check_key(status);
  const HttpRequest stream = fal::status_stream_request(job(), key);
  CHECK(stream.url == "https://queue.fal.run/a/b/requests/r1/status/stream?x=1");
  check_key(stream);
  const HttpRequest result = fal::result_request(job(), key);
  CHECK(result.url == job().response_url);
  check_key(result);
  const HttpRequest cancel = fal::cancel_request(job(), key);
  CHECK(cancel.method == "PUT");
  CHECK(cancel.url == job().cancel_url);
  CHECK(cancel.body.empty());
  check_key(cancel);
}

TEST_CASE("a document is asked for without any key") {
  const HttpRequest request = fal::schema_request(addresses, endpoint("fal-ai/flux/dev"));
  CHECK(request.url == "https://fal.ai/api/openapi/queue/openapi.json?endpoint_id=fal-ai/flux/dev");
  CHECK_FALSE(request.headers.find("authorization").has_value());
  fal::Addresses other;
  other.schema = "http://127.0.0.1:1/openapi?v=1";
  CHECK(fal::schema_request(other, endpoint("a/b")).url ==
        "http://127.0.0.1:1/openapi?v=1&endpoint_id=a/b");
}

TEST_CASE("an upload is begun with the key and done without it") {
  const HttpRequest initiate = fal::upload_initiate_request(
      addresses, key, "image/png", "a \"b\".png", std::chrono::seconds(3600));
  CHECK(initiate.method == "POST");
  CHECK(initiate.url == "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3");
  CHECK(initiate.body.str() == R"({"content_type":"image/png","file_name":"a \"b\".png"})");
  CHECK(initiate.headers.find("X-Fal-Object-Lifecycle") ==
        R"({"expiration_duration_seconds":3600})");
  check_key(initiate);
  CHECK_FALSE(
      fal::upload_initiate_request(addresses, key, "image/png", "a", std::chrono::seconds(0))
          .headers.find("X-Fal-Object-Lifecycle")
          .has_value());

  const auto hosts = *fal::MediaHosts::parse("*.fal.media");
  const auto target = fal::parse_upload_target(
      R"({"upload_url":"https://v3.fal.media/up/1?sig=x","file_url":"https://v3.fal.media/files/1.png"})",
      addresses, hosts);
  REQUIRE(target.has_value());
  CHECK(target->file_url == "https://v3.fal.media/files/1.png");
  const HttpRequest put = fal::upload_request(*target, "image/png", Body("bytes"));
  CHECK(put.method == "PUT");
  CHECK(put.url == "https://v3.fal.media/up/1?sig=x");
  CHECK(put.headers.size() == 1);
  CHECK(put.headers.find("content-type") == "image/png");
}

TEST_CASE("a link to a file that is not public is signed with the key, and is on a host of fal's") {
  const HttpRequest sign = fal::sign_request(
      addresses, key, "https://v3b.fal.media/files/b/1.png?a", std::chrono::seconds(300));
  CHECK(sign.method == "POST");
  CHECK(sign.url ==
        addresses.api + "/storage/files/sign?url=https%3A%2F%2Fv3b.fal.media%2Ffiles%2Fb%2F1.png");
  CHECK(sign.body.str() == R"({"expiration_seconds":300})");
  check_key(sign);
  const auto hosts = *fal::MediaHosts::parse("*.fal.media");
  CHECK(fal::parse_signed(R"({"signed_url":"https://v3b.fal.media/1.png?identity=x"})", hosts)
            .value() == "https://v3b.fal.media/1.png?identity=x");
  CHECK(fal::parse_signed(R"({"signed_url":"https://evil.example/1.png"})", hosts).error().kind ==
        ErrorKind::upstream_untrusted_url);
  CHECK(fal::parse_signed("{}", hosts).error().kind == ErrorKind::upstream_failed);
}

TEST_CASE("pictures are not uploaded to a host that nobody configured") {
  const auto hosts = *fal::MediaHosts::parse("*.fal.media");
  const auto parse = [&](const std::string& url) {
    return fal::parse_upload_target(
        R"({"upload_url":")" + url + R"(","file_url":"https://v3.fal.media/1.png"})", addresses,
        hosts);
  };
  CHECK(parse("https://rest.fal.ai/up/1").has_value());
  for (const char* url :
       {"https://evil.example/up", "http://v3.fal.media/up", "https://rest.fal.ai:444/up"}) {
    CAPTURE(std::string(url));
    REQUIRE_FALSE(parse(url).has_value());
    CHECK(parse(url).error().kind == ErrorKind::upstream_untrusted_url);
  }
  for (const char* body : {"", "{}", "[]", R"({"upload_url":1,"file_url":2})",
                           R"({"upload_url":"x","file_url":"y"})"}) {
    CAPTURE(std::string(body));
    REQUIRE_FALSE(fal::parse_upload_target(body, addresses, hosts).has_value());
    CHECK(fal::parse_upload_target(body, addresses, hosts).error().kind ==
          ErrorKind::upstream_failed);
  }
}
