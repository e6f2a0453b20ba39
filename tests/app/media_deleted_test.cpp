// What becomes of kept files that somebody deletes.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "keeping.hpp"

namespace falproxy::app {

using namespace test;

TEST_CASE("kept files are listed, shown and deleted by their owner alone") {
  const Keeping world("", {{"ACCESS_KEYS", "ann=ann-has-a-long-key,bob=bob-has-a-long-key"},
                           {"KEEP_PROMPTS", "true"}});
  const std::string first = world.kept(by_address, "ann-has-a-long-key");
  const std::string second = world.kept(
      R"({"model":"flux","prompt":"another","response_format":"url","output_format":"png"})",
      "ann-has-a-long-key");
  const std::string list = world.listed("", "ann-has-a-long-key").body;
  CAPTURE(list);
  CHECK(at(list, "data").size() == 2);
  CHECK(text_at(list, "data.0.id") == id_in(second));
  CHECK(text_at(list, "data.1.id") == id_in(first));
  CHECK(text_at(list, "data.0.object") == "falproxy.media");
  CHECK(text_at(list, "data.0.model") == "flux");
  CHECK(text_at(list, "data.0.type") == "image/png");
  CHECK(text_at(list, "data.0.prompt") == "another");
  CHECK(at(list, "data.0.size").as_integer().value_or(0) > 0);
  CHECK(at(list, "data.0.created_at").as_integer().value_or(0) > 1'700'000'000);
  CHECK(at(list, "has_more").as_boolean() == false);

  const std::string page = world.listed("?limit=1", "ann-has-a-long-key").body;
  CHECK(at(page, "data").size() == 1);
  CHECK(at(page, "has_more").as_boolean() == true);
  const std::string rest =
      world.listed("?limit=1&after=" + id_in(second), "ann-has-a-long-key").body;
  CHECK(text_at(rest, "data.0.id") == id_in(first));
  CHECK(at(rest, "has_more").as_boolean() == false);
  CHECK(world.listed("?after=00000000000000000000000000000000", "ann-has-a-long-key").status ==
        400);

  const std::string of_first = "/v1/falproxy/media/" + id_in(first);
  CHECK(at(world.listed("", "bob-has-a-long-key").body, "data").size() == 0);
  CHECK(world.ask(of_first, key_field("bob-has-a-long-key")).status == 404);
  CHECK(world.ask(of_first, key_field("bob-has-a-long-key"), "DELETE").status == 404);
  CHECK(world.ask(of_first, "").status == 401);
  CHECK(text_at(world.ask(of_first, key_field("ann-has-a-long-key")).body, "id") == id_in(first));

  CHECK(world.files() == 2);
  const Received gone = world.ask(of_first, key_field("ann-has-a-long-key"), "DELETE");
  CHECK(gone.status == 200);
  CHECK(at(gone.body, "deleted").as_boolean() == true);
  CHECK(world.files() == 1);
  CHECK(world.ask(of_first, key_field("ann-has-a-long-key")).status == 404);
  CHECK(world.ask(first).status == 404);
  CHECK(world.ask(second).status == 200);
}

TEST_CASE("what was deleted does not come back if its request is repeated") {
  const Keeping world("", {{"KEEP_PROMPTS", "true"}});
  const auto ask = [&](const std::string& body) {
    return RawClient(world.served.port())
        .exchange(test::post(picture_route, body, key_field() + "Idempotency-Key: k-1\r\n"));
  };
  const std::string address = text_at(ask(by_address).body, "data.0.url");
  world.wait_until_kept();
  CHECK(world.ask("/v1/falproxy/media/" + id_in(address), key_field(), "DELETE").status == 200);
  const Received again = ask(by_address);
  CHECK(again.status == 200);
  CHECK(text_at(again.body, "data.0.url") == address);
  CHECK(again.header("x-falproxy-notes").find("was deleted") != std::string::npos);
  world.wait_until_kept();
  CHECK(world.ask(address).status == 404);
  CHECK(world.files() == 0);
  CHECK(at(world.listed().body, "data").size() == 0);
  CHECK(world.ask("/v1/falproxy/media/" + id_in(address), key_field(), "DELETE").status == 404);
  CHECK(world.served.sim.submits().size() == 1);
}

TEST_CASE("with an administrator's key what is deleted here is deleted at fal, too") {
  for (const bool has_key : {true, false}) {
    CAPTURE(has_key);
    const Keeping world("",
                        has_key ? Environment{{"FAL_ADMIN_KEY", "admin:secret"}} : Environment());
    const std::string address = world.kept();
    const std::string request = world.served.sim.submits().at(0).request_id;
    const std::string path = "/v1/falproxy/media/" + id_in(address);
    CHECK(world.ask(path, key_field(), "DELETE").status == 200);
    CHECK(world.ask(address).status == 404);
    if (!has_key) {
      CHECK(world.served.sim.stats().forgotten.empty());
      continue;
    }
    CHECK(world.served.sim.wait_for([&](const falsim::FalsimStats& stats) {
      return stats.forgotten == std::vector<std::string>{request};
    }));
    // What fal has of others stays.
    static_cast<void>(world.kept(
        R"({"model":"flux","prompt":"another","response_format":"url","size":"64x64"})"));
    CHECK(world.served.sim.stats().forgotten.size() == 1);
  }
}

TEST_CASE("deleting one of two equal pictures of two owners leaves the other") {
  const Keeping world("", {{"ACCESS_KEYS", "ann=ann-has-a-long-key,bob=bob-has-a-long-key"}});
  const std::string same =
      R"({"model":"flux","prompt":"the same","response_format":"url","output_format":"png","seed":7})";
  const std::string ann = world.kept(same, "ann-has-a-long-key");
  const std::string bob = world.kept(same, "bob-has-a-long-key");
  const std::string picture = world.ask(bob).body;
  REQUIRE(world.ask(ann).body == picture);
  CHECK(ann != bob);
  CHECK(world.ask("/v1/falproxy/media/" + id_in(ann), key_field("ann-has-a-long-key"), "DELETE")
            .status == 200);
  CHECK(world.ask(ann).status == 404);
  CHECK(world.ask(bob).body == picture);
}

TEST_CASE("of a video whose file was deleted nothing is shown any more, nor its thumbnail") {
  Keeping world("", {{"SUPPORTED_MODELS", "clip:falsim/clip/text-to-video"}});
  const Received begun = world.served.post("/v1/videos", R"({"model":"clip","prompt":"a fox"})");
  REQUIRE(begun.status == 200);
  const std::string video = "/v1/videos/" + text_at(begun.body, "id");
  const std::string thumbnail = video + "/content?variant=thumbnail";
  REQUIRE(eventually([&] { return world.served.get(thumbnail).status == 200; }));
  world.wait_until_kept();
  const std::string file = text_at(world.listed().body, "data.0.id");
  REQUIRE(world.ask("/v1/falproxy/media/" + file, key_field(), "DELETE").status == 200);
  for (const std::string& gone : {thumbnail, video + "/content"}) {
    CAPTURE(gone);
    const Received answer = world.served.get(gone);
    CHECK(answer.status == 404);
    CHECK(text_at(answer.body, "error.message") == "The file was deleted.");
    CHECK(text_at(answer.body, "error.param") == "video_id");
  }
}

TEST_CASE("of a job whose file was deleted its content says so, and names the id") {
  Keeping world;
  const Received begun = world.served.post(picture_route, by_address, "Prefer: respond-async\r\n");
  REQUIRE(begun.status == 202);
  const std::string job = begun.header("location");
  REQUIRE(eventually([&] { return text_at(world.served.get(job).body, "status") == "completed"; }));
  world.wait_until_kept();
  const std::string file = text_at(world.listed().body, "data.0.id");
  REQUIRE(world.ask("/v1/falproxy/media/" + file, key_field(), "DELETE").status == 200);
  const Received answer = world.served.get(job + "/content");
  CHECK(answer.status == 404);
  CHECK(text_at(answer.body, "error.message") == "The file was deleted.");
  CHECK(text_at(answer.body, "error.param") == "id");
}

}  // namespace falproxy::app
