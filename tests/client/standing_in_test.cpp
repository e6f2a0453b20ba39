// What stands in for fal where a program is tested: a recording, and falsim as a process.
#include <doctest/doctest.h>

#include <filesystem>

#include "falproxy/client.hpp"
#include "falproxy/fal_desk.hpp"
#include "falproxy/falsim_process.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "falproxy/recorded.hpp"

using falproxy::Client;
using falproxy::ClientOptions;
using falproxy::testing::FalsimProcess;
using falproxy::testing::InProcessFal;

TEST_CASE("what was recorded is played back, poll by poll, and holds no key") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("falproxy-recorded-" + std::to_string(getpid())))
          .string();
  const falproxy::OpensslCodecs codecs;
  falproxy::testing::VirtualClock clock;
  InProcessFal fal(clock, {.job_time = std::chrono::seconds(30)});
  fal.desk().add_fault({.step = falproxy::testing::Step::status_stream,
                        .answer = falproxy::testing::Answer{.status = 404}});
  ClientOptions options{.keys = {"id:secret-of-mine"},
                        .fal = InProcessFal::addresses(),
                        .media_hosts = std::string(InProcessFal::media_hosts),
                        .clock = &clock};
  std::string picture;
  {
    falproxy::testing::RecordingTransport recording(fal, codecs, path);
    options.transport = &recording;
    const Client client(options);
    const auto made = client.generate({.model = "fal-ai/flux/dev", .prompt = "x"});
    REQUIRE(made.has_value());
    picture = *made->artifacts[0].content()->bytes;
    CHECK(recording.is_good());
  }
  const auto requests = fal.desk().stats().requests;
  CHECK(fal.desk().stats().status_polls > 2);

  falproxy::testing::ReplayTransport replay(codecs, path);
  CHECK(replay.size() == requests);
  options.transport = &replay;
  const Client client(options);
  const auto made = client.generate({.model = "fal-ai/flux/dev", .prompt = "x"});
  REQUIRE(made.has_value());
  CHECK(*made->artifacts[0].content()->bytes == picture);
  CHECK(fal.desk().stats().requests == requests);
  CHECK_FALSE(client.generate({.model = "fal-ai/fast-sdxl", .prompt = "x"}).has_value());

  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  CHECK(text.find("secret-of-mine") == std::string::npos);
  std::filesystem::remove(path);
}

#ifdef FALSIM_PROGRAM
TEST_CASE("a program is tested with falsim on sockets, which goes with its object") {
  std::string address;
  {
    const auto falsim = FalsimProcess::start(FALSIM_PROGRAM, {"--job-time", "20"});
    REQUIRE(falsim.has_value());
    address = falsim->addresses().queue;
    const Client client(
        {.keys = {"id:secret"}, .fal = falsim->addresses(), .media_hosts = falsim->media_hosts()});
    const auto made = client.generate({.model = "fal-ai/flux/dev", .prompt = "x"});
    REQUIRE(made.has_value());
    CHECK(made->artifacts[0].content()->content_type == "image/jpeg");
  }
  ClientOptions gone{.keys = {"id:secret"}};
  gone.fal.queue = gone.fal.schema = address;
  const auto made = Client(gone).generate({.model = "fal-ai/flux/dev", .prompt = "x"},
                                          {.timeout = std::chrono::seconds(1)});
  CHECK_FALSE(made.has_value());
}

TEST_CASE("a falsim that does not start says why") {
  const auto missing = FalsimProcess::start("/no/such/falsim");
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message.find("No such file") != std::string::npos);
  const auto confused = FalsimProcess::start(FALSIM_PROGRAM, {"--no-such-option"});
  REQUIRE_FALSE(confused.has_value());
  CHECK(confused.error().message.find("--no-such-option") != std::string::npos);
}
#endif
