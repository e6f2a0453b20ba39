// Files that are kept in a bucket, with a server that says what S3 says in place of one.
#include <doctest/doctest.h>
#include <httplib.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "folder.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

/// Takes whatever is put, and writes down what it was asked for.
struct BucketServer {
  BucketServer() {
    server.Put("/bucket/.*", [this](const httplib::Request& request, httplib::Response& response) {
      note(request);
      response.set_header("ETag", "\"1\"");
    });
    server.Post("/bucket/.*", [this](const httplib::Request& request, httplib::Response& response) {
      note(request);
      response.set_content("<R><UploadId>upload-7</UploadId></R>", "application/xml");
    });
    server.Delete("/bucket/.*",
                  [this](const httplib::Request& request, httplib::Response&) { note(request); });
    port = server.bind_to_any_port("127.0.0.1");
    thread = std::thread([this] { server.listen_after_bind(); });
    server.wait_until_ready();
  }
  ~BucketServer() {
    server.stop();
    thread.join();
  }
  void note(const httplib::Request& request) {
    const std::lock_guard lock(mutex);
    seen.push_back(request.method + " " + request.target);
  }
  [[nodiscard]] std::size_t count(const std::string& method, const std::string& part) const {
    const std::lock_guard lock(mutex);
    std::size_t times = 0;
    for (const std::string& one : seen)
      times += one.starts_with(method) && one.find(part) != std::string::npos ? 1U : 0U;
    return times;
  }

  httplib::Server server;
  int port = 0;
  std::thread thread;
  mutable std::mutex mutex;
  std::vector<std::string> seen;
};

}  // namespace

TEST_CASE("a server that stops in the middle of a large file takes its parts out of the bucket") {
  const BucketServer bucket;
  const testing::Folder folder;
  falsim::FalsimOptions options = Served::quick();
  options.picture_bytes = 40u << 20;
  Served world(
      {{"STATE_DIR", folder.at("state")},
       {"AWS_ACCESS_KEY_ID", "id"},
       {"AWS_SECRET_ACCESS_KEY", "secret"},
       {"MEDIA_STORE", "s3://bucket?endpoint=http://127.0.0.1:" + std::to_string(bucket.port)}},
      std::move(falsim::Falsim::start(options)).value(),
      [](const falsim::Falsim& sim) { return Environment{{"FAL_API_URL", sim.api_url()}}; });
  world.wait_for_documents();
  world.sim.add_fault(
      {.step = falsim::Step::media, .drip_bytes = 256u << 10, .drip_tick = Milliseconds(20)});
  const Received made = world.post(
      "/v1/images/generations",
      R"({"model":"flux","prompt":"a lighthouse","response_format":"url","output_format":"png"})");
  REQUIRE(made.status == 200);
  REQUIRE(text_at(made.body, "data.0.url").find("/media/") != std::string::npos);
  REQUIRE(test::eventually([&] { return bucket.count("PUT", "partNumber=1") == 1; }));
  world.service->stop(Milliseconds(0));
  CHECK(bucket.count("DELETE", "uploadId=upload-7") == 1);
  CHECK(bucket.count("POST", "uploadId=upload-7") == 0);
}

}  // namespace falproxy::app
