#include "falproxy/recorded.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

namespace falproxy::inline v0::testing {
namespace {

std::string name_of(const HttpRequest& request) { return request.method + " " + request.url; }

// Passes an answer on and keeps a copy.
class Tee final : public ResponseSink {
 public:
  explicit Tee(ResponseSink& next) : next_(next) {}
  bool head(HttpHead head) override {
    response.head = head;
    return is_wanted = next_.head(std::move(head));
  }
  bool data(std::string_view bytes) override {
    response.body.append(bytes);
    return is_wanted = next_.data(bytes);
  }
  HttpResponse response;
  bool is_wanted = true;  // else the receiver had enough

 private:
  ResponseSink& next_;
};

std::string line_of(const HttpRequest& request, const HttpResponse& response,
                    const Codecs& codecs) {
  std::vector<Json> headers;
  for (const auto& [name, value] : response.head.headers)
    headers.push_back(Json::array({Json::string(name), Json::string(value)}));
  std::string body;
  codecs.encode_base64(response.body, body);
  return Json::object({{"request", Json::string(name_of(request))},
                       {"status", Json::integer(response.head.status)},
                       {"headers", Json::array(headers)},
                       {"body", Json::string(body)}})
      .dump();
}

std::string text_of(const Json& exchange, std::string_view member) {
  const Json value = exchange.find(member).value_or(Json());
  return std::string(value.as_string().value_or(""));
}

}  // namespace

struct RecordingTransport::File {
  std::mutex mutex;
  std::ofstream stream;
};

RecordingTransport::RecordingTransport(Transport& inner, const Codecs& codecs,
                                       const std::string& path)
    : inner_(inner), codecs_(codecs), file_(std::make_unique<File>()) {
  file_->stream.open(path, std::ios::app | std::ios::binary);
}
RecordingTransport::~RecordingTransport() = default;

bool RecordingTransport::is_good() const {
  const std::lock_guard lock(file_->mutex);
  return file_->stream.good();
}

Result<Done, TransportError> RecordingTransport::send(const HttpRequest& request,
                                                      TimePoint deadline, std::stop_token stop,
                                                      ResponseSink& sink) {
  Tee tee(sink);
  auto sent = inner_.send(request, deadline, std::move(stop), tee);
  if (!sent && tee.is_wanted) return sent;
  const std::string line = line_of(request, tee.response, codecs_);
  const std::lock_guard lock(file_->mutex);
  file_->stream << line << '\n' << std::flush;
  return sent;
}

ReplayTransport::ReplayTransport(const Codecs& codecs, const std::string& path) : codecs_(codecs) {
  std::ifstream file(path, std::ios::binary);
  const JsonLimits as_recorded{.max_depth = 4};
  for (std::string line; std::getline(file, line);) {
    const auto exchange = Json::parse(line, as_recorded);
    if (!exchange) continue;
    const std::string name = text_of(*exchange, "request");
    if (name.empty() || !exchange->find("status").value_or(Json()).as_integer()) continue;
    answers_[name].exchanges.push_back(*exchange);
    ++size_;
  }
}

Result<Done, TransportError> ReplayTransport::send(const HttpRequest& request, TimePoint,
                                                   std::stop_token, ResponseSink& sink) {
  std::unique_lock lock(mutex_);
  const auto found = answers_.find(name_of(request));
  if (found == answers_.end())
    return TransportError{TransportFault::unreachable, "not recorded: " + name_of(request), true};
  Answers& answers = found->second;
  const Json exchange = answers.exchanges[answers.next];
  answers.next = std::min(answers.next + 1, answers.exchanges.size() - 1);
  lock.unlock();

  HttpHead head{static_cast<int>(exchange.find("status")->as_integer().value_or(0))};
  const Json headers = exchange.find("headers").value_or(Json());
  for (std::size_t i = 0; i < headers.size(); ++i) {
    head.headers.add(std::string(headers.at(i).at(0).as_string().value_or("")),
                     std::string(headers.at(i).at(1).as_string().value_or("")));
  }
  const auto body = codecs_.decode_base64(text_of(exchange, "body"));
  if (!sink.head(std::move(head)) || !sink.data(body.value_or("")))
    return TransportError{TransportFault::cancelled, "the receiver ended it"};
  return Done{};
}

}  // namespace falproxy::inline v0::testing
