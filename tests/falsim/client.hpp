// client.hpp: what the tests of falsim say to it: through cpp-httplib as any client would, and byte
// by byte.
#pragma once

// getaddrinfo_a() starts a thread that ThreadSanitizer does not know, and both end there.
#undef CPPHTTPLIB_USE_NON_BLOCKING_GETADDRINFO

#include <doctest/doctest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "falsim/falsim.hpp"

namespace falsim_test {

using nlohmann::json;
using namespace std::chrono_literals;
using falsim::Falsim;

inline constexpr const char* good_key = "key-1:secret-1";

inline httplib::Headers with_key(const std::string& key = good_key) {
  return {{"Authorization", "Key " + key}};
}

inline Falsim start(falsim::FalsimOptions options = {.job_time = 0ms},
                    falsim::Tls tls = falsim::Tls::none) {
  falproxy::Result<Falsim> sim = Falsim::start(std::move(options), {.tls = tls});
  REQUIRE(sim.has_value());
  return *std::move(sim);
}

struct Heard {
  int status = 0;  ///< 0: no answer
  httplib::Headers headers;
  std::string body;
  [[nodiscard]] json parsed() const { return json::parse(body, nullptr, false); }
  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

inline Heard heard(const httplib::Result& result) {
  return result ? Heard{result->status, result->headers, result->body} : Heard{};
}

/// Takes paths as well as absolute URLs, of which it uses the path.
class Client {
 public:
  explicit Client(const std::string& base) : client_(base) {
    client_.set_hostname_addr_map({{"localhost", "127.0.0.1"}});  // known without /etc/hosts, too
    client_.set_read_timeout(20);
    client_.set_keep_alive(true);
  }
  [[nodiscard]] Heard get(const std::string& path, const httplib::Headers& headers = with_key()) {
    return heard(client_.Get(local(path), headers));
  }
  [[nodiscard]] Heard put(const std::string& path, const httplib::Headers& headers = with_key(),
                          const std::string& body = {},
                          const std::string& type = "application/json") {
    return heard(client_.Put(local(path), headers, body, type));
  }
  [[nodiscard]] Heard post(const std::string& path, const json& body,
                           const httplib::Headers& headers = with_key()) {
    return heard(client_.Post(local(path), headers, body.dump(), "application/json"));
  }
  /// Submits and expects to be taken in.
  [[nodiscard]] json submit(const std::string& endpoint, const json& input,
                            const httplib::Headers& headers = with_key()) {
    const Heard answer = post("/" + endpoint, input, headers);
    CAPTURE(answer.body);
    REQUIRE(answer.status == 200);
    return answer.parsed();
  }
  /// Asks until the job has ended, and returns the last status.
  [[nodiscard]] json wait(const json& submitted, const httplib::Headers& headers = with_key()) {
    for (int i = 0; i < 4000; ++i) {
      const Heard status = get(submitted["status_url"], headers);
      if (status.status != 202) return status.parsed();
      std::this_thread::sleep_for(5ms);
    }
    FAIL("the job has not ended in 20 s");
    return {};
  }
  /// From submit to the answer for the result.
  [[nodiscard]] Heard finish(const std::string& endpoint, const json& input) {
    const json job = submit(endpoint, input);
    (void)wait(job);
    return get(job["response_url"]);
  }
  [[nodiscard]] httplib::Client& raw() { return client_; }

 private:
  static std::string local(const std::string& url) {
    const std::size_t scheme = url.find("://");
    return scheme == std::string::npos ? url : url.substr(url.find('/', scheme + 3));
  }
  httplib::Client client_;
};

/// A TCP connection to 127.0.0.1.
class Wire {
 public:
  explicit Wire(const std::string& url) {
    const int port = std::stoi(url.substr(url.rfind(':') + 1));
    descriptor_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
            0);
    const timeval limit{20, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Wire() { ::close(descriptor_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  /// Everything up to and including `mark`, or what came before the end.
  std::string read_until(std::string_view mark) {
    while (true) {
      if (const std::size_t at = pending_.find(mark); at != std::string::npos) {
        std::string text = pending_.substr(0, at + mark.size());
        pending_.erase(0, at + mark.size());
        return text;
      }
      if (!receive()) return std::exchange(pending_, {});
    }
  }
  /// One answer with a content-length: its head and its body.
  std::pair<std::string, std::string> read_answer() {
    std::string head = read_until("\r\n\r\n");
    const std::size_t at = head.find("Content-Length: ");
    const std::size_t size = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
    while (pending_.size() < size && receive()) {
    }
    std::string body = pending_.substr(0, size);
    pending_.erase(0, size);
    return {std::move(head), std::move(body)};
  }
  std::string read_to_end() {
    while (receive()) {
    }
    return std::exchange(pending_, {});
  }
  [[nodiscard]] bool was_reset() const { return reset_; }
  /// Nothing comes for that long, and the connection stays.
  [[nodiscard]] bool is_silent_for(std::chrono::milliseconds span) {
    const timeval limit{0, static_cast<suseconds_t>(span.count() * 1000)};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char byte = 0;
    return pending_.empty() && ::recv(descriptor_, &byte, 1, 0) < 0 && errno == EAGAIN;
  }

 private:
  bool receive() {
    char buffer[4096];
    const ssize_t count = ::recv(descriptor_, buffer, sizeof buffer, 0);
    if (count > 0) pending_.append(buffer, static_cast<std::size_t>(count));
    if (count < 0) reset_ = errno == ECONNRESET;
    return count > 0;
  }
  int descriptor_ = -1;
  bool reset_ = false;
  std::string pending_;
};

/// The head and body of a request as text.
inline std::string request_text(std::string_view line, std::string_view body,
                                std::string_view more_headers = {}) {
  std::string text(line);
  text.append(" HTTP/1.1\r\nHost: test\r\nAuthorization: Key ").append(good_key).append("\r\n");
  text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  return text.append(more_headers).append("\r\n").append(body);
}

}  // namespace falsim_test
