// OpenAI's videos API over real sockets and falsim.
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/media.hpp"
#include "folder.hpp"
#include "served.hpp"
#include "support/pictures.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const Environment video_models{
    {"SUPPORTED_MODELS",
     "clip:falsim/clip/text-to-video+falsim/clip/image-to-video,frames:falsim/frames,"
     "flux:fal-ai/flux/dev"}};
const std::string fox_video =
    R"({"model":"clip","prompt":"a fox","seconds":"8","size":"1280x720"})";

std::string make_a_video(const Served& served, const std::string& body = fox_video,
                         const std::string& fields = {}) {
  const Received got = served.post("/v1/videos", body, fields);
  CAPTURE(got.body);
  REQUIRE(got.status == 200);
  return text_at(got.body, "id");
}

Received ended_video(const Served& served, const std::string& video) {
  Received got;
  int progress = 0;
  for (int tries = 0; tries < 6'000; ++tries) {
    got = served.get("/v1/videos/" + video);
    const std::string status = text_at(got.body, "status");
    const int now = static_cast<int>(at(got.body, "progress").as_integer().value_or(-1));
    CHECK(now >= progress);
    progress = now;
    if (status == "completed" || status == "failed") break;
    CHECK(now < 100);
    CHECK(got.header("openai-poll-after-ms") == "3000");
    CHECK(at(got.body, "error").is_null());
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return got;
}

// As SDKs send it.
Received make_by_form(const Served& served,
                      const std::vector<std::pair<std::string, std::string>>& fields,
                      const std::string& file = {}) {
  std::string form;
  for (const auto& [name, value] : fields)
    form += "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
  if (!file.empty()) {
    form +=
        "--b\r\nContent-Disposition: form-data; name=\"input_reference\"; filename=\"a.png\"\r\n"
        "Content-Type: image/png\r\n\r\n" +
        file + "\r\n";
  }
  form += "--b--\r\n";
  RawClient client(served.port());
  return client.exchange("POST /v1/videos HTTP/1.1\r\nHost: a\r\n" + key_field() +
                         "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                         std::to_string(form.size()) + "\r\n\r\n" + form);
}

Received ask_for(const Served& served, const std::string& method, const std::string& path,
                 const std::string& fields = {}) {
  RawClient client(served.port());
  client.send(method + " " + path + " HTTP/1.1\r\nHost: a\r\n" + key_field() + fields +
              "Connection: close\r\n\r\n");
  return client.receive(method != "HEAD");
}

}  // namespace

TEST_CASE("a video is begun, polled, fetched, listed and deleted") {
  const Served served(video_models);
  const Received begun = served.post("/v1/videos", fox_video);
  REQUIRE(begun.status == 200);
  const std::string video = text_at(begun.body, "id");
  CHECK(video.starts_with("video_"));
  CHECK(text_at(begun.body, "object") == "video");
  CHECK(text_at(begun.body, "model") == "clip");
  const Received ended = ended_video(served, video);
  CAPTURE(ended.body);
  CHECK(text_at(ended.body, "status") == "completed");
  CHECK(at(ended.body, "progress").as_integer() == 100);
  CHECK(text_at(ended.body, "seconds") == "8");
  CHECK(text_at(ended.body, "size") == "1280x720");
  CHECK(ended.body.find("falsim/clip") == std::string::npos);
  REQUIRE(served.sim.submits().size() == 1);
  CHECK(served.sim.submits()[0].input.find(R"("duration":"8")") != std::string::npos);
  CHECK(served.sim.submits()[0].input.find(R"("resolution":"720p")") != std::string::npos);

  const Received file = served.get("/v1/videos/" + video + "/content");
  CHECK(file.status == 200);
  CHECK(file.header("content-type") == "video/webm");
  CHECK(file.header("content-length") == std::to_string(file.body.size()));
  CHECK(file.body.substr(0, 4) == "\x1A\x45\xDF\xA3");

  const Received list = served.get("/v1/videos");
  CHECK(text_at(list.body, "data.0.id") == video);
  CHECK(at(list.body, "has_more").as_boolean() == false);
  const Received gone = ask_for(served, "DELETE", "/v1/videos/" + video);
  CHECK(gone.status == 200);
  CHECK(text_at(gone.body, "object") == "video.deleted");
  CHECK(served.get("/v1/videos/" + video).status == 404);
  CHECK(at(served.get("/v1/videos").body, "data").size() == 0);
}

TEST_CASE("a picture of a video is served, if the model makes one, and no other") {
  const Served served(video_models);
  const std::string clip = make_a_video(served);
  CHECK(text_at(ended_video(served, clip).body, "status") == "completed");
  const std::string content = "/v1/videos/" + clip + "/content?variant=";
  const Received picture = served.get(content + "thumbnail");
  CHECK(picture.status == 200);
  CHECK(picture.header("content-type") == "image/png");
  const auto size = media::dimensions(picture.body);
  REQUIRE(size.has_value());
  CHECK(size->width == 1280);
  CHECK(size->height == 720);
  const Received scenes = served.get(content + "spritesheet");
  CHECK(scenes.status == 200);
  CHECK(scenes.header("content-type") == "image/png");
  CHECK(media::dimensions(scenes.body) == size);
  CHECK(scenes.body != picture.body);
  CHECK(text_at(served.get(content + "poster").body, "error.param") == "variant");

  const std::string frames = make_a_video(
      served, R"({"model":"frames","prompt":"a fox","seconds":"5","size":"1024x576"})");
  CHECK(text_at(ended_video(served, frames).body, "status") == "completed");
  for (const std::string variant : {"thumbnail", "spritesheet"}) {
    const Received none = served.get("/v1/videos/" + frames + "/content?variant=" + variant);
    CHECK(none.status == 404);
    CHECK(none.header("content-type").starts_with("application/json"));
    CHECK(text_at(none.body, "error.message") == "fal's model made no " + variant + ".");
  }
  CHECK(served.sim.stats().misplaced_keys.empty());
}

TEST_CASE("a long picture is put away until the form is whole, and comes to fal as it was") {
  const testing::Folder folder;
  Environment with = video_models;
  with["STATE_DIR"] = folder.path();
  const Served served(with);
  const std::string picture = tests::whole_png(32, 32) + std::string(2'000'000, 'p');
  const std::string form =
      "--b\r\nContent-Disposition: form-data; name=\"input_reference\"; "
      "filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n" +
      picture +
      "\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nclip\r\n--b\r\n"
      "Content-Disposition: form-data; name=\"prompt\"\r\n\r\na fox\r\n--b--\r\n";
  RawClient client(served.port());
  const Received got =
      client.exchange("POST /v1/videos HTTP/1.1\r\nHost: a\r\n" + key_field() +
                      "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                      std::to_string(form.size()) + "\r\n\r\n" + form);
  CAPTURE(got.body);
  REQUIRE(got.status == 200);
  const std::string input = served.sim.submits().back().input;
  const std::string mark = "\"image_url\":\"";
  const std::size_t begin = input.find(mark) + mark.size();
  const auto upload = served.sim.upload(input.substr(begin, input.find('"', begin) - begin));
  REQUIRE(upload.has_value());
  // What stands behind its end is no part of the picture.
  CHECK(upload->bytes == tests::whole_png(32, 32));
}

TEST_CASE("a part of a video is served as a part") {
  const Served served(video_models);
  const std::string video = make_a_video(served);
  CHECK(text_at(ended_video(served, video).body, "status") == "completed");
  const std::string path = "/v1/videos/" + video + "/content";
  const Received whole = served.get(path);
  const Received part = ask_for(served, "GET", path, "Range: bytes=10-19\r\n");
  CHECK(part.status == 206);
  CHECK(part.body == whole.body.substr(10, 10));
  CHECK(part.header("content-range") == "bytes 10-19/" + std::to_string(whole.body.size()));
  CHECK(ask_for(served, "GET", path, "Range: bytes=99999999-\r\n").status == 416);
  const Received head = ask_for(served, "HEAD", path);
  CHECK(head.status == 200);
  CHECK(head.header("content-length") == std::to_string(whole.body.size()));
  CHECK(served.sim.stats().misplaced_keys.empty());
}

TEST_CASE("a picture chooses the model's endpoint for pictures, as a file, too") {
  const Served served(video_models);
  const std::string address = "https://example.com/a.png";
  make_a_video(served, R"({"model":"clip","prompt":"a fox","seconds":4,"input_reference":")" +
                           address + "\"}");
  CHECK(served.sim.submits()[0].endpoint == "falsim/clip/image-to-video");
  CHECK(served.sim.submits()[0].input.find(R"("image_url":")" + address) != std::string::npos);
  CHECK(served.sim.submits()[0].input.find("end_image_url") == std::string::npos);
  CHECK(served.sim.submits()[0].input.find(R"("duration":"4s")") != std::string::npos);
  // The picture stands before the model, as SDKs may send it.
  const std::string picture = tests::whole_png(32, 32);
  const std::string form =
      "--b\r\nContent-Disposition: form-data; name=\"input_reference\"; "
      "filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n" +
      picture +
      "\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nclip\r\n--b\r\n"
      "Content-Disposition: form-data; name=\"prompt\"\r\n\r\na fox\r\n--b\r\n"
      "Content-Disposition: form-data; name=\"seconds\"\r\n\r\n6\r\n--b--\r\n";
  RawClient client(served.port());
  const Received got =
      client.exchange("POST /v1/videos HTTP/1.1\r\nHost: a\r\n" + key_field() +
                      "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                      std::to_string(form.size()) + "\r\n\r\n" + form);
  CAPTURE(got.body);
  CHECK(got.status == 200);
  CHECK(served.sim.submits().back().endpoint == "falsim/clip/image-to-video");
  CHECK(served.sim.submits().back().input.find("/files/uploads/") != std::string::npos);
}

TEST_CASE("frames are counted for a model that wants frames") {
  const Served served(video_models);
  make_a_video(served, R"({"model":"frames","prompt":"a fox","seconds":"5","size":"1024x576"})");
  CHECK(served.sim.submits()[0].input.find(R"("num_frames":80)") != std::string::npos);
  CHECK(served.sim.submits()[0].input.find(R"("height":576,"width":1024)") != std::string::npos);
}

TEST_CASE("what cannot become a video is refused before anything is paid") {
  Environment settings = video_models;
  settings["SUPPORTED_MODELS"] += ",nano:fal-ai/nano-banana+fal-ai/nano-banana/edit";
  const Served served(settings);
  served.wait_for_documents();
  struct Case {
    std::string body, param;
  };
  for (const Case& c : std::vector<Case>{
           {R"({"model":"clip","seconds":"5"})", "prompt"},
           {R"({"model":"clip","prompt":"x","seconds":"20"})", "seconds"},
           {R"({"model":"clip","prompt":"x","seconds":"soon"})", "seconds"},
           {R"({"model":"clip","prompt":"x","size":"very large"})", "size"},
           {R"({"model":"nobody","prompt":"x"})", "model"},
           {R"({"model":"flux","prompt":"x"})", "model"},
           {R"({"model":"frames","prompt":"x","input_reference":"https://a.example/a.png"})",
            "input_reference"},
           {R"({"model":"clip","prompt":"x","input_reference":"nothing"})", "input_reference"},
           {R"({"model":"clip","prompt":"x","input_reference":{"file_id":"f"}})",
            "input_reference.file_id"}}) {
    CAPTURE(c.body);
    const Received got = served.post("/v1/videos", c.body);
    CAPTURE(got.body);
    CHECK(got.status == 400);
    CHECK(text_at(got.body, "error.param") == c.param);
    CHECK(text_at(got.body, "error.message").size() > 10);
  }
  const std::string hint = text_at(
      served
          .post("/v1/videos",
                R"({"model":"frames","prompt":"x","input_reference":"https://a.example/a.png"})")
          .body,
      "error.message");
  CAPTURE(hint);
  CHECK(hint.find("These do: clip.") != std::string::npos);
  CHECK(hint.find("+IMAGE-TO-VIDEO-ENDPOINT'") != std::string::npos);
  const Received pictures =
      served.post("/v1/images/generations", R"({"model":"clip","prompt":"a fox"})");
  CHECK(pictures.status == 400);
  CHECK(text_at(pictures.body, "error.param") == "model");
  for (const char* path : {"/v1/videos/edits", "/v1/videos/extensions", "/v1/videos/characters"})
    CHECK(served.post(path, "{}").status == 400);
  CHECK(served.get("/v1/videos?limit=0").status == 400);
  CHECK(text_at(served.get("/v1/videos?order=up").body, "error.param") == "order");
  CHECK(served.get("/v1/videos?after=video_1").status == 400);
  CHECK(served.sim.submits().empty());
}

TEST_CASE("a form and JSON with the same fields become the same job") {
  const Served served(video_models);
  make_a_video(served, R"({"model":"clip","prompt":"a fox","seconds":8,"size":"1280x720","seed":7,
      "unheard_of":1})");
  const Received got = make_by_form(served, {{"model", "clip"},
                                             {"prompt", "a fox"},
                                             {"seconds", "8"},
                                             {"size", "1280x720"},
                                             {"seed", "7"},
                                             {"unheard_of", "1"}});
  CAPTURE(got.body);
  REQUIRE(got.status == 200);
  CHECK(got.header("x-falproxy-notes").find("unheard_of") != std::string::npos);
  make_a_video(served, R"({"model":"clip","prompt":"a fox","duration":"8","size":"1280x720",
      "input_reference":{"image_url":"https://example.com/a.png"}})");
  REQUIRE(make_by_form(served, {{"model", "clip"},
                                {"prompt", "a fox"},
                                {"duration", "8"},
                                {"size", "1280x720"},
                                {"input_reference[image_url]", "https://example.com/a.png"}})
              .status == 200);
  const auto submits = served.sim.submits();
  REQUIRE(submits.size() == 4);
  CHECK(submits[0].input == submits[1].input);
  CHECK(at(submits[0].input, "seed").as_integer() == 7);
  CHECK(submits[2].input == submits[3].input);
  CHECK(submits[2].endpoint == submits[3].endpoint);
}

TEST_CASE("what is wrong with a request for a video, or for a list, is told by its name") {
  Environment environment = video_models;
  environment["ACCESS_KEYS"] = "other=another-access-key-1";
  const Served served(environment);
  const std::string video = make_a_video(served);
  struct Case {
    std::string body, param;
  };
  for (const Case& c : std::vector<Case>{
           {R"({"model":"clip","prompt":7})", "prompt"},
           {R"({"model":"clip","prompt":""})", "prompt"},
           {R"({"model":7,"prompt":"x"})", "model"},
           {R"({"model":"clip","prompt":"x","seconds":{"a":1}})", "seconds"},
           {R"({"model":"clip","prompt":"x","seconds":-5})", "seconds"},
           {R"({"model":"clip","prompt":"x","size":720})", "size"},
           {R"({"model":"clip","prompt":"x","size":"0x720"})", "size"},
           {R"({"model":"clip","prompt":"x","seed":"seven"})", "seed"},
           {R"({"model":"clip","prompt":"x","input_reference":"ftp://a.example/a.png"})",
            "input_reference"},
           {R"({"model":"clip","prompt":"x","input_reference":"data:text/plain;base64,aGVsbG8="})",
            "input_reference"}}) {
    CAPTURE(c.body);
    const Received got = served.post("/v1/videos", c.body);
    CAPTURE(got.body);
    CHECK(got.status == 400);
    CHECK(text_at(got.body, "error.param") == c.param);
    CHECK(text_at(got.body, "error.type") == "invalid_request_error");
  }
  const Received no_picture =
      make_by_form(served, {{"model", "clip"}, {"prompt", "x"}}, "this is no picture");
  CHECK(no_picture.status == 400);
  CHECK(text_at(no_picture.body, "error.param") == "input_reference");
  for (const auto& [asked, param] : std::vector<std::pair<std::string, std::string>>{
           {"limit=0", "limit"},
           {"limit=101", "limit"},
           {"limit=many", "limit"},
           {"limit=-1", "limit"},
           {"order=up", "order"},
           {"after=video_1", "after"},
           {"after=video_00000000000000000000000000000000", "after"}}) {
    const std::string& query = asked;
    CAPTURE(query);
    const Received got = served.get("/v1/videos?" + query);
    CHECK(got.status == 400);
    CHECK(text_at(got.body, "error.param") == param);
  }
  // What another key has made is not there.
  const std::string other = key_field("another-access-key-1");
  for (const std::string& path : {"/v1/videos/" + video, "/v1/videos/" + video + "/content"}) {
    RawClient client(served.port());
    CHECK(client.exchange(test::get(path, other)).status == 404);
  }
  RawClient client(served.port());
  CHECK(client.exchange(test::get("/v1/videos?after=" + video, other)).status == 400);
  RawClient deleting(served.port());
  CHECK(
      deleting.exchange("DELETE /v1/videos/" + video + " HTTP/1.1\r\nHost: a\r\n" + other + "\r\n")
          .status == 404);
  RawClient remixing(served.port());
  CHECK(remixing
            .exchange(test::post("/v1/videos/" + video + "/remix", R"({"prompt":"a wolf"})", other))
            .status == 404);
  CHECK(served.sim.submits().size() == 1);
}

TEST_CASE("a video that is not there, not yet there, or failed, has no content") {
  const Served slow(video_models, {.job_time = Milliseconds(10'000'000)});
  CHECK(slow.get("/v1/videos/video_00000000000000000000000000000000").status == 404);
  const std::string video = make_a_video(slow);
  const Received early = slow.get("/v1/videos/" + video + "/content");
  CHECK(early.status == 404);
  CHECK(text_at(early.body, "error.message").starts_with("Video is not ready yet"));
  CHECK(slow.get("/v1/videos/" + video + "/content?variant=poster").status == 400);
  CHECK(ask_for(slow, "DELETE", "/v1/videos/" + video).status == 200);
  CHECK(slow.sim.stats().cancelled == 1);

  const Served refusing(video_models);
  const std::string failed =
      make_a_video(refusing, R"({"model":"clip","prompt":"falsim:content_policy a fox"})");
  const Received ended = ended_video(refusing, failed);
  CAPTURE(ended.body);
  CHECK(text_at(ended.body, "status") == "failed");
  CHECK(text_at(ended.body, "error.message").size() > 5);
  CHECK(refusing.get("/v1/videos/" + failed + "/content").status == 404);
}

TEST_CASE("videos are listed from either end, page by page, and each key sees its own") {
  Environment environment = video_models;
  environment["ACCESS_KEYS"] = "other=another-access-key-1";
  const Served served(environment);
  std::vector<std::string> made;
  for (int i = 0; i < 5; ++i) made.push_back(make_a_video(served));
  const auto walk = [&](const std::string& order) {
    std::vector<std::string> seen;
    std::string after;
    for (int page = 0; page < 4; ++page) {
      const Received got = served.get("/v1/videos?limit=2&order=" + order + after);
      const Json data = at(got.body, "data");
      for (std::size_t i = 0; i < data.size(); ++i) seen.emplace_back(*data[i]["id"].as_string());
      if (at(got.body, "has_more").as_boolean() != true) break;
      after = "&after=" + text_at(got.body, "last_id");
    }
    return seen;
  };
  CHECK(walk("asc") == made);
  CHECK(walk("desc") == std::vector<std::string>(made.rbegin(), made.rend()));
  RawClient client(served.port());
  const Received theirs =
      client.exchange(test::get("/v1/videos", key_field("another-access-key-1")));
  CHECK(at(theirs.body, "data").size() == 0);
}

TEST_CASE("a create that an SDK repeats makes one video") {
  const Served served(video_models);
  const std::string video = make_a_video(served);
  const std::string again = make_a_video(served, fox_video, "x-stainless-retry-count: 1\r\n");
  CHECK(again == video);
  CHECK(served.sim.submits().size() == 1);
}

TEST_CASE("a remix makes a new video of an earlier one, at the endpoint that the operator names") {
  const testing::Folder folder;
  Environment models = video_models;
  models["MODELS_FILE"] =
      folder.write("models.json", R"({"clip": {"remix": "falsim/clip/video-to-video"}})");
  const Served served(models);
  const std::string first = make_a_video(served);
  const std::string address = text_at(ended_video(served, first).body, "url");
  REQUIRE(address.size() > 10);
  const Received got = served.post("/v1/videos/" + first + "/remix", R"({"prompt":"a wolf"})");
  CAPTURE(got.body);
  REQUIRE(got.status == 200);
  CHECK(text_at(got.body, "remixed_from_video_id") == first);
  CHECK(text_at(got.body, "model") == "clip");
  const std::string second = text_at(got.body, "id");
  CHECK(second != first);
  const Received ended = ended_video(served, second);
  CHECK(text_at(ended.body, "status") == "completed");
  CHECK(text_at(ended.body, "remixed_from_video_id") == first);
  REQUIRE(served.sim.submits().size() == 2);
  const auto submit = served.sim.submits().back();
  CHECK(submit.endpoint == "falsim/clip/video-to-video");
  CHECK(text_at(submit.input, "video_url") == address);
  CHECK(text_at(submit.input, "prompt") == "a wolf");
}

TEST_CASE("a remix that cannot be made is refused before anything is paid") {
  const Served served(video_models);
  const std::string first = make_a_video(served);
  REQUIRE(text_at(ended_video(served, first).body, "status") == "completed");
  const Received unset = served.post("/v1/videos/" + first + "/remix", R"({"prompt":"a wolf"})");
  CHECK(unset.status == 400);
  CHECK(text_at(unset.body, "error.message").find("MODELS_FILE") != std::string::npos);
  const Received unknown = served.post("/v1/videos/video_1/remix", R"({"prompt":"a wolf"})");
  CHECK(unknown.status == 404);
  CHECK(served.sim.submits().size() == 1);
}

TEST_CASE("a request makes one video, and one that asks for several is refused unpaid") {
  const Served served(video_models);
  for (const char* n : {"2", "10"}) {
    const Received got = served.post(
        "/v1/videos", std::string(R"({"model":"clip","prompt":"a fox","n":)") + n + "}");
    CAPTURE(got.body);
    CHECK(got.status == 400);
    CHECK(text_at(got.body, "error.param") == "n");
    const Received form = make_by_form(served, {{"model", "clip"}, {"prompt", "x"}, {"n", n}});
    CHECK(form.status == 400);
    CHECK(text_at(form.body, "error.param") == "n");
    CHECK(served
              .post("/v1/videos/sync",
                    std::string(R"({"model":"clip","prompt":"a fox","n":)") + n + "}")
              .status == 400);
  }
  CHECK(served.sim.submits().empty());
  make_a_video(served, R"({"model":"clip","prompt":"a fox","n":1})");
  CHECK(served.sim.submits().size() == 1);
}

TEST_CASE("what only pictures have is a field of the model's own in a request for a video") {
  const Served served(video_models);
  const std::vector<std::pair<std::string, std::string>> fields = {
      {"style", "\"anime\""},        {"quality", "\"draft\""},
      {"output_format", "\"mp4\""},  {"response_format", "\"mp4\""},
      {"background", "\"forest\""},  {"moderation", "\"off\""},
      {"output_compression", "700"}, {"quality", "50"},
      {"style", "[\"a\"]"}};
  for (const auto& [field, value] : fields) {
    const std::string& name = field;
    CAPTURE(name);
    const Received got = served.post(
        "/v1/videos", R"({"model":"clip","prompt":"a fox",")" + name + "\":" + value + "}");
    CAPTURE(got.body);
    CHECK(got.status == 200);
    CHECK(got.header("x-falproxy-notes").find(name + ": dropped") != std::string::npos);
    const std::string text = value.starts_with("\"") ? value.substr(1, value.size() - 2) : value;
    CHECK(make_by_form(served, {{"model", "clip"}, {"prompt", "a fox"}, {name, text}}).status ==
          200);
  }
}

TEST_CASE("what a video is made with by default is told") {
  const Served served(video_models);
  const Received got = served.post("/v1/videos", R"({"model":"clip","prompt":"a fox"})");
  const std::string notes = got.header("x-falproxy-notes");
  CAPTURE(notes);
  CHECK(notes.find("seconds: not given: the model's default, 5 seconds") != std::string::npos);
  CHECK(notes.find("size: not given: the model's default, 1280x720") != std::string::npos);
  CHECK(text_at(got.body, "seconds") == "5");
  CHECK(text_at(got.body, "size") == "1280x720");
}

TEST_CASE("a file for another input of a video is refused in the words of this API") {
  const Served served(video_models);
  const std::string form =
      "--b\r\nContent-Disposition: form-data; name=\"end_image_url\"; filename=\"a.png\"\r\n"
      "Content-Type: image/png\r\n\r\n" +
      tests::whole_png(32, 32) +
      "\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nclip\r\n--b--\r\n";
  RawClient client(served.port());
  const Received got =
      client.exchange("POST /v1/videos HTTP/1.1\r\nHost: a\r\n" + key_field() +
                      "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
                      std::to_string(form.size()) + "\r\n\r\n" + form);
  CHECK(got.status == 400);
  CHECK(text_at(got.body, "error.param") == "end_image_url");
  const std::string message = text_at(got.body, "error.message");
  CAPTURE(message);
  CHECK(message.find("'input_reference'") != std::string::npos);
  CHECK(message.find("mask") == std::string::npos);
}

TEST_CASE("a client that waits gets the file itself") {
  const Served served(video_models);
  const Received got = served.post("/v1/videos/sync", fox_video);
  CHECK(got.status == 200);
  CHECK(got.header("content-type") == "video/webm");
  CHECK(got.body.substr(0, 4) == "\x1A\x45\xDF\xA3");
  // No answer about a video has fal's id of it.
  CHECK(got.header("x-fal-request-id").empty());
}

}  // namespace falproxy::app
