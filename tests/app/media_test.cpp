// Kept files over real sockets and falsim: how answers name them, and how they are served.
#include "falproxy/media.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "file_answer.hpp"
#include "folder.hpp"
#include "keeping.hpp"
#include "media_store/folder_store.hpp"

namespace falproxy::app {

using namespace test;
namespace fs = std::filesystem;

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

TEST_CASE("prompts stand in the records only with KEEP_PROMPTS") {
  const Keeping world;
  static_cast<void>(world.kept());
  CHECK(at(world.listed().body, "data.0").find("prompt").has_value() == false);
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

TEST_CASE("as long as STATE_DIR cannot be used, nobody is told that there are no files") {
  const testing::Folder other;
  const Keeping world("", {{"STATE_DIR", other.write("file", "")}});
  CHECK(world.listed().status == 503);
  CHECK(world.ask("/media/00000000000000000000000000000000.png").status == 503);
}

}  // namespace falproxy::app
