// Who may open a kept file.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "falproxy/openssl_codecs.hpp"
#include "folder.hpp"
#include "keeping.hpp"
#include "media_store/media_links.hpp"

namespace falproxy::app {

using namespace test;
namespace {

// As fal opens it.
bool opens(const std::string& address) {
  CAPTURE(address);
  const std::optional<Url> url = Url::parse(address);
  REQUIRE(url.has_value());
  REQUIRE(address.find("/media/") == std::string::npos);
  return RawClient(url->port).exchange(test::get(url->target)).status == 200;
}

}  // namespace

TEST_CASE("with access key only the owner's key opens a file") {
  const Keeping world("?access=key",
                      {{"ACCESS_KEYS", "ann=ann-has-a-long-key,bob=bob-has-a-long-key"}});
  const std::string address = world.kept(by_address, "ann-has-a-long-key");
  CHECK(world.ask(address).status == 401);
  CHECK(world.ask(address, key_field("bob-has-a-long-key")).status == 404);
  CHECK(world.ask(address, key_field("no-key-at-all-xx")).status == 401);
  const Received file = world.ask(address, key_field("ann-has-a-long-key"));
  CHECK(file.status == 200);
  CHECK(file.header("cache-control").starts_with("private, "));
}

TEST_CASE("with access signed an address opens as it was given, and in no other way") {
  const Keeping world("?access=signed");
  const std::string address = world.kept();
  CAPTURE(address);
  CHECK(world.ask(address).status == 200);
  CHECK(world.ask(address.substr(0, address.find('?'))).status == 403);
  std::string forged = address;
  forged.back() = forged.back() == '0' ? '1' : '0';
  CHECK(world.ask(forged).status == 403);
  std::string later = address;
  later.replace(later.find("expires=1") + 8, 1, "2");
  CHECK(world.ask(later).status == 403);
  CHECK(world.ask(address.substr(0, address.find('?')), key_field()).status == 200);
}

TEST_CASE("a signed address opens until it ends") {
  const OpensslCodecs openssl;
  const MediaLinks links(openssl, "a secret",
                         {.access = MediaAccess::signed_link, .link_life = std::chrono::hours(1)});
  const WallTime now{Seconds(1'000'000)};
  const MediaRecord record{.id = links.id_of("ann", "https://a/b.png"), .extension = "png"};
  const std::string address = links.address(record, "https://host", now);
  CHECK(links.opens(record.id, address, now));
  CHECK(links.opens(record.id, address, now + std::chrono::minutes(59)));
  CHECK_FALSE(links.opens(record.id, address, now + std::chrono::hours(1)));
  CHECK_FALSE(links.opens(links.id_of("bob", "https://a/b.png"), address, now));
  const MediaLinks others(openssl, "another secret", {.access = MediaAccess::signed_link});
  CHECK_FALSE(others.opens(record.id, address, now));
  CHECK(others.id_of("ann", "https://a/b.png") != record.id);
}

TEST_CASE("with access signed or key what fal keeps is not public either") {
  for (const char* const access : {"signed", "key"}) {
    CAPTURE(access);
    Keeping world(std::string("?access=") + access,
                  {{"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,vidu:vidu/q2/text-to-image"}});
    const std::string address = world.kept();
    CHECK(world.ask(address, key_field()).status == 200);
    const falsim::SeenSubmit submit = world.served.sim.submits().front();
    CHECK(std::string(submit.headers.find("x-fal-object-lifecycle-preference").value_or("")) ==
          R"({"initial_acl":{"default":"forbid","rules":[]}})");
    // Base64 of a model that gives addresses alone is fetched with a signed link, too.
    const Received base64 = world.served.post(
        picture_route, R"({"model":"vidu","prompt":"a","response_format":"b64_json"})");
    CHECK(base64.status == 200);
    CHECK(world.served.sim.stats().misplaced_keys.empty());
    // What is not kept opens with such a link, for who may have it, and in no other way.
    world.served.sim.add_fault(falsim::Fault::preset("media_404").value());
    const std::string lost = text_at(
        world.served
            .post(picture_route, R"({"model":"flux","prompt":"lost","response_format":"url"})")
            .body,
        "data.0.url");
    world.wait_until_kept();
    world.served.sim.clear_faults();
    const Received away = world.ask(lost, key_field());
    REQUIRE(away.status == 302);
    const std::string link = Url::parse(away.header("location")).value().target;
    RawClient fal(Url::parse(away.header("location")).value().port);
    CHECK(fal.exchange(test::get(link)).status == 200);
    RawClient stranger(Url::parse(away.header("location")).value().port);
    CHECK(stranger.exchange(test::get(link.substr(0, link.find('?')))).status == 403);
  }
}

TEST_CASE(
    "with access signed or key fal gets a link that opens a kept file, if it is the client's") {
  struct Case {
    std::string route, before, after, place;
  };
  const std::vector<Case> cases{
      {"/v1/images/edits", R"({"model":"nano","prompt":"edit this","image":")", "\"}",
       "image_urls.0"},
      {"/v1/images/edits", R"({"model":"nano","prompt":"edit this","image_urls":[")", "\"]}",
       "image_urls.0"},
      {"/v1/chat/completions",
       R"({"model":"nano","messages":[{"role":"user","content":[{"type":"text","text":"edit this"},)"
       R"({"type":"image_url","image_url":{"url":")",
       "\"}}]}]}", "image_urls.0"},
      {"/v1/responses",
       R"({"model":"nano","input":[{"role":"user","content":[{"type":"input_text","text":"edit this"},)"
       R"({"type":"input_image","image_url":")",
       "\"}]}]}", "image_urls.0"},
      {"/v1/videos", R"({"model":"clip","prompt":"a fox","input_reference":")", "\"}",
       "image_url"}};
  for (const char* const access : {"signed", "key"}) {
    CAPTURE(access);
    const Keeping world(std::string("?access=") + access,
                        {{"SUPPORTED_MODELS",
                          "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit,"
                          "clip:falsim/clip/text-to-video+falsim/clip/image-to-video"},
                         {"ACCESS_KEYS", "other=other-key-of-16-letters"}});
    world.served.wait_for_documents();
    const std::string address = world.kept();
    for (const Case& c : cases) {
      const std::string body = c.before + address + c.after;
      CAPTURE(c.route);
      CAPTURE(body);
      const Received got = world.served.post(c.route, body);
      CAPTURE(got.body.substr(0, 300));
      REQUIRE(got.status == 200);
      CHECK(opens(text_at(world.served.sim.submits().back().input, c.place)));
      RawClient other(world.served.port());
      REQUIRE(other.exchange(post(c.route, body, key_field("other-key-of-16-letters"))).status ==
              200);
      CHECK(text_at(world.served.sim.submits().back().input, c.place) == address);
    }
  }
}

