// Tests without a network: record_and_replay keeps the exchanges of one run in a file, and answers
// from it in the next.
//
//   record_and_replay record FILE URL    fetches URL and keeps the exchange
//   record_and_replay replay FILE URL    gives the same answer, with nothing listening anywhere
#include <chrono>
#include <falproxy/http_transport.hpp>
#include <falproxy/openssl_codecs.hpp>
#include <falproxy/recorded.hpp>
#include <falproxy/system_clock.hpp>
#include <iostream>
#include <string_view>

namespace {

int show(falproxy::Transport& transport, const std::string& url) {
  const falproxy::SystemClock clock;
  const falproxy::HttpRequest request{.url = url};
  const auto answer =
      falproxy::fetch(transport, request, clock.now() + std::chrono::seconds(30), {}, 64u << 20);
  if (!answer) return std::cerr << answer.error().message << '\n', 1;
  std::cout << answer->head.status << ", " << answer->body.size() << " bytes\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc == 4 ? argv[1] : "";
  const falproxy::OpensslCodecs codecs;
  if (mode == "record") {
    const auto real = falproxy::HttpTransport::create({});
    if (!real) return std::cerr << real.error().message << '\n', 1;
    falproxy::testing::RecordingTransport recording(**real, codecs, argv[2]);
    return show(recording, argv[3]);
  }
  if (mode == "replay") {
    falproxy::testing::ReplayTransport replay(codecs, argv[2]);
    return show(replay, argv[3]);
  }
  std::cerr << "usage: record_and_replay record|replay FILE URL\n";
  return 2;
}
