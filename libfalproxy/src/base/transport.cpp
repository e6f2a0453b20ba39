#include "falproxy/transport.hpp"

#include <charconv>
#include <utility>

namespace falproxy::inline v0 {
namespace {

class Collector final : public ResponseSink {
 public:
  explicit Collector(std::size_t max_bytes) : max_(max_bytes) {}

  bool head(HttpHead head) override {
    response.head = std::move(head);
    const std::string_view length = response.head.headers.find("content-length").value_or("");
    std::size_t announced = 0;
    if (std::from_chars(length.data(), length.data() + length.size(), announced).ec ==
        std::errc()) {
      too_large = announced > max_;
      if (!too_large) response.body.reserve(announced);
    }
    return !too_large;
  }

  bool data(std::string_view bytes) override {
    too_large = bytes.size() > max_ - response.body.size();
    if (!too_large) response.body.append(bytes);
    return !too_large;
  }

  HttpResponse response;
  bool too_large = false;

 private:
  std::size_t max_;
};

}  // namespace

Result<HttpResponse, TransportError> fetch(Transport& transport, const HttpRequest& request,
                                           TimePoint deadline, std::stop_token stop,
                                           std::size_t max_bytes) {
  Collector collector(max_bytes);
  Result<Done, TransportError> sent = transport.send(request, deadline, std::move(stop), collector);
  if (collector.too_large) {
    return TransportError{TransportFault::too_large,
                          "the answer is larger than " + std::to_string(max_bytes) + " bytes"};
  }
  if (!sent) return std::move(sent).error();
  return std::move(collector.response);
}

}  // namespace falproxy::inline v0
