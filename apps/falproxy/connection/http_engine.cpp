#include "connection/http_engine.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <string_view>
#include <utility>

#include "connection/http_text.hpp"
#include "connection/httplib.hpp"

namespace falproxy::app {
namespace {

// httplib hands its handlers its own request only. This one of its functions is the client's; a
// server has no use for it, and carries the exchange in it.
struct InRequest {
  WorkerExchange* exchange;
  bool operator()(const httplib::Response&) const noexcept { return true; }
};

WorkerExchange& exchange_of(const httplib::Request& request) {
  return *request.response_handler.target<InRequest>()->exchange;
}

class RunAtOnce final : public httplib::TaskQueue {
 public:
  bool enqueue(std::function<void()> task) override {
    task();
    return true;
  }
  void shutdown() override {}
};

// The exchange's stream as httplib wants it: it waits by itself, and says when it is over.
class EngineStream final : public httplib::Stream {
 public:
  explicit EngineStream(ExchangeStream& stream) noexcept : stream_(stream) {}

  [[nodiscard]] bool is_readable() const override { return true; }
  [[nodiscard]] bool wait_readable() const override { return true; }
  [[nodiscard]] bool wait_writable() const override { return stream_.is_writable(); }
  ssize_t read(char* to, std::size_t size) override { return stream_.read(to, size); }
  ssize_t write(const char* data, std::size_t size) override { return stream_.write(data, size); }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  [[nodiscard]] socket_t socket() const override { return stream_.socket(); }
  [[nodiscard]] time_t duration() const override { return 0; }

 private:
  ExchangeStream& stream_;
};

// Of the fields that httplib sets, only those that say what the body is; the others are ours, and
// an answer that has none is httplib's own, to what it could not read.
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
  const auto own = fields.find(WorkerExchange::own_fields);
  if (own != fields.end()) {
    text.append(own->second);
  } else {
    append_field(text, "Connection", "close");
  }
  text.append("\r\n");
  return stream.write(text.data(), text.size());
}

}  // namespace

class HttpEngine::Server final : public httplib::Server {
 public:
  Server(Application& application, std::function<void(int)> adopt) : adopt_(std::move(adopt)) {
    new_task_queue = [] { return new RunAtOnce; };
    // Not SO_REUSEPORT: a second server on the same port is to fail, not to get half of the
    // connections.
    set_socket_options(
        [](socket_t socket) { httplib::set_socket_opt(socket, SOL_SOCKET, SO_REUSEADDR, 1); });
    set_tcp_nodelay(true);
    set_payload_max_length(SIZE_MAX);  // tasks say how much they read
    set_header_writer(write_fields);
    set_exception_handler([&application](const httplib::Request& request,
                                         httplib::Response& response, const std::exception_ptr&) {
      WorkerExchange& exchange = exchange_of(request);
      Reply reply;
      application.refuse(&exchange.head(),
                         Error{.kind = ErrorKind::internal, .message = "falproxy failed."}, reply);
      response.status = reply.status;
      response.set_content(std::string(reply.body.bytes), "application/json");
      exchange.stream().refuse_reads();
    });
    // httplib's other patterns are regular expressions; which request it is was found out before.
    Post("/:request",
         [](const httplib::Request& request, httplib::Response& response,
            const httplib::ContentReader& reader) { exchange_of(request).run(response, &reader); });
    Get("/:request", [](const httplib::Request& request, httplib::Response& response) {
      exchange_of(request).run(response, nullptr);
    });
  }

  void shut_down_listener() const { ::shutdown(svr_sock_, SHUT_RDWR); }
  void close_listener() const { ::close(svr_sock_); }

  bool serve(WorkerExchange& exchange) {
    EngineStream stream(exchange.stream());
    bool closed = false;
    const bool served = process_request(
        stream, {}, 0, {}, 0, false, closed,
        [&exchange](httplib::Request& request) { request.response_handler = InRequest{&exchange}; },
        nullptr);
    return served && !closed && exchange.has_run() && !exchange.closes() &&
           exchange.stream().is_whole();
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    adopt_(socket);
    return true;
  }

  std::function<void(int)> adopt_;
};

HttpEngine::HttpEngine(Application& application, std::function<void(int)> adopt)
    : server_(std::make_unique<Server>(application, std::move(adopt))) {}
HttpEngine::~HttpEngine() = default;

std::optional<std::uint16_t> HttpEngine::bind(const std::string& host, std::uint16_t port) {
  if (port == 0) {
    const int bound = server_->bind_to_any_port(host);
    return bound > 0 ? std::optional(static_cast<std::uint16_t>(bound)) : std::nullopt;
  }
  return server_->bind_to_port(host, port) ? std::optional(port) : std::nullopt;
}

void HttpEngine::accept_connections() { server_->listen_after_bind(); }

void HttpEngine::stop_accepting() {
  // accept() fails, listening ends, and svr_sock_ keeps its value: httplib takes its absence for a
  // reason to cut answers off.
  server_->shut_down_listener();
}

void HttpEngine::close_listener() { server_->close_listener(); }

bool HttpEngine::serve(WorkerExchange& exchange) { return server_->serve(exchange); }

void append_status_line(std::string& out, int status) {
  out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  out.append(httplib::status_message(status)).append("\r\n");
}

}  // namespace falproxy::app
