// echo_server.hpp: a server of small rows for tests, and what it runs on.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "app/raw_client.hpp"
#include "flag.hpp"
#include "serving/server.hpp"

namespace falproxy::serving {

using test::eventually;
using test::Flag;
using test::post;
using test::RawClient;
using test::Received;

// GET /fixed is answered at once; POST /echo sends its body back; GET /echoed says how many did so
// before; POST /call calls what the test has for it; POST /wait ends when it is stopped, or
// released.
class Echo final : public Application {
 public:
  Response refuse(Request*, const Error& error) override {
    const int status = error.kind == ErrorKind::headers_too_large    ? 431
                       : error.kind == ErrorKind::request_too_slow   ? 408
                       : error.kind == ErrorKind::missing_access_key ? 401
                       : error.kind == ErrorKind::unknown_url        ? 404
                       : error.kind == ErrorKind::method_not_allowed ? 405
                       : error.kind == ErrorKind::overloaded         ? 503
                       : error.kind == ErrorKind::internal           ? 500
                                                                     : 400;
    return {.status = status, .body = Body(std::string("bad"))};
  }

  std::vector<Route> routes() {
    const auto fixed = [](std::string_view text) {
      return [text](Request&) {
        Response response;
        response.body.append(Piece{nullptr, text});
        return response;
      };
    };
    const auto echo = [this](Request& request) { return answer(request); };
    return {
        {"GET", "/fixed", fixed("fixed")},
        {"GET", "/large", fixed(large)},
        {"POST", "/closed",
         [this](Request& request) {
           return refuse(&request, {.kind = ErrorKind::missing_access_key, .message = ""});
         }},
        {"POST", "/unread", fixed("no")},
        {"POST", "/throw", [](Request&) -> Response { throw std::bad_alloc(); }},
        {"POST", "/broken",
         [](Request&) {
           return Response{.stream = [](Request& out) {
             out.write(Body(std::string("half")));
             throw std::bad_alloc();
           }};
         }},
        {"POST", "/echo", echo},
        {"PUT", "/echo", echo},
        {"PATCH", "/echo", echo},
        {"DELETE", "/echo", echo},
        {"GET", "/echo", echo},
        {"GET", "/echoed",
         [this](Request&) { return Response{.body = Body(std::to_string(echoed_))}; }},
        {"POST", "/call",
         [this](Request&) {
           call();
           return Response{};
         }},
        {"POST", "/wait", [this](Request& request) { return wait(request); }},
        {"POST", "/stream", [this](Request& request) { return stream(request); }},
        {"POST", "/beside", [this](Request& request) { return beside(request); }},
        {"GET", "/models/*id",
         [](Request& request) {
           return Response{.body = Body(std::string(request.parameter("id")))};
         }},
    };
  }

  const std::string large = std::string(8u << 20, 'x');
  Milliseconds hold{0};
  Flag waiting, stopped, release;
  std::function<void()> call;

 private:
  Response answer(Request& request) {
    ++echoed_;
    std::string body;
    const Result<Done> read = request.read_body(32u << 20, [&](std::string_view bytes) {
      body.append(bytes);
      return true;
    });
    if (!read) return {.status = 400, .body = Body(std::string(name_of(read.error().kind)))};
    return {.fields = "X-Own: 1\r\n", .body = Body(body)};
  }

  void wait_for_release(Request& request) {
    request.hold_when_client_leaves(hold);
    const std::stop_callback callback(request.stop(), [this] {
      stopped.raise();
      release.raise();
    });
    waiting.raise();
    release.wait();
  }

  Response wait(Request& request) {
    Response response = answer(request);
    wait_for_release(request);
    return response;
  }

  Response stream(Request& request) {
    return {.content_type = "text/event-stream", .stream = [this, &request](Request& out) {
              out.write(Body(std::string("first\n")));
              wait_for_release(request);
              out.write(Body(std::string("last\n")));
            }};
  }

  std::atomic<int> echoed_{0};

  // What runs beside says when its stop is requested.
  Response beside(Request& request) {
    const bool runs = request.run_beside([this, stop = request.stop()] {
      Flag end;
      const std::stop_callback callback(stop, [&end] { end.raise(); });
      waiting.raise();
      end.wait();
      stopped.raise();
    });
    return {.body = Body(std::string(runs ? "beside" : "no room"))};
  }
};

struct Running {
  explicit Running(Server::Options options = {}, Reactor::Options on = {}, std::size_t count = 1)
      : reactors(make_reactors(on, count)) {
    options.host = "127.0.0.1";
    auto created = Server::create(options, echo, echo.routes(), reactors);
    REQUIRE(created.has_value());
    server = std::move(created).value();
    server->start();
  }
  [[nodiscard]] std::uint16_t port() const { return server->port(); }

  Echo echo;
  Reactors reactors;
  std::unique_ptr<Server> server;
};

inline const std::string get_fixed = test::get("/fixed");

}  // namespace falproxy::serving
