#include "client.hpp"

using namespace falsim_test;

namespace {
constexpr const char* initiate = "/storage/upload/initiate?storage_type=fal-cdn-v3";
}

TEST_CASE("a file goes up in two steps and can be fetched by anybody") {
  Falsim sim = start();
  Client client(sim.rest_url());
  httplib::Headers headers = with_key();
  headers.emplace("X-Fal-Object-Lifecycle", R"({"expiration_duration_seconds":3600})");
  const Heard begun =
      client.post(initiate, {{"content_type", "image/png"}, {"file_name", "my cat.png"}}, headers);
  REQUIRE(begun.status == 200);
  const std::string upload_url = begun.parsed()["upload_url"];
  const std::string file_url = begun.parsed()["file_url"];
  CHECK(file_url.starts_with(sim.url() + "/files/uploads/"));
  CHECK(client.get(file_url, {}).status == 404);
  CHECK(!sim.upload(file_url).has_value());

  const std::string bytes(200'000, 'b');
  CHECK(client.put(upload_url, {}, bytes, "image/png").status == 200);
  const Heard file = client.get(file_url, {});
  CHECK(file.status == 200);
  CHECK(file.header("content-type") == "image/png");
  CHECK(file.body == bytes);
  const std::optional<falsim::SeenUpload> seen = sim.upload(file_url);
  REQUIRE(seen.has_value());
  CHECK(seen->bytes == bytes);
  CHECK(seen->content_type == "image/png");
  CHECK(seen->lifecycle == R"({"expiration_duration_seconds":3600})");
  CHECK(sim.stats().uploads == 1);
  CHECK(sim.stats().misplaced_keys.empty());
}

TEST_CASE("an upload that is not as announced is refused") {
  Falsim sim = start();
  Client client(sim.rest_url());
  const json good = {{"content_type", "image/png"}, {"file_name", "a.png"}};
  CHECK(client.post(initiate, good, {}).status == 401);
  CHECK(client.post("/storage/upload/initiate", good).status == 422);
  CHECK(client.post("/storage/upload/initiate?storage_type=floppy", good).status == 422);
  CHECK(client.post(initiate, {{"file_name", "a.png"}}).status == 422);
  CHECK(client.post(initiate, json::array()).status == 422);

  const std::string upload_url = client.post(initiate, good).parsed()["upload_url"];
  CHECK(client.put(upload_url, {}, "x", "image/jpeg").status == 403);
  CHECK(client.put(upload_url.substr(0, upload_url.find('?')), {}, "x", "image/png").status == 403);
  CHECK(client.put("/upload/99/a.png?signature=falsim", {}, "x", "image/png").status == 403);
  CHECK(client.put(upload_url, {}, "x", "image/png").status == 200);
  CHECK(client.put(upload_url, {}, "y", "image/png").status == 403);
  CHECK(sim.stats().uploads == 1);
}
