#include "connection/front.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bell.hpp"
#include "raw_client.hpp"

namespace falproxy::app {
namespace {

using test::post;
using test::RawClient;
using test::Received;

// What a test can wait for, or a task, on a fiber or a thread.
class Flag {
 public:
  void raise() {
    std::unique_lock lock(mutex_);
    up_ = true;
    Bell::Ring ring = raised_.take();
    lock.unlock();
    ring();
  }
  bool wait(Milliseconds limit = Milliseconds(10'000)) {
    const TimePoint until = clock_.now() + limit;
    std::unique_lock lock(mutex_);
    while (!up_ && clock_.now() < until) raised_.wait(lock, clock_, until, {});
    return up_;
  }

 private:
  FiberClock clock_;
  std::mutex mutex_;
  Bell raised_;
  bool up_ = false;
};

// GET /fixed is answered at once; POST /echo sends its body back; POST /wait ends when it is
// stopped, or released.
class Echo final : public Application {
 public:
  std::unique_ptr<Task> receive(const RequestHead& head, Reply& reply) override {
    if (head.path() == "/fixed") return fixed("fixed", reply);
    if (head.path() == "/large") return fixed(large, reply);
    if (head.path() == "/closed") {
      refuse(&head, {.kind = ErrorKind::missing_access_key, .message = ""}, reply);
      return nullptr;
    }
    return std::make_unique<EchoTask>(*this);
  }

  void refuse(const RequestHead*, const Error& error, Reply& reply) override {
    reply.status = error.kind == ErrorKind::headers_too_large    ? 431
                   : error.kind == ErrorKind::request_too_slow   ? 408
                   : error.kind == ErrorKind::missing_access_key ? 401
                   : error.kind == ErrorKind::overloaded         ? 503
                   : error.kind == ErrorKind::internal           ? 500
                                                                 : 400;
    static_cast<void>(fixed("bad", reply));
  }

  const std::string large = std::string(8u << 20, 'x');
  const std::string huge = std::string(32u << 20, 'x');  // more than sockets hold
  Milliseconds hold{0};
  bool mostly_waits = true;
  Flag waiting, stopped, release;

 private:
  static std::unique_ptr<Task> fixed(std::string_view body, Reply& reply) {
    reply.fields = "Content-Length: " + std::to_string(body.size()) + "\r\n";
    reply.body = {nullptr, body};
    return nullptr;
  }

  class EchoTask final : public Task {
   public:
    explicit EchoTask(Echo& echo) : echo_(echo) {}

    [[nodiscard]] bool mostly_waits() const noexcept override { return echo_.mostly_waits; }
    Answer serve(Exchange& exchange) override {
      const std::string path(exchange.head().path());
      if (path == "/unread") return {.status = 503, .body = Body(std::string("no"))};
      if (path == "/throw") throw std::bad_alloc();
      std::string body;
      const auto append = [&](std::string_view bytes) {
        body.append(bytes);
        return true;
      };
      const auto begin_part = [&](const FormPartHead& part) {
        return append("[" + part.name + "|" + part.file_name + "|" + part.content_type + "]");
      };
      const Result<Done> read = path == "/form" ? exchange.read_form(1u << 20, begin_part, append)
                                                : exchange.read_body(32u << 20, append);
      if (!read) return {.status = 400, .body = Body(std::string(name_of(read.error().kind)))};
      if (path == "/wait") wait(exchange);
      if (path == "/space") {
        exchange.start_ticking(Milliseconds(1), [&exchange] {
          exchange.begin_early("application/json", "X-Early: yes\r\n");
          exchange.interject(" ");
        });
        wait(exchange);
        return {.status = 500, .fields = "X-Late: yes\r\n", .body = Body(std::string("{}"))};
      }
      if (path == "/stream") return stream(exchange);
      if (path == "/early") {
        exchange.begin_early("text/plain", "");
        exchange.write_early(echo_.huge);
        exchange.write_early("too much");
        wait(exchange);
        return {.body = Body(std::string("end"))};
      }
      return {.fields = "X-Own: 1\r\n", .body = Body(body)};
    }

