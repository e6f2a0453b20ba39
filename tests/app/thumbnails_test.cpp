// Sample pictures of models, over real sockets and falsim.
#include "thumbnails.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "folder.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const std::string flux_sample = "/v1/falproxy/thumbnails/flux";

// Until the list of models has been made of all documents.
void wait_for_models(const Served& served) {
  served.wait_for_documents();
  for (int tries = 0; tries < 2000; ++tries) {
    if (!text_at(served.get("/v1/models/flux").body, "falproxy.category").empty()) return;
    std::this_thread::sleep_for(Milliseconds(5));
  }
  FAIL("the models are not listed");
}

falsim::Fault media_answers(std::string body, std::string type) {
  return {.step = falsim::Step::media,
          .answer = falsim::Answer{
              .status = 200, .body = std::move(body), .content_type = std::move(type)}};
}

}  // namespace

TEST_CASE("a model's sample picture comes from this server, and is fetched once") {
  const Served served;
  wait_for_models(served);
  const std::string address = text_at(served.get("/v1/models/flux").body, "falproxy.thumbnail");
  CHECK(address.starts_with(served.sim.url() + "/files/"));
  const auto before = served.sim.stats().media_requests;
  const Received got = served.get(flux_sample);
  REQUIRE(got.status == 200);
  CHECK(got.header("content-type").starts_with("image/"));
  CHECK(got.header("cache-control") == "private, max-age=86400");
  CHECK(got.header("content-security-policy") == "default-src 'none'; sandbox");
  CHECK(got.header("x-content-type-options") == "nosniff");
  CHECK(media::is_whole(got.body));
  CHECK(served.get(flux_sample).body == got.body);
  CHECK(served.sim.stats().media_requests == before + 1);
  CHECK(served.sim.stats().misplaced_keys.empty());
  CHECK(served.get("/v1/falproxy/thumbnails/sub%2Fdir").status == 200);
}

TEST_CASE("a sample picture needs a key that may have the model") {
  const testing::Folder folder;
  const std::string keys = folder.write(
      "keys.json", R"({"ann": {"key": "ann-secret-key-1", "models": ["gpt-image-1"]}})");
  const Served served(Environment{{"KEYS_FILE", keys}});
  wait_for_models(served);
  RawClient nobody(served.port());
  CHECK(nobody.exchange(test::get(flux_sample)).status == 401);
  RawClient ann(served.port());
  CHECK(ann.exchange(test::get(flux_sample, key_field("ann-secret-key-1"))).status == 404);
  const Received none = served.get("/v1/falproxy/thumbnails/nope");
  CHECK(none.status == 404);
  CHECK(text_at(none.body, "error.message") == "There is no sample picture of a model 'nope'.");
}

TEST_CASE(
    "what is no whole picture of a bearable size is no sample, and is not asked for at once "
    "again") {
  struct Case {
    const char* name;
    falsim::Fault fault;
    const char* says;
  };
  const std::vector<Case> cases = {
      {"a web page", media_answers("<html><script>alert(1)</script>", "image/png"),
       "no whole picture"},
      {"a script in an SVG",
       media_answers(R"(<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>)", "image/svg+xml"),
       "no whole picture"},
      {"half of one", {.step = falsim::Step::media, .cut_after = 300}, ""},
      {"too long", media_answers(std::string(Thumbnails::most_bytes + 1, 'x'), "image/png"),
       "more than 3145728 bytes"},
      {"not there", falsim::Fault::preset("media_404").value(), "answers 404"},
      {"elsewhere", falsim::Fault::preset("media_redirect").value(), "answers 30"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    Served served;
    wait_for_models(served);
    served.sim.add_fault(one.fault);
    const Received got = served.get(flux_sample);
    CAPTURE(got.body);
    CHECK(got.status == 502);
    CHECK(text_at(got.body, "error.message").find(one.says) != std::string::npos);
    served.sim.clear_faults();
    const auto before = served.sim.stats().media_requests;
    CHECK(served.get(flux_sample).status == 502);
    CHECK(served.sim.stats().media_requests == before);
    CHECK(served.sim.stats().elsewhere == 0);
  }
}

TEST_CASE("a picture on a host that nothing may be fetched from is not offered, and not fetched") {
  const Served served(
      {}, falsim::Falsim::start(Served::quick()).value(),
      [](const falsim::Falsim&) { return Environment{{"FAL_MEDIA_HOSTS", "fal.media"}}; });
  wait_for_models(served);
  CHECK(text_at(served.get("/v1/models/flux").body, "falproxy.thumbnail").empty());
  CHECK(served.get(flux_sample).status == 502);
  CHECK(served.sim.stats().media_requests == 0);
}

TEST_CASE("many who ask for one sample at once have it fetched once") {
  const Served served;
  wait_for_models(served);
  const auto before = served.sim.stats().media_requests;
  std::vector<std::jthread> askers;
  std::atomic<int> good = 0;
  for (int i = 0; i < 16; ++i)
    askers.emplace_back([&] { good += served.get(flux_sample).status == 200 ? 1 : 0; });
  askers.clear();
  CHECK(good == 16);
  CHECK(served.sim.stats().media_requests == before + 1);
}

}  // namespace falproxy::app
