// Prints what the server's reading of HTTP/1 makes of each file: one line of JSON a file.
#include "support/http_messages.hpp"

#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

int main(int count, char** files) {
  for (int i = 1; i < count; ++i) {
    std::ifstream file(files[i], std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const auto messages = falproxy_test::read_http_messages(bytes, bytes.size() + 1);
    nlohmann::json line = {{"refused", messages.refused}, {"requests", nlohmann::json::array()}};
    for (const auto& request : messages.whole) {
      // Latin-1, as Node.js gives header text.
      std::string body;
      for (const char c : request.body)
        body += "0123456789abcdef"[(c >> 4) & 15], body += "0123456789abcdef"[c & 15];
      line["requests"].push_back({{"method", request.method},
                                  {"target", request.target},
                                  {"minor", request.minor_version},
                                  {"body", body}});
    }
    std::cout << line.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) << '\n';
  }
}
