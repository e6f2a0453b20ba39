// client.hpp: what the tests of falsim say to it, through cpp-httplib as any client would.
#pragma once

#include <httplib.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "falsim/falsim.hpp"

namespace falsim_test {

using nlohmann::json;

inline constexpr const char* good_key = "key-1:secret-1";

inline httplib::Headers with_key(const std::string& key = good_key) {
  return {{"Authorization", "Key " + key}};
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

/// Splits `http://host:port/path?query` and asks.
class Client {
 public:
  explicit Client(const std::string& base) : client_(base) {
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
  [[nodiscard]] httplib::Client& raw() { return client_; }

 private:
  static std::string local(const std::string& url) {
    const std::size_t scheme = url.find("://");
    return scheme == std::string::npos ? url : url.substr(url.find('/', scheme + 3));
  }
  httplib::Client client_;
};

/// Asks until the job has ended, and returns the last status.
inline json wait_until_completed(Client& client, const json& submitted) {
  for (;;) {
    const Heard status = client.get(submitted["status_url"].get<std::string>());
    if (status.status != 202) return status.parsed();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace falsim_test
