// Kept files over real sockets and falsim.
#include "falproxy/media.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/openssl_codecs.hpp"
#include "falproxy/sqlite_store.hpp"
#include "file_answer.hpp"
#include "folder.hpp"
#include "media_store/folder_store.hpp"
#include "media_store/media_links.hpp"
#include "program.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;
namespace fs = std::filesystem;

const std::string picture_route = "/v1/images/generations";
const std::string by_address =
    R"({"model":"flux","prompt":"a lighthouse","response_format":"url","size":"64x64","output_format":"png"})";

// A server that keeps files in a folder, and notes them in another.
struct Keeping {
  explicit Keeping(const std::string& parameters = {}, const Environment& more = {},
                   falsim::FalsimOptions options = Served::quick())
      : served(
            with(parameters, more), falsim::Falsim::start(std::move(options)).value(),
            [](const falsim::Falsim& sim) { return Environment{{"FAL_API_URL", sim.api_url()}}; }) {
  }

  Environment with(const std::string& parameters, const Environment& more) const {
    Environment all{{"STATE_DIR", folder.at("state")},
                    {"MEDIA_STORE", "dir:" + folder.at("media") + parameters}};
    for (const auto& [name, value] : more) all[name] = value;
    return all;
  }

  [[nodiscard]] Received ask(const std::string& address, const std::string& fields = {},
                             const std::string& method = "GET") const {
    RawClient client(served.port());
    client.send(method + " " + path_of(address) + " HTTP/1.1\r\nHost: a\r\n" + fields +
                "Connection: close\r\n\r\n");
    return client.receive(method != "HEAD");
  }
  [[nodiscard]] static std::string path_of(const std::string& address) {
    return address.starts_with('/') ? address : Url::parse(address).value().target;
  }
  // The address of a picture that is kept.
  [[nodiscard]] std::string kept(const std::string& body = by_address,
                                 std::string_view key = access_key) const {
    RawClient client(served.port());
    const Received got = client.exchange(test::post(picture_route, body, key_field(key)));
    CAPTURE(got.body);
    REQUIRE(got.status == 200);
    const std::string address = text_at(got.body, "data.0.url");
    REQUIRE(address.find("/media/") != std::string::npos);
    CHECK(got.header("x-falproxy-notes").empty());
    wait_until_kept(key);
    return address;
  }
  void wait_until_kept(std::string_view key = access_key) const {
    std::string list;
    for (int tries = 0; tries < 2000; ++tries) {
      list = listed("", key).body;
      if (list.find("waiting") == std::string::npos) return;
      std::this_thread::sleep_for(Milliseconds(5));
    }
    FAIL(list);
  }
  [[nodiscard]] Received listed(const std::string& query = {},
                                std::string_view key = access_key) const {
    return ask("/v1/falproxy/media" + query, key_field(key));
  }
  [[nodiscard]] std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder.path() / "media"))
      count += entry.is_regular_file() && entry.path().extension() == ".png" ? 1U : 0U;
    return count;
  }

  testing::Folder folder;
  Served served;
};

std::string id_in(const std::string& address) {
  const std::size_t at = address.find("/media/") + 7;
  return address.substr(at, 32);
}

}  // namespace

TEST_CASE("an answer by address has one of falproxy's own, which holds the picture") {
  const Keeping world;
  const std::string address = world.kept();
  CHECK(address.starts_with("http://"));
  CHECK(address.ends_with(".png"));
  const Received file = world.ask(address);
  REQUIRE(file.status == 200);
  CHECK(media::sniff(file.body) == media::ImageType::png);
  CHECK(media::is_whole(file.body));
  CHECK(file.header("content-type") == "image/png");
  CHECK(file.header("content-length") == std::to_string(file.body.size()));
  CHECK(file.header("cache-control").starts_with("public, max-age="));
  CHECK(file.header("cache-control").ends_with(", immutable"));
  CHECK(file.header("x-content-type-options") == "nosniff");
  CHECK(file.header("content-disposition").starts_with("inline; filename=\""));
  CHECK(file.header("etag") == "\"" + id_in(address) + "\"");
  // The ending says nothing.
  CHECK(world.ask("/media/" + id_in(address) + ".jpg").body == file.body);
  CHECK(world.served.sim.stats().misplaced_keys.empty());

  const Received head = world.ask(address, "", "HEAD");
  CHECK(head.status == 200);
  CHECK(head.header("content-length") == std::to_string(file.body.size()));
  CHECK(head.header("etag") == file.header("etag"));
}