   private:
    Answer stream(Exchange& exchange) {
      exchange.begin_early("text/event-stream", "");
      exchange.write_early("first\n");
      exchange.start_ticking(Milliseconds(1), [&exchange] { exchange.interject(":tick\n"); });
      wait(exchange);
      return {.stream = [](AnswerStream& out) { out.write("last\n"); }};
    }

    void wait(Exchange& exchange) {
      exchange.hold_when_client_leaves(echo_.hold);
      const std::stop_callback callback(exchange.stop(), [this] {
        echo_.stopped.raise();
        echo_.release.raise();
      });
      echo_.waiting.raise();
      echo_.release.wait();
    }

    Echo& echo_;
  };
};

struct Running {
  explicit Running(Front::Options options = {}, std::size_t threads = 64)
      : workers({.max_threads = threads}), fibers(workers, {}) {
    options.host = "127.0.0.1";
    auto created = Front::create(options, echo, workers, fibers);
    REQUIRE(created.has_value());
    front = std::move(created).value();
    front->start();
  }
  [[nodiscard]] std::uint16_t port() const { return front->port(); }

  Echo echo;
  Workers workers;
  Fibers fibers;
  std::unique_ptr<Front> front;
};

const std::string get_fixed = test::get("/fixed");

TEST_CASE("requests follow each other on one connection, in any pieces") {
  Running server;
  RawClient client(server.port());
  SUBCASE("one after the other") {
    for (int i = 0; i < 3; ++i) {
      CHECK(client.exchange(get_fixed).body == "fixed");
      const Received echo = client.exchange(post("/echo", "hello"));
      CHECK(echo.status == 200);
      CHECK(echo.reason == "OK");
      CHECK(echo.body == "hello");
      CHECK(echo.header("x-own") == "1");
      CHECK(echo.header("content-type") == "application/json");
      CHECK_FALSE(echo.header("date").empty());
    }
  }
  SUBCASE("byte by byte") {
    for (const char c : get_fixed + post("/echo", "hello")) client.send({&c, 1});
    CHECK(client.receive().body == "fixed");
    CHECK(client.receive().body == "hello");
  }
  SUBCASE("all at once") {
    client.send(get_fixed + post("/echo", "1") + get_fixed + post("/echo", "2") + "\r\n" +
                get_fixed);
    for (const char* body : {"fixed", "1", "fixed", "2", "fixed"})
      CHECK(client.receive().body == body);
  }
  SUBCASE("a chunked body, and a head that waits for 100 Continue") {
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: "
        "100-continue\r\n\r\n");
    client.send("3\r\nabc\r\n");
    client.send("2;x=y\r\nde\r\n0\r\n\r\n");
    CHECK(client.receive().body == "abcde");
    CHECK(client.exchange(get_fixed).body == "fixed");
  }
  SUBCASE("no body at all") {
    CHECK(client.exchange("POST /echo HTTP/1.1\r\nHost: a\r\n\r\n").status == 200);
    CHECK(client.exchange("GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").status ==
          200);
    client.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(client.receive(false).status == 200);
    CHECK(client.exchange(get_fixed).body == "fixed");
  }
}

TEST_CASE("a body of many megabytes goes through both ways") {
  Running server;
  RawClient client(server.port());
  const std::string body(20u << 20, 'b');
  std::thread sender([&] { client.send(post("/echo", body)); });
  const Received echo = client.receive();
  sender.join();
  CHECK(echo.body.size() == body.size());
  CHECK(client.exchange(test::get("/large")).body.size() == server.echo.large.size());
  CHECK(client.exchange(get_fixed).body == "fixed");
}

TEST_CASE("the connection ends where the client says so") {
  Running server;
  for (const char* request :
       {"GET /fixed HTTP/1.0\r\n\r\n",
        "GET /fixed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST /echo HTTP/1.0\r\nContent-Length: 1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"}) {
    CAPTURE(request);
    RawClient client(server.port());
    const Received got = client.exchange(request);
    CHECK(got.status == 200);
    CHECK(got.header("connection") == "close");
    CHECK(client.at_end());
  }
  RawClient client(server.port());
  for (const char* request :
       {"GET /fixed HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na"}) {
    CHECK(client.exchange(request).header("connection") == "keep-alive");
  }
}

TEST_CASE("a client that sends its end of file right away still gets what needs no work") {
  Running server;
  RawClient client(server.port());
  client.send(get_fixed + get_fixed);
  client.finish_sending();
  CHECK(client.receive().body == "fixed");
  CHECK(client.receive().body == "fixed");
  CHECK(client.at_end());
}

TEST_CASE("a head that cannot be read is refused and ends the connection") {
  Running server;
  struct Case {
    std::string head;
    int status;
  };
  const std::vector<Case> cases = {
      {"GARBAGE\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: a\n\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"GET / HTTP/1.1\r\nHost: a\r\n" + std::string(64u << 10, 'a') + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(64u << 10, 'a') + "\r\n\r\n", 431},
      {"GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 431},
  };
  for (const Case& c : cases) {
    CAPTURE(c.head.substr(0, 100));
    RawClient client(server.port());
    const Received got = client.exchange(c.head);
    CHECK(got.status == c.status);
    CHECK(got.header("connection") == "close");
    CHECK(client.at_end());
  }
  RawClient client(server.port());
  CHECK(client.exchange(get_fixed).status == 200);
}

TEST_CASE("a broken body is told from others") {
  Running server({.body_grace = Milliseconds(200)});
  const std::string head = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  RawClient client(server.port());
  SUBCASE("chunks that are none, however a lenient reader takes them") {
    for (const char* chunks :
         {"zz\r\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n",
          " 3\r\nabc\r\n0\r\n\r\n", "-3\r\nabc\r\n0\r\n\r\n", "3zz\r\nabc\r\n0\r\n\r\n",
          "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "\r\n\r\n", "ffffffffffffffff\r\nabc",
          "garbage without an end"}) {
      CAPTURE(chunks);
      RawClient broken(server.port());
      const Received got = broken.exchange(chunked + chunks);
      CHECK(got.status == 400);
      CHECK(got.body == "bad_request_framing");
      CHECK(got.header("connection") == "close");
      CHECK(broken.at_end());
    }
    CHECK(client.exchange(chunked + "3;a=\"b\"\r\nabc\r\n0A \r\n0123456789\r\n00\r\nX: y\r\n\r\n")
              .body == "abc0123456789");
  }
  SUBCASE("one that ends too early, while its client still listens") {
    client.send(head + "Content-Length: 10\r\n\r\nabc");
    client.finish_sending();
    CHECK(client.receive().body == "bad_request_framing");
    CHECK(client.at_end());
  }
  SUBCASE("one that does not come in time") {
    CHECK(client.exchange(head + "Content-Length: 10\r\n\r\nabc").body == "request_too_slow");
    CHECK(client.at_end());
  }
}

TEST_CASE("a form is read part by part") {
  Running server;
  RawClient client(server.port());
  const std::string body =
      "--b\r\nContent-Disposition: form-data; "
      "name=prompt\r\n\r\nhello\r\n--b\r\nContent-Disposition: form-data; "
      "name=\"image[]\"; filename=\"a.png\"; filename*=utf-8''a.png\r\nContent-Type: "
      "image/png\r\n\r\n\x89PNG\r\n--b--\r\n";
  const auto request = [](const std::string& text, const std::string& type) {
    return "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
  };
  for (const char* type :
       {"multipart/form-data; boundary=\"b\"", "multipart/form-data;boundary=b; charset=utf-8",
        "Multipart/Form-Data; Charset=utf-8 ; Boundary=b"}) {
    CAPTURE(type);
    CHECK(client.exchange(request(body, type)).body ==
          "[prompt||]hello[image[]|a.png|image/png]\x89PNG");
  }
  CHECK(
      client.exchange(request(body.substr(0, body.size() - 10), "multipart/form-data; boundary=b"))
          .body == "bad_request_framing");
  RawClient other(server.port());
  CHECK(other.exchange(request(body, "multipart/form-data")).body == "bad_request_framing");
}

TEST_CASE("a body that nobody reads does not take the answer away") {
  Running server;
  SUBCASE("a small one is thrown away and the connection stays") {
    RawClient client(server.port());
    const Received got = client.exchange(post("/closed", std::string(100'000, 'x')));
    CHECK(got.status == 401);
    CHECK(got.header("connection").empty());
    CHECK(client.exchange(get_fixed).body == "fixed");
  }
  SUBCASE("a large one ends it, once the client has read the answer") {
    for (const char* path : {"/closed", "/unread"}) {
      CAPTURE(path);
      RawClient client(server.port());
      std::thread sender([&] { client.send(post(path, std::string(20u << 20, 'x'))); });
      const Received got = client.receive();
      sender.join();
      CHECK(got.status >= 401);
      CHECK(got.header("connection") == "close");
      CHECK(client.at_end());
    }
  }
}

TEST_CASE("clients that are too slow are let go") {
  Running server({.head_timeout = Milliseconds(200), .idle_timeout = Milliseconds(300)});
  SUBCASE("with half a head: told so") {
    RawClient client(server.port());
    client.send("GET /fixed HTTP/1.1\r\nHost:");
    CHECK(client.receive().status == 408);
    CHECK(client.at_end());
  }
  SUBCASE("idle: silently") {
    RawClient client(server.port());
    CHECK(client.exchange(get_fixed).status == 200);
    CHECK(client.at_end());
    RawClient silent(server.port());
    CHECK(silent.at_end());
  }
  SUBCASE("while others are served") {
    std::vector<std::unique_ptr<RawClient>> slow;
    for (int i = 0; i < 200; ++i) {
      slow.push_back(std::make_unique<RawClient>(server.port()));
      slow.back()->send("GET /fixed HTTP/1.1\r\nHost: a\r\nX");
    }
    RawClient client(server.port());
    CHECK(client.exchange(get_fixed).status == 200);
    CHECK(client.exchange(post("/echo", "a")).body == "a");
    CHECK(server.workers.threads() + server.fibers.stacks() <= 1);
  }
}

TEST_CASE("a client that leaves is noticed") {
  Running server;
  RawClient client(server.port());
  const auto begin = [&] {
    client.send(post("/wait", "a"));
    REQUIRE(server.echo.waiting.wait());
  };
  SUBCASE("at once, when it closes") {
    begin();
    client.close();
    CHECK(server.echo.stopped.wait());
  }
  SUBCASE("at once, when it resets") {
    begin();
    client.reset();
    CHECK(server.echo.stopped.wait());
  }
  SUBCASE("after the hold that the request asked for") {
    server.echo.hold = Milliseconds(600);
    begin();
    client.close();
    CHECK_FALSE(server.echo.stopped.wait(Milliseconds(300)));
    CHECK(server.echo.stopped.wait());
  }
  SUBCASE("but not when it only sends more") {
    begin();
    client.send(get_fixed);
    CHECK_FALSE(server.echo.stopped.wait(Milliseconds(300)));
    server.echo.release.raise();
    CHECK(client.receive().body == "a");
    CHECK(client.receive().body == "fixed");
  }
}

TEST_CASE("past the limit a request is told so at once") {
  Running server({}, 1);
  server.echo.mostly_waits = false;
  RawClient first(server.port());
  first.send(post("/wait", "a"));
  REQUIRE(server.echo.waiting.wait());
  RawClient second(server.port());
  CHECK(second.exchange(post("/echo", "b")).status == 503);
  CHECK(second.exchange(get_fixed).body == "fixed");
  server.echo.release.raise();
  CHECK(first.receive().body == "a");
}

TEST_CASE("past the limit of connections a client is told so and closed") {
  Running server({.max_connections = 1});
  RawClient first(server.port());
  CHECK(first.exchange(get_fixed).status == 200);
  RawClient second(server.port());
  CHECK(second.receive().status == 503);
  CHECK(second.at_end());
  CHECK(first.exchange(get_fixed).status == 200);
}

TEST_CASE("white space keeps a slow answer's line open") {
  Running server;
  RawClient client(server.port());
  client.send(post("/space", "a"));
  REQUIRE(server.echo.waiting.wait());
  std::this_thread::sleep_for(Milliseconds(600));  // two sweeps of the loop
  server.echo.release.raise();
  const Received got = client.receive();
  CHECK(got.status == 200);
  CHECK(got.header("x-early") == "yes");
  CHECK(got.header("x-late").empty());
  CHECK(got.header("transfer-encoding") == "chunked");
  CHECK(got.body.starts_with(" "));
  CHECK(got.body.ends_with("{}"));
  CHECK(client.exchange(get_fixed).body == "fixed");
}

TEST_CASE("an answer that is ready before the first white space has its own status") {
  Running server;
  RawClient client(server.port());
  server.echo.release.raise();
  const Received got = client.exchange(post("/space", "a"));
  CHECK(got.status == 500);
  CHECK(got.header("x-late") == "yes");
  CHECK(got.body == "{}");
}

TEST_CASE("a streamed answer takes interjections") {
  Running server;
  RawClient client(server.port());
  client.send(post("/stream", "a"));
  REQUIRE(server.echo.waiting.wait());
  std::this_thread::sleep_for(Milliseconds(600));
  server.echo.release.raise();
  const Received got = client.receive();
  CHECK(got.header("content-type") == "text/event-stream");
  CHECK(got.body.starts_with("first\n:tick\n"));
  CHECK(got.body.ends_with("last\n"));
  CHECK(client.exchange(get_fixed).body == "fixed");
}

TEST_CASE(
    "what a client does not take of an early write follows when it does, while the task waits") {
  Running server;
  RawClient client(server.port());
  client.send(post("/early", "a"));
  REQUIRE(server.echo.waiting.wait());
  CHECK(client.fill_to(server.echo.huge.size()));
  CHECK(server.front->counters().busy == 1);
  server.echo.release.raise();
  CHECK(client.receive().body == server.echo.huge + "end");
}

TEST_CASE("a task that throws is an answer, not the end") {
  Running server;
  RawClient client(server.port());
  CHECK(client.exchange(post("/throw", "a")).status == 500);
  RawClient other(server.port());
  CHECK(other.exchange(get_fixed).status == 200);
}

TEST_CASE("draining lets what runs end, and closes the rest") {
  Running server;
  RawClient idle(server.port());
  CHECK(idle.exchange(get_fixed).status == 200);
  RawClient busy(server.port());
  busy.send(post("/wait", "a"));
  REQUIRE(server.echo.waiting.wait());
  server.front->drain();
  CHECK(idle.at_end());
  RawClient late(server.port());
  CHECK_FALSE(late.send(get_fixed));
  SUBCASE("the one that runs ends by itself") { server.echo.release.raise(); }
  SUBCASE("or is stopped") { server.front->stop_requests(); }
  const Received got = busy.receive();
  CHECK(got.body == "a");
  CHECK(got.header("connection") == "close");
  CHECK(busy.at_end());
}

TEST_CASE("clients that send nothing, or take nothing, do not keep it from ending") {
  std::optional<Running> server(std::in_place, Front::Options{.body_grace = std::chrono::hours(1)});
  RawClient sends_nothing(server->port());
  sends_nothing.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
  RawClient takes_nothing(server->port());
  takes_nothing.send(post("/echo", std::string(20u << 20, 'b')));
  while (server->front->counters().busy < 2) std::this_thread::yield();
  server.reset();
  CHECK(sends_nothing.receive().status != 200);
}

TEST_CASE("many clients at once") {
  Running server({}, 256);
  SUBCASE("on fibers") {}
  SUBCASE("on threads") { server.echo.mostly_waits = false; }
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 32; ++i) {
    clients.emplace_back([&, i] {
      RawClient client(server.port());
      for (int n = 0; n < 20; ++n) {
        const std::string body = std::to_string(i * 100 + n);
        if (client.exchange(post("/echo", body)).body == body &&
            client.exchange(get_fixed).body == "fixed")
          ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(right == 32 * 20);
}

}  // namespace
}  // namespace falproxy::app
