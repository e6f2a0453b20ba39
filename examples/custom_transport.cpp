// A transport of one's own: RecordingTransport keeps every exchange in a file, ReplayTransport
// answers from it. With the two, a program that uses falproxy can be tested without a network.
//
//   custom_transport record FILE URL    fetches URL and keeps the exchange
//   custom_transport replay FILE URL    gives the same answer, with nothing listening anywhere
#include <chrono>
#include <cstdint>
#include <falproxy/falproxy.hpp>
#include <falproxy/http_transport.hpp>
#include <falproxy/openssl_codecs.hpp>
#include <falproxy/system_clock.hpp>
#include <fstream>
#include <iostream>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using falproxy::Json;

/// What an exchange is found by again: the method and the address. Headers are left out, for they
/// hold keys.
std::string name_of(const falproxy::HttpRequest& request) {
  return request.method + " " + request.url;
}

/// Passes an answer on and keeps a copy.
class Tee final : public falproxy::ResponseSink {
 public:
  explicit Tee(falproxy::ResponseSink& next) : next_(next) {}
  bool head(falproxy::HttpHead head) override {
    response.head = head;
    return next_.head(std::move(head));
  }
  bool data(std::string_view bytes) override {
    response.body.append(bytes);
    return next_.data(bytes);
  }
  falproxy::HttpResponse response;

 private:
  falproxy::ResponseSink& next_;
};

class RecordingTransport final : public falproxy::Transport {
 public:
  /// `inner` and `codecs` outlive this.
  RecordingTransport(falproxy::Transport& inner, const falproxy::Codecs& codecs,
                     const std::string& path)
      : inner_(inner), codecs_(codecs), file_(path, std::ios::app | std::ios::binary) {}

  falproxy::Result<falproxy::Done, falproxy::TransportError> send(
      const falproxy::HttpRequest& request, falproxy::TimePoint deadline, std::stop_token stop,
      falproxy::ResponseSink& sink) override {
    Tee tee(sink);
    auto sent = inner_.send(request, deadline, std::move(stop), tee);
    if (sent) keep(request, tee.response);
    return sent;
  }

 private:
  void keep(const falproxy::HttpRequest& request, const falproxy::HttpResponse& response) {
    std::vector<std::pair<std::string, Json>> headers;
    for (const auto& [name, value] : response.head.headers)
      headers.emplace_back(name, Json::string(value));
    std::string body;
    codecs_.encode_base64(response.body, body);
    const Json line = Json::object({{"request", Json::string(name_of(request))},
                                    {"status", Json::integer(response.head.status)},
                                    {"headers", Json::object(headers)},
                                    {"body", Json::string(body)}});
    const std::lock_guard lock(mutex_);
    file_ << line.dump() << '\n' << std::flush;
  }

  falproxy::Transport& inner_;
  const falproxy::Codecs& codecs_;
  std::mutex mutex_;
  std::ofstream file_;
};

class ReplayTransport final : public falproxy::Transport {
 public:
  /// `codecs` outlives this. Lines that are no recording are passed over.
  ReplayTransport(const falproxy::Codecs& codecs, const std::string& path) : codecs_(codecs) {
    std::ifstream file(path, std::ios::binary);
    for (std::string line; std::getline(file, line);) {
      if (auto exchange = Json::parse(line)) exchanges_.push_back(*std::move(exchange));
    }
  }

  falproxy::Result<falproxy::Done, falproxy::TransportError> send(
      const falproxy::HttpRequest& request, falproxy::TimePoint, std::stop_token,
      falproxy::ResponseSink& sink) override {
    using falproxy::TransportError;
    using falproxy::TransportFault;
    for (const Json& exchange : exchanges_) {
      if (exchange.find("request") != Json::string(name_of(request))) continue;
      falproxy::HttpHead head{static_cast<int>(exchange.find("status")->as_integer().value_or(0))};
      const Json headers = exchange.find("headers").value_or(Json());
      for (const std::string_view name : headers.keys()) {
        head.headers.add(std::string(name),
                         std::string(headers.find(name)->as_string().value_or("")));
      }
      const auto body = codecs_.decode_base64(exchange.find("body")->as_string().value_or(""));
      if (!sink.head(head) || !sink.data(body.value_or(""))) {
        return TransportError{TransportFault::cancelled, "the receiver ended it"};
      }
      return falproxy::Done{};
    }
    return TransportError{TransportFault::unreachable, "not recorded: " + name_of(request), true};
  }

 private:
  const falproxy::Codecs& codecs_;
  std::vector<Json> exchanges_;
};

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
    RecordingTransport recording(**real, codecs, argv[2]);
    return show(recording, argv[3]);
  }
  if (mode == "replay") {
    ReplayTransport replay(codecs, argv[2]);
    return show(replay, argv[3]);
  }
  std::cerr << "usage: custom_transport record|replay FILE URL\n";
  return 2;
}
