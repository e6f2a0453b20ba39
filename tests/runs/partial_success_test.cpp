// Of several pictures some come: they are answered, and what became of the others is told.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/runner.hpp"
#include "falproxy/thread_executor.hpp"
#include "runs/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

namespace {

Wish three(bool base64 = false) {
  Wish request = request_for("flux");
  request.n = 3;
  return base64 ? in_base64(request) : request;
}

std::string last_note(const Outcome& outcome) {
  return outcome.receipt.notes.empty() ? "" : outcome.receipt.notes.back().text;
}

std::vector<std::string> ids(const Outcome& outcome) {
  std::vector<std::string> ids;
  for (const JobReceipt& job : outcome.receipt.jobs) ids.push_back(job.fal_request_id);
  return ids;
}

// Fails the request that holds `part` for the `which`-th time.
auto fail_one(std::string part, int which, Script script) {
  return [part = std::move(part), which, script = std::move(script),
          seen = 0](const HttpRequest& request) mutable -> std::optional<Script> {
    if ((request.method + " " + request.url).find(part) == std::string::npos) return std::nullopt;
    return ++seen == which ? std::optional(script) : std::nullopt;
  };
}

}  // namespace

TEST_CASE("where one of three jobs fails, the pictures of the others are answered, with a Note") {
  struct Row {
    const char* name;
    std::function<std::optional<Script>(const HttpRequest&)> fault;
    const char* note;
    ErrorKind kind;
    std::vector<std::string> ids;
  };
  const std::vector<Row> rows = {
      {"at its submit",
       fail_one("POST https://queue", 2, answer(500, R"({"detail":"x"})")),
       "2 of 3 pictures came: the model failed at fal",
       ErrorKind::upstream_failed,
       {"job-1", "", "job-2"}},
      {"in its result",
       fail_result(content_refused, 2),
       "2 of 3 pictures came: the request was refused by the model's safety system",
       ErrorKind::content_policy,
       {"job-1", "job-2", "job-3"}},
      {"without a picture",
       fail_result(answer(200, R"({"images":[]})"), 2),
       "2 of 3 pictures came: the model finished, but its result holds no picture",
       ErrorKind::no_image,
       {"job-1", "job-2", "job-3"}},
      {"where its picture cannot be fetched",
       fail_on("GET https://v3.fal.media/files/job-2.png", answer(404, "")),
       "2 of 3 pictures came: the image was made, but its address answered 404. It is at "
       "https://v3.fal.media/files/job-2.png",
       ErrorKind::download_failed,
       {"job-1", "job-2", "job-3"}},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      GatewayWorld world;
      world.fal.fault = row.fault;
      const Outcome outcome = world.handle(three(true));
      REQUIRE_MESSAGE(outcome.response, outcome.response.error().message);
      CHECK(outcome.response->size() == 2);
      CHECK(outcome.receipt.images == 2);
      CHECK_MESSAGE(last_note(outcome).starts_with(row.note), last_note(outcome));
      REQUIRE(outcome.shortfall.has_value());
      CHECK(outcome.shortfall->kind == row.kind);
      CHECK(ids(outcome) == row.ids);
      world.check_closed();
    }
  }
}

TEST_CASE("where every job fails, the first failure is the answer, and every id is told") {
  GatewayWorld world;
  world.fal.fault = [](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.ends_with("/requests/job-1")) return content_refused;
    const bool other =
        request.url.ends_with("/requests/job-2") || request.url.ends_with("/requests/job-3");
    if (!other) return std::nullopt;
    return answer(500, R"({"detail":"x"})", {{"x-fal-request-id", "x"}});
  };
  const Outcome outcome = world.handle(three());
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::content_policy);
  CHECK(outcome.response.error().submitted);
  CHECK(outcome.response.error().fal_request_id == "job-1");
  CHECK(ids(outcome) == std::vector<std::string>{"job-1", "job-2", "job-3"});
  world.check_closed();
}

TEST_CASE("of two pictures of one job that comes which can be fetched") {
  GatewayWorld world;
  world.fal.documents["fal-ai/flux/dev"] =
      model_document("fal-ai/flux/dev",
                     R"({"prompt":{"type":"string"},"num_images":{"type":"integer","maximum":4}})");
  world.fal.result = [](const auto&) {
    return R"({"images":[{"url":"https://v3.fal.media/files/1.png"},)"
           R"({"url":"https://v3.fal.media/files/2.png"}]})";
  };
  world.fal.fault = fail_on("files/1.png", answer(404, ""));
  Wish request = in_base64(request_for("flux"));
  request.n = 2;
  const Outcome outcome = world.handle(request);
  CHECK(only_content(outcome) == testing::base64(world.fal.picture));
  CHECK(last_note(outcome).starts_with("1 of 2 pictures came: "));
}

