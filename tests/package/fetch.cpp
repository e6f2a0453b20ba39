#include <chrono>
#include <falproxy/falproxy.hpp>
#include <falproxy/http_transport.hpp>
#include <falproxy/system_clock.hpp>
#include <iostream>
#include <string>

// Nothing listens on the port of discard: the transport must say that nothing was sent.
int main() {
  auto transport = falproxy::HttpTransport::create({});
  if (!transport) return std::cerr << transport.error().message << '\n', 1;
  falproxy::SystemClock clock;
  const falproxy::HttpRequest request{.url = "http://127.0.0.1:9/"};
  const auto answer =
      falproxy::fetch(**transport, request, clock.now() + std::chrono::seconds(5), {}, 1024);
  const bool refused = !answer && answer.error().fault == falproxy::TransportFault::unreachable;
  std::cout << (refused ? "unreachable\n" : "unexpected\n");
  return refused ? 0 : 1;
}