TEST_CASE("a kept file is served in parts, and not again to who has it") {
  const Keeping world;
  const std::string address = world.kept();
  const std::string all = world.ask(address).body;
  const std::string size = std::to_string(all.size());
  const Received part = world.ask(address, "Range: bytes=10-19\r\n");
  CHECK(part.status == 206);
  CHECK(part.body == all.substr(10, 10));
  CHECK(part.header("content-range") == "bytes 10-19/" + size);
  const Received end = world.ask(address, "Range: bytes=-5\r\n");
  CHECK(end.status == 206);
  CHECK(end.body == all.substr(all.size() - 5));
  const Received behind = world.ask(address, "Range: bytes=99999999-\r\n");
  CHECK(behind.status == 416);
  CHECK(behind.header("content-range") == "bytes */" + size);
  const std::string tag = "\"" + id_in(address) + "\"";
  CHECK(world.ask(address, "If-None-Match: " + tag + "\r\n").status == 304);
  CHECK(world.ask(address, "If-None-Match: \"a\", W/" + tag + "\r\n").status == 304);
  CHECK(world.ask(address, "If-None-Match: \"another\"\r\n").status == 200);
  CHECK(world.ask(address, "Range: bytes=0-1\r\nIf-Range: \"another\"\r\n").status == 200);
  CHECK(world.ask(address, "Range: bytes=0-1\r\nIf-Range: " + tag + "\r\n").status == 206);
  CHECK(world.ask("/media/00000000000000000000000000000000.png").status == 404);
  CHECK(world.ask("/media/nothing.png").status == 404);
}

TEST_CASE("a range is read as RFC 9110 says") {
  const auto range = [](std::string_view field) { return range_of(field, 100); };
  const auto is = [&](std::string_view field, std::uint64_t first, std::uint64_t count) {
    CAPTURE(field);
    const auto got = range(field);
    REQUIRE(got.has_value());
    CHECK(got->count == count);
    if (count > 0) CHECK(got->first == first);
  };
  is("bytes=0-0", 0, 1);
  is("bytes=5-", 5, 95);
  is("bytes=5-1000", 5, 95);
  is("bytes=-1000", 0, 100);
  is("bytes=-0", 0, 0);
  is("bytes=100-", 0, 0);
  for (const char* const field : {"", "bytes=", "bytes=-", "bytes=7-5", "bytes=a-b", "lines=1-2",
                                  "bytes=0-1,5-6", "bytes=0-18446744073709551616"}) {
    CAPTURE(field);
    CHECK_FALSE(range(field).has_value());
  }
}

TEST_CASE("base64 is answered as ever, and nothing is kept of it") {
  const Keeping world;
  const Received got = world.served.post(
      picture_route, R"({"model":"flux","prompt":"a","response_format":"b64_json"})");
  CHECK(got.status == 200);
  CHECK_FALSE(text_at(got.body, "data.0.b64_json").empty());
  CHECK(at(world.listed().body, "data").size() == 0);
}