TEST_CASE("when time runs out, the pictures that are there are answered, in base64 too") {
  GatewayWorld world;
  // One after the other: the third begins when its time is nearly over.
  world.fal.job_time = 4s;
  const Outcome outcome = world.handle(three(true), {.deadline = world.clock.now() + 10s});
  REQUIRE_MESSAGE(outcome.response, outcome.response.error().message);
  CHECK(outcome.response->size() == 2);
  CHECK(last_note(outcome) ==
        "2 of 3 pictures came: the request's time ran out before its image arrived");
  CHECK(world.fal.count_cancelled() == 1);
  world.check_closed();
}

TEST_CASE("a stream shows each picture as soon as its job is done") {
  struct Listener final : Progress {
    explicit Listener(const ScriptedTransport& the_transport) : transport(the_transport) {}
    void accepted(const Underway& underway) override { last = underway; }
    void completed(const Product& product, bool more) override {
      heard.push_back(product.content.str() + (more ? ", more" : ", last") + ", after " +
                      std::to_string(transport.count("POST https://queue")) + " submits");
    }
    const ScriptedTransport& transport;
    std::vector<std::string> heard;
    Underway last;
  };
  GatewayWorld world;
  world.fal.fault = fail_result(content_refused, 2);
  Listener listener(world.transport);
  Wish request = three(true);
  request.stream = true;
  const Outcome outcome = world.handle(request, {.client = "me", .progress = &listener});
  REQUIRE(outcome.response);
  const std::string picture = testing::base64(world.fal.picture);
  CHECK(listener.heard == std::vector<std::string>{picture + ", more, after 1 submits",
                                                   picture + ", last, after 3 submits"});
  CHECK(listener.last.model == "flux");
  CHECK(listener.last.jobs == 3);
  CHECK(listener.last.fal_request_ids == std::vector<std::string>{"job-1", "job-2", "job-3"});

  SUBCASE("and so does its repeat") {
    Listener again(world.transport);
    const Outcome repeated =
        world.handle(request, {.client = "me", .retry_count = 1, .progress = &again});
    CHECK(repeated.receipt.recovered);
    CHECK(again.heard == std::vector<std::string>{picture + ", more, after 3 submits",
                                                  picture + ", last, after 3 submits"});
    CHECK(again.last.fal_request_ids == listener.last.fal_request_ids);
  }
}

TEST_CASE("a request that is not streamed hears of no pictures") {
  struct Listener final : Progress {
    void completed(const Product&, bool) override { ++heard; }
    int heard = 0;
  } listener;
  GatewayWorld world;
  CHECK(world.handle(three(), {.progress = &listener}).response);
  CHECK(listener.heard == 0);
}

// ---- Pictures that are not there yet, or not whole.

TEST_CASE("a picture is fetched again, with growing pauses, for half a minute at least") {
  GatewayWorld world;
  world.fal.fault = fail_on("GET https://v3.fal.media/", answer(404, ""), 7);
  const Outcome late = world.handle(in_base64(request_for("flux")));
  CHECK(late.response);
  CHECK(late.receipt.media > 30s);

  world.fal.fault = fail_on("GET https://v3.fal.media/", answer(404, ""));
  const Outcome never =
      world.handle(in_base64(request_for("flux")), {.deadline = world.clock.now() + 5s});
  REQUIRE_FALSE(never.response);
  CHECK(never.response.error().kind == ErrorKind::download_failed);
  CHECK(never.receipt.total == 5s);
  CHECK(world.fal.jobs.size() == 2);
}

TEST_CASE("a picture that is cut is fetched again") {
  const std::string whole = tests::whole_png(64, 48);
  const std::string jpeg = tests::jpeg_head(8, 8) + std::string("\xFF\xDA\0\3xpixels", 11);
  struct Row {
    const char* name;
    std::string cut, whole;
    HttpHeaders headers;
  };
  const std::vector<Row> rows = {
      {"a PNG without IEND", whole.substr(0, whole.size() - 5), whole, {}},
      {"a JPEG without its end", jpeg, jpeg + "\xFF\xD9", {}},
      {"a GIF without its trailer", tests::gif_head(4, 4), tests::gif_head(4, 4) + ";", {}},
      {"a WebP shorter than it says",
       tests::webp_head(4, 4),
       tests::webp_head(4, 4) + "12345678",
       {}},
      {"a body shorter than its Content-Length",
       "<svg>",
       "<svg></svg>",
       {{"content-length", "11"}}},
      {"a page in its place", "<html>at work</html>", whole, {}},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      GatewayWorld world;
      world.fal.picture = row.whole;
      world.fal.fault = fail_on("GET https://v3.fal.media/", answer(200, row.cut, row.headers), 2);
      CHECK(only_content(world.handle(in_base64(request_for("flux")))) ==
            testing::base64(row.whole));
      CHECK(world.transport.count("GET https://v3.fal.media/") == 3);
    }
  }
}

TEST_CASE("a file that lacks its end every time is all there is: it is answered, with a Note") {
  GatewayWorld world;
  world.fal.picture = tests::png_head(64, 48);
  const Outcome outcome = world.handle(in_base64(request_for("flux")));
  CHECK(only_content(outcome) == testing::base64(world.fal.picture));
  CHECK(last_note(outcome) == "1 of the files at fal ends too early");
}

}  // namespace falproxy
