// Makes a picture without any server: in_process_generate PROMPT [PICTURE]
//
// With FAL_KEY in the environment it asks fal.ai; without, a stand-in that it starts itself. It
// shows the queue while it waits. Ctrl-C cancels the job at fal before the program ends.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <falproxy/falproxy.hpp>
#include <falproxy/http_transport.hpp>
#include <falproxy/openssl_codecs.hpp>
#include <falproxy/system_clock.hpp>
#include <falproxy/thread_executor.hpp>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>

#include "falsim/falsim.hpp"

namespace {

std::atomic<bool> interrupted{false};

class ShowProgress final : public falproxy::Progress {
 public:
  void queued(std::optional<int> position) override {
    std::cout << "in fal's queue" << (position ? ", position " + std::to_string(*position) : "")
              << '\n';
  }
  void running() override { std::cout << "running\n"; }
};

}  // namespace

int main(int argc, char** argv) {
  using namespace std::chrono_literals;

  // What the library needs from outside.
  falproxy::SystemClock clock;
  falproxy::ThreadExecutor executor;
  const falproxy::OpensslCodecs codecs;
  const auto transport = falproxy::HttpTransport::create({});
  if (!transport) return std::cerr << transport.error().message << '\n', 1;
  const auto random = [] {
    static thread_local std::mt19937_64 generator{std::random_device{}()};
    return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
  };

  // fal.ai, or its stand-in.
  falproxy::fal::Addresses fal;
  std::string media_hosts = "fal.media,*.fal.media,storage.googleapis.com";
  std::string key = "stand:in";
  std::optional<falsim::Falsim> stand_in;
  if (const char* own = std::getenv("FAL_KEY")) {
    key = own;
  } else {
    auto started = falsim::Falsim::start();
    if (!started) return std::cerr << started.error().message << '\n', 1;
    stand_in = std::move(*started);
    fal = {stand_in->queue_url(), stand_in->run_url(), stand_in->schema_url(),
           stand_in->rest_url()};
    media_hosts = stand_in->media_hosts();
  }

  // One model, one key, one gateway.
  const auto endpoint = falproxy::fal::EndpointId::parse("fal-ai/flux/dev");
  const auto hosts = falproxy::fal::MediaHosts::parse(media_hosts);
  falproxy::KeyRing keys({{falproxy::Secret(key)}}, {}, random);
  falproxy::Catalog catalog(
      {.transport = **transport, .clock = clock, .executor = executor, .random = random, .log = {}},
      {.fal = fal}, {{"flux", *endpoint, std::nullopt, {}}}, {});
  falproxy::ImageGateway gateway({.transport = **transport,
                                  .clock = clock,
                                  .executor = executor,
                                  .codecs = codecs,
                                  .keys = keys,
                                  .catalog = catalog,
                                  .random = random},
                                 {.fal = fal, .media_hosts = *hosts});

  // Ctrl-C asks the call to stop; it cancels at fal and returns.
  std::stop_source stop;
  std::signal(SIGINT, [](int) { interrupted = true; });
  const std::jthread watch([&stop](const std::stop_token& done) {
    while (!done.stop_requested() && !interrupted) std::this_thread::sleep_for(50ms);
    if (interrupted) stop.request_stop();
  });

  falproxy::openai::ImageRequest request;
  request.prompt = argc > 1 ? argv[1] : "a lighthouse at dusk";
  request.size = {falproxy::openai::SizeWish::Kind::pixels, 512, 512};
  request.response_format = falproxy::ResponseFormat::b64_json;
  ShowProgress progress;
  const falproxy::Outcome outcome = gateway.handle(
      request, {.deadline = clock.now() + 5min, .stop = stop.get_token(), .progress = &progress});

  if (!outcome.response) return std::cerr << outcome.response.error().message << '\n', 1;
  const auto picture = codecs.decode_base64(outcome.response->data.front().content.str());
  if (!picture) return std::cerr << "the answer is no base64\n", 1;
  const std::string path = argc > 2 ? argv[2] : "picture.png";
  std::ofstream(path, std::ios::binary) << *picture;
  std::cout << path << ": " << picture->size() << " bytes; "
            << falproxy::server_timing(outcome.receipt) << '\n';
}
