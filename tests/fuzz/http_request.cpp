// Input: what a client sends on one connection.
#include <string_view>

#include "law.hpp"
#include "support/http_messages.hpp"

using falproxy_test::HttpMessage;
using falproxy_test::HttpMessages;
using fuzz::hold;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzz::text(data, size);
  const HttpMessages whole = falproxy_test::read_http_messages(bytes, size + 1);
  for (const std::size_t step : {1, 2, 3, 7, 64}) {
    hold(falproxy_test::read_http_messages(bytes, step) == whole,
         "requests mean the same however they are cut");
  }
  // Each stands behind the one before it: no byte is in two of them.
  std::size_t read = 0;
  for (const HttpMessage& message : whole.whole) {
    hold(!message.method.empty() && !message.target.empty(), "a request has a method and a target");
    const std::size_t head = bytes.find(message.method, read);
    hold(head != std::string_view::npos, "a method is there that was sent");
    read = bytes.find("\r\n\r\n", head) + 4;
    read += message.body.size();
    hold(read <= size, "nothing is there that was not sent");
  }
  return 0;
}