TEST_CASE(
    "with access signed or key fal gets a link that opens what a next turn or a remix names") {
  const testing::Folder other;
  const std::string models =
      other.write("models.json", R"({"clip": {"remix": "falsim/clip/video-to-video"}})");
  for (const char* const access : {"signed", "key"}) {
    CAPTURE(access);
    const Keeping world(std::string("?access=") + access,
                        {{"SUPPORTED_MODELS",
                          "nano:fal-ai/nano-banana+fal-ai/nano-banana/edit,"
                          "clip:falsim/clip/text-to-video+falsim/clip/image-to-video"},
                         {"MODELS_FILE", models}});
    world.served.wait_for_documents();
    const Received first =
        world.served.post("/v1/responses", R"({"model":"nano","input":"a fox"})");
    CAPTURE(first.body.substr(0, 300));
    REQUIRE(first.status == 200);
    const std::string item = text_at(first.body, "output.0.id");
    const std::string say = R"({"role":"user","content":"make it blue"}]})";
    for (const std::string& turn : std::vector<std::string>{
             R"({"model":"nano","input":"make it blue","previous_response_id":")" +
                 text_at(first.body, "id") + "\"}",
             R"({"model":"nano","input":[{"type":"item_reference","id":")" + item + "\"}," + say,
             R"({"model":"nano","input":[{"type":"image_generation_call","id":")" + item +
                 R"(","result":null},)" + say}) {
      CAPTURE(turn);
      const Received got = world.served.post("/v1/responses", turn);
      CAPTURE(got.body.substr(0, 300));
      REQUIRE(got.status == 200);
      CHECK(opens(text_at(world.served.sim.submits().back().input, "image_urls.0")));
    }
    const std::string video =
        "/v1/videos/" +
        text_at(world.served.post("/v1/videos", R"({"model":"clip","prompt":"a fox"})").body, "id");
    for (int tries = 0; tries < 2000; ++tries) {
      if (text_at(world.served.get(video).body, "status") == "completed") break;
      std::this_thread::sleep_for(Milliseconds(5));
    }
    const Received remix = world.served.post(video + "/remix", R"({"prompt":"a wolf"})");
    CAPTURE(remix.body);
    REQUIRE(remix.status == 200);
    CHECK(opens(text_at(world.served.sim.submits().back().input, "video_url")));
  }
}

TEST_CASE("if files are not public and cannot be kept, answers have links that open them") {
  const testing::Folder other;
  const Keeping world("", {{"MEDIA_STORE", "dir:" + other.write("file", "") + "?access=key"}});
  const Received got = world.served.post(picture_route, by_address);
  const Url link = Url::parse(text_at(got.body, "data.0.url")).value();
  CHECK(got.header("x-falproxy-notes").find("cannot keep files") != std::string::npos);
  CHECK(RawClient(link.port).exchange(test::get(link.target)).status == 200);
}

}  // namespace falproxy::app
