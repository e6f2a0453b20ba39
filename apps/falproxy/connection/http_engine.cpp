#include "connection/http_engine.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <string_view>
#include <utility>

#include "connection/http_text.hpp"

namespace falproxy::app {
namespace {

// httplib calls its handlers with its own request and response only, and carries nothing of ours
// through.
thread_local WorkerExchange* current = nullptr;

class RunAtOnce final : public httplib::TaskQueue {
 public:
  bool enqueue(std::function<void()> task) override {
    task();
    return true;
  }
  void shutdown() override {}
};

// Of the fields that httplib sets, only those that say what the body is; whether the connection
// stays is ours to know.
ssize_t write_fields(httplib::Stream& stream, httplib::Headers& fields) {
  constexpr std::array<std::string_view, 3> kept = {"Content-Type", "Content-Length",
                                                    "Transfer-Encoding"};
  std::string text;
  text.reserve(512);
  append_date(text, std::time(nullptr));
  for (const std::string_view name : kept) {
    const auto field = fields.find(std::string(name));
    if (field != fields.end()) append_field(text, name, field->second);
  }
  text.append(current->fields());
  if (current->closes()) {
    append_field(text, "Connection", "close");
  } else if (current->head().minor_version == 0) {
    append_field(text, "Connection", "keep-alive");
  }
  text.append("\r\n");
  return stream.write(text.data(), text.size());
}

}  // namespace

HttpEngine::HttpEngine(Application& application, std::function<void(int)> adopt)
    : application_(application), adopt_(std::move(adopt)) {
  new_task_queue = [] { return new RunAtOnce; };
  // Not SO_REUSEPORT: a second server on the same port is to fail, not to get half of the
  // connections.
  set_socket_options(
      [](socket_t socket) { httplib::set_socket_opt(socket, SOL_SOCKET, SO_REUSEADDR, 1); });
  set_tcp_nodelay(true);
  set_payload_max_length(SIZE_MAX);  // tasks say how much they read
  set_header_writer(write_fields);
  set_exception_handler([this](const httplib::Request&, httplib::Response& response,
                               std::exception_ptr) {
    Reply reply;
    application_.refuse(&current->head(),
                        Error{.kind = ErrorKind::internal, .message = "falproxy failed."}, reply);
    response.status = reply.status;
    response.set_content(std::string(reply.body.bytes), "application/json");
    current->stream().refuse_reads();
  });
  // httplib's other patterns are regular expressions; which request it is was found out before.
  Post("/:request", [](const httplib::Request&, httplib::Response& response,
                       const httplib::ContentReader& reader) { current->run(response, &reader); });
  Get("/:request", [](const httplib::Request&, httplib::Response& response) {
    current->run(response, nullptr);
  });
}

std::optional<std::uint16_t> HttpEngine::bind(const std::string& host, std::uint16_t port) {
  if (port == 0) {
    const int bound = bind_to_any_port(host);
    return bound > 0 ? std::optional(static_cast<std::uint16_t>(bound)) : std::nullopt;
  }
  return bind_to_port(host, port) ? std::optional(port) : std::nullopt;
}

void HttpEngine::stop_accepting() {
  // accept() fails, listening ends, and svr_sock_ keeps its value: httplib takes its absence for a
  // reason to cut answers off.
  ::shutdown(svr_sock_, SHUT_RDWR);
}

void HttpEngine::close_listener() { ::close(svr_sock_); }

bool HttpEngine::process_and_close_socket(socket_t socket) {
  adopt_(socket);
  return true;
}

bool HttpEngine::serve(WorkerExchange& exchange) {
  current = &exchange;
  bool closed = false;
  const bool served = process_request(exchange.stream(), {}, 0, {}, 0, false, closed, nullptr);
  current = nullptr;
  return served && !closed && !exchange.closes() && exchange.stream().is_whole();
}

}  // namespace falproxy::app