TEST_CASE("a chat shows a kept picture, and fal is given its own address of it to edit") {
  for (const std::string access : {"", "?access=signed"}) {
    CAPTURE(access);
    const Keeping world(access,
                        {{"SUPPORTED_MODELS", "nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"}});
    world.served.wait_for_documents();
    const std::string ask = R"({"model":"nano","messages":[{"role":"user","content":"a fox"})";
    const Received first = world.served.post("/v1/chat/completions", ask + "]}");
    CAPTURE(first.body.substr(0, 300));
    REQUIRE(first.status == 200);
    const std::string shown = text_at(first.body, "choices.0.message.content");
    REQUIRE(shown.find("/media/") != std::string::npos);
    const Received second = world.served.post(
        "/v1/chat/completions", ask + R"(,{"role":"assistant","content":")" + shown +
                                    R"("},{"role":"user","content":"make it blue"}]})");
    CHECK(second.status == 200);
    const auto submit = world.served.sim.submits().back();
    CHECK(submit.endpoint == "fal-ai/nano-banana/edit");
    CHECK(submit.input.find("/media/") == std::string::npos);
    CHECK(submit.input.find(world.served.sim.url()) != std::string::npos);
  }
}

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

TEST_CASE("prompts stand in the records only with KEEP_PROMPTS") {
  const Keeping world;
  static_cast<void>(world.kept());
  CHECK(at(world.listed().body, "data.0").find("prompt").has_value() == false);
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

TEST_CASE("a file that is not kept yet is had from fal") {
  Keeping world;
  world.served.wait_for_documents();
  world.served.sim.add_fault(
      {.name = "slow", .step = falsim::Step::media, .delay = Milliseconds(20'000)});
  const Received got = world.served.post(picture_route, by_address);
  const std::string address = text_at(got.body, "data.0.url");
  REQUIRE(address.find("/media/") != std::string::npos);
  const Received file = world.ask(address);
  CHECK(file.status == 302);
  CHECK(file.header("location").starts_with(world.served.sim.url()));
  CHECK(file.header("cache-control") == "no-store");
}

TEST_CASE("a file that fal does not have is lost, and its answer stays") {
  Keeping world;
  world.served.sim.add_fault(falsim::Fault::preset("media_404").value());
  const Received got = world.served.post(picture_route, by_address);
  CHECK(got.status == 200);
  const std::string address = text_at(got.body, "data.0.url");
  world.wait_until_kept();
  CHECK(text_at(world.listed().body, "data.0.status") == "lost");
  CHECK(world.ask(address).status == 302);
}

TEST_CASE("without a place that takes files answers go on with fal's addresses and a Note") {
  SUBCASE("it fails from the start") {
    testing::Folder other;
    const std::string file = other.write("file", "");
    const Keeping world("", {{"MEDIA_STORE", "dir:" + file}});
    const Received got = world.served.post(picture_route, by_address);
    CHECK(got.status == 200);
    CHECK(text_at(got.body, "data.0.url").starts_with(world.served.sim.url()));
    CHECK(got.header("x-falproxy-notes").find("cannot keep files") != std::string::npos);
    CHECK(
        eventually([&] { return world.served.log().find("MEDIA_STORE: ") != std::string::npos; }));
  }
  SUBCASE("it fails later") {
    const Keeping world;
    static_cast<void>(world.kept());
    const fs::path incoming = world.folder.path() / "media" / ".falproxy-incoming";
    fs::remove_all(incoming);
    std::ofstream(incoming) << "no folder";
    // The first one that fails is had from fal, and whoever comes then is told.
    const std::string other =
        R"({"model":"flux","prompt":"other","response_format":"url","output_format":"png"})";
    const std::string first = text_at(world.served.post(picture_route, other).body, "data.0.url");
    REQUIRE(eventually([&] {
      return world.served.log().find("answers have fal's own addresses") != std::string::npos;
    }));
    CHECK(world.ask(first).status == 302);
    const Received next = world.served.post(picture_route, by_address);
    CHECK(next.status == 200);
    CHECK(text_at(next.body, "data.0.url").starts_with(world.served.sim.url()));
    CHECK(next.header("x-falproxy-notes").find("cannot keep files") != std::string::npos);
    // It works again, and what waited is kept.
    fs::remove(incoming);
    fs::create_directory(incoming);
    REQUIRE(eventually([&] { return world.ask(first).status == 200; }));
    CHECK(world.kept().find("/media/") != std::string::npos);
  }
}

TEST_CASE("at max_bytes and at media_quota the oldest go first") {
  const auto body = [](int number) {
    return R"({"model":"flux","prompt":"number )" + std::to_string(number) +
           R"(","response_format":"url","output_format":"png"})";
  };
  testing::Folder other;
  const std::string keys =
      other.write("keys.json", R"({"ann": {"key": "ann-has-a-long-key", "media_quota": 250000}})");
  const Keeping world("?max_bytes=450000", {{"KEYS_FILE", keys}},
                      {.job_time = Milliseconds(0), .picture_bytes = 100'000});
  std::vector<std::string> of_ann, of_default;
  for (int i = 0; i < 3; ++i) of_ann.push_back(world.kept(body(i), "ann-has-a-long-key"));
  REQUIRE(eventually([&] { return world.ask(of_ann[0]).status == 404; }));
  CHECK(world.ask(of_ann[1]).status == 200);
  CHECK(world.ask(of_ann[2]).status == 200);
  for (int i = 3; i < 6; ++i) of_default.push_back(world.kept(body(i)));
  REQUIRE(eventually([&] { return world.ask(of_ann[1]).status == 404; }));
  CHECK(world.ask(of_ann[2]).status == 200);
  for (const std::string& address : of_default) CHECK(world.ask(address).status == 200);
  CHECK(world.files() == 4);
}

TEST_CASE("a file that is too large for the place is not kept") {
  const Keeping world("?max_bytes=1000", {},
                      {.job_time = Milliseconds(0), .picture_bytes = 100'000});
  const std::string address =
      text_at(world.served.post(picture_route, by_address).body, "data.0.url");
  world.wait_until_kept();
  CHECK(world.ask(address).status == 302);
  CHECK(world.files() == 0);
}

TEST_CASE(
    "what has expired goes at the start, and so does what an earlier process left half done") {
  testing::Folder folder;
  const MediaRecord old{.id = RunId::parse("ab345678901234567890123456789012").value(),
                        .state = MediaState::kept,
                        .owner = "default",
                        .expires = std::chrono::system_clock::now() - Seconds(1),
                        .size = 3,
                        .extension = "png"};
  {
    auto store = SqliteStore::open({.folder = folder.path() / "state"});
    REQUIRE(store.has_value());
    (*store)->note({old}, std::chrono::steady_clock::now() + Seconds(5), [](const auto&) {});
  }
  const std::string expired = folder.write("media/ab/ab345678901234567890123456789012.png", "old");
  const std::string half =
      folder.write("media/.falproxy-incoming/cd345678901234567890123456789012.png.7", "half");
  const std::string others = folder.write("media/incoming/half.png", "a stranger's");
  const std::string notes = folder.write("media/.falproxy-incoming/notes.txt", "a stranger's");
  const Served served(
      {{"STATE_DIR", folder.at("state")}, {"MEDIA_STORE", "dir:" + folder.at("media")}});
  REQUIRE(eventually([&] { return !fs::exists(expired) && !fs::exists(half); }));
  CHECK(served.get("/media/ab345678901234567890123456789012.png").status == 404);
  CHECK(fs::exists(others));
  CHECK(fs::exists(notes));
}

TEST_CASE("a repeated request is answered with the same address, and kept once") {
  const Keeping world;
  const std::string fields = "Idempotency-Key: k-1\r\n";
  const Received once = world.served.post(picture_route, by_address, fields);
  const Received again = world.served.post(picture_route, by_address, fields);
  CHECK(again.header("idempotent-replayed") == "true");
  CHECK(text_at(again.body, "data.0.url") == text_at(once.body, "data.0.url"));
  world.wait_until_kept();
  CHECK(at(world.listed().body, "data").size() == 1);
}

TEST_CASE("a picture that stands in the result is kept before its answer") {
  const Keeping world("", {{"SUPPORTED_MODELS", "flux:fal-ai/flux/dev"}});
  const Received got = world.served.post(
      picture_route,
      R"({"model":"flux","prompt":"a","response_format":"url","output_format":"png","sync_mode":true})");
  CAPTURE(got.body.substr(0, 300));
  CHECK(got.status == 200);
  const std::string address = text_at(got.body, "data.0.url");
  REQUIRE(address.find("/media/") != std::string::npos);
  CHECK(media::is_whole(world.ask(address).body));
}

TEST_CASE("an address is what PUBLIC_URL says, else what the request calls the server") {
  const Keeping called;
  CHECK(called.kept().starts_with("http://"));
  RawClient client(called.served.port());
  const Received behind =
      client.exchange("POST " + picture_route +
                      " HTTP/1.1\r\nHost: pictures.example.com\r\nX-Forwarded-Proto: "
                      "https\r\n" +
                      key_field() + "Content-Type: application/json\r\nContent-Length: " +
                      std::to_string(by_address.size()) + "\r\n\r\n" + by_address);
  CHECK(text_at(behind.body, "data.0.url").starts_with("https://pictures.example.com/media/"));
  const Received nameless = client.exchange(
      "POST " + picture_route + " HTTP/1.1\r\nHost: a!b\r\n" + key_field() +
      "Content-Type: application/json\r\nContent-Length: " + std::to_string(by_address.size()) +
      "\r\n\r\n" + by_address);
  CHECK(text_at(nameless.body, "data.0.url").starts_with(called.served.sim.url()));
  CHECK(nameless.header("x-falproxy-notes").find("PUBLIC_URL") != std::string::npos);
  const Keeping told("", {{"PUBLIC_URL", "https://pictures.example.com/here/"}});
  CHECK(told.kept().starts_with("https://pictures.example.com/here/media/"));
}

TEST_CASE("a video and an asynchronous picture are kept when they are made") {
  Keeping world("", {{"SUPPORTED_MODELS", "clip:falsim/clip/text-to-video,flux:fal-ai/flux/dev"}});
  const Received begun = world.served.post("/v1/videos", R"({"model":"clip","prompt":"a fox"})");
  REQUIRE(begun.status == 200);
  const std::string video = "/v1/videos/" + text_at(begun.body, "id");
  REQUIRE(eventually([&] {
    return text_at(world.served.get(video).body, "url").find("/media/") != std::string::npos;
  }));
  const std::string address = text_at(world.served.get(video).body, "url");
  world.wait_until_kept();
  const std::string listed = world.listed().body;
  CAPTURE(listed);
  CHECK(text_at(listed, "data.0.type") == "video/webm");
  CHECK(text_at(listed, "data.0.job").substr(4) == text_at(begun.body, "id").substr(6));
  const std::string film = world.ask(address).body;
  CHECK(film.substr(0, 4) == "\x1A\x45\xDF\xA3");
  // fal's copy may go.
  world.served.sim.add_fault(falsim::Fault::preset("media_404").value());
  const Received content = world.served.get(video + "/content");
  CHECK(content.status == 200);
  CHECK(content.header("content-type") == "video/webm");
  CHECK(content.body == film);
  CHECK(content.header("cache-control").starts_with("private, "));
  world.served.sim.clear_faults();

  // Who deletes the video has its file deleted.
  CHECK(world.ask(video, key_field(), "DELETE").status == 200);
  CHECK(world.ask(address).status == 404);

  const Received job = world.served.post(picture_route, by_address, "Prefer: respond-async\r\n");
  REQUIRE(job.status == 202);
  REQUIRE(eventually([&] {
    return text_at(world.served.get(job.header("location")).body, "response.data.0.url")
               .find("/media/") != std::string::npos;
  }));
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

TEST_CASE("two writers of one file do not write into each other's") {
  const testing::Folder folder;
  InlineExecutor here;
  const auto store = FolderStore::create(folder.path(), here).value();
  const std::string name = "ab345678901234567890123456789012.png";
  const std::string whole(1'000'000, 'a');
  {
    auto first = store->begin(name, {}).value();
    REQUIRE(first->write(whole));
    auto second = store->begin(name, {}).value();
    REQUIRE(second->write("half"));
    REQUIRE(first->finish("image/png"));
    CHECK(store->open(name)->size() == whole.size());
  }
  REQUIRE(store->open(name) != nullptr);
  CHECK((store->open(name)->read(0, whole.size()) == whole));
}

TEST_CASE("a reload changes nothing of MEDIA_STORE, neither for files nor for what fal is told") {
  const Keeping world;
  static_cast<void>(world.kept());
  const std::string& sim = world.served.sim.api_url();
  auto next = load_configuration(
      "/dev/null", world.served.environment(world.with("?access=signed", {{"FAL_API_URL", sim}})));
  REQUIRE(next.has_value());
  world.served.service->reload(std::move(next).value());
  CHECK(world.kept(R"({"model":"flux","prompt":"b","response_format":"url"})").find("expires=") ==
        std::string::npos);
  CHECK_FALSE(world.served.sim.submits()
                  .back()
                  .headers.find("x-fal-object-lifecycle-preference")
                  .has_value());
}

namespace {

// A file of fal's that waits to be kept, as an earlier process has left it.
struct LeftWaiting {
  LeftWaiting() {
    Served served;
    address = text_at(served.post(picture_route, by_address).body, "data.0.url");
    served.service.reset();
    sim.emplace(std::move(served.sim));
    record.source = address;
    auto store = SqliteStore::open({.folder = folder.path() / "state"});
    REQUIRE(store.has_value());
    (*store)->note({record}, std::chrono::steady_clock::now() + Seconds(5), [](const auto&) {});
  }
  [[nodiscard]] std::unique_ptr<Served> go_on() {
    return std::make_unique<Served>(Environment{{"STATE_DIR", folder.at("state")},
                                                {"MEDIA_STORE", "dir:" + folder.at("media")}},
                                    *std::exchange(sim, std::nullopt),
                                    [](const falsim::Falsim&) { return Environment(); });
  }

  testing::Folder folder;
  std::string address;
  MediaRecord record{.id = RunId::parse("ab345678901234567890123456789012").value(),
                     .owner = "default",
                     .created = std::chrono::system_clock::now() - std::chrono::hours(2),
                     .extension = "png"};
  std::optional<falsim::Falsim> sim;
};

}  // namespace

TEST_CASE("a server that stops while it fetches an old file loses it not") {
  LeftWaiting left;
  left.sim->add_fault({.name = "slow", .step = falsim::Step::media, .delay = Milliseconds(20'000)});
  auto served = left.go_on();
  REQUIRE(eventually([&] { return served->sim.stats().media_requests > 0; }));
  served->service->stop(Milliseconds(0));
  served->service.reset();
  served->sim.clear_faults();
  left.sim.emplace(std::move(served->sim));
  served = left.go_on();
  REQUIRE(eventually(
      [&] { return served->get("/media/ab345678901234567890123456789012.png").status == 200; }));
}

TEST_CASE("a file that the store does not take holds up no other") {
  LeftWaiting left;
  fs::create_directories(left.folder.path() / "media/ab/ab345678901234567890123456789012.png/in");
  const auto served = left.go_on();
  REQUIRE(eventually([&] {
    return served->log().find("is not kept") != std::string::npos ||
           served->log().find("fal's own") != std::string::npos;
  }));
  const Received got = served->post(picture_route, by_address);
  CHECK(got.header("x-falproxy-notes").empty());
  CHECK(text_at(got.body, "data.0.url").find("/media/") != std::string::npos);
  CHECK(served->log().find("answers have fal's own") == std::string::npos);
}

TEST_CASE("at a start the oldest go, if max_bytes is less than before") {
  const testing::Folder folder;
  const auto with = [&](const std::string& parameters) {
    return Environment{{"STATE_DIR", folder.at("state")},
                       {"MEDIA_STORE", "dir:" + folder.at("media") + parameters}};
  };
  auto served = std::make_unique<Served>(
      with(""), falsim::FalsimOptions{.job_time = Milliseconds(0), .picture_bytes = 100'000});
  std::vector<std::string> addresses;
  for (const char* const prompt : {"one", "two"}) {
    const Received got = served->post(picture_route, R"({"model":"flux","response_format":"url",)"
                                                     R"("output_format":"png","prompt":")" +
                                                         std::string(prompt) + "\"}");
    addresses.push_back(Keeping::path_of(text_at(got.body, "data.0.url")));
    REQUIRE(eventually([&] { return served->get(addresses.back()).status == 200; }));
  }
  served->service.reset();
  const Served next(with("?max_bytes=150000"), std::move(served->sim),
                    [](const falsim::Falsim&) { return Environment(); });
  const auto is_gone = [&] { return next.get(addresses[0]).status == 404; };
  REQUIRE((eventually(is_gone) || eventually(is_gone)));  // it is looked at every five seconds
  CHECK(next.get(addresses[1]).status == 200);
}

TEST_CASE("as long as STATE_DIR cannot be used, nobody is told that there are no files") {
  const testing::Folder other;
  const Keeping world("", {{"STATE_DIR", other.write("file", "")}});
  CHECK(world.listed().status == 503);
  CHECK(world.ask("/media/00000000000000000000000000000000.png").status == 503);
}

TEST_CASE("if files are not public and cannot be kept, answers have links that open them") {
  const testing::Folder other;
  const Keeping world("", {{"MEDIA_STORE", "dir:" + other.write("file", "") + "?access=key"}});
  const Received got = world.served.post(picture_route, by_address);
  const Url link = Url::parse(text_at(got.body, "data.0.url")).value();
  CHECK(got.header("x-falproxy-notes").find("cannot keep files") != std::string::npos);
  CHECK(RawClient(link.port).exchange(test::get(link.target)).status == 200);
}

TEST_CASE("a process that is killed while it keeps files serves no half one, and goes on") {
  constexpr int requests = 24;
  constexpr std::size_t bytes = 4'000'000;  // so that a kill comes in the middle of it
  testing::Folder folder;
  falsim::Falsim sim =
      falsim::Falsim::start({.job_time = Milliseconds(0), .picture_bytes = bytes}).value();
  const auto begin = [&] {
    return std::make_unique<Program>(sim,
                                     Environment{{"STATE_DIR", folder.at("state")},
                                                 {"MEDIA_STORE", "dir:" + folder.at("media")}});
  };
  auto program = begin();
  std::vector<std::string> addresses;
  for (int i = 0; i < requests; ++i) {
    RawClient client(program->port());
    const Received got =
        client.exchange(test::post(picture_route,
                                   R"({"model":"flux","prompt":"number )" + std::to_string(i) +
                                       R"(","response_format":"url","output_format":"png"})",
                                   key_field()));
    REQUIRE(got.status == 200);
    addresses.push_back(Keeping::path_of(text_at(got.body, "data.0.url")));
    if (i % 8 != 5) continue;
    std::this_thread::sleep_for(Milliseconds(60));  // lazy writes are out
    program->signal(SIGKILL);
    REQUIRE(program->wait(Seconds(20)) == 128 + SIGKILL);
    for (const auto& entry : fs::recursive_directory_iterator(folder.path() / "media")) {
      if (entry.path().parent_path().filename() == ".falproxy-incoming" ||
          !entry.is_regular_file() || entry.path().extension() != ".png")
        continue;
      CHECK(entry.file_size() >= bytes);
    }
    program = begin();
  }
  const auto look = [&](const std::string& address) {
    RawClient client(program->port());
    return client.exchange("GET " + address + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  };
  for (const std::string& address : addresses) {
    CAPTURE(address);
    Received got;
    REQUIRE(eventually([&] {
      got = look(address);
      CHECK((got.status == 200 || got.status == 302));
      return got.status == 200;
    }));
    CHECK(media::is_whole(got.body));
    CHECK(got.body.size() >= bytes);
  }
}

}  // namespace falproxy::app
