#include "connection/front.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "connection/connection.hpp"
#include "connection/http_engine.hpp"
#include "connection/http_text.hpp"
#include "connection/worker_exchange.hpp"

namespace falproxy::app {

namespace {

using State = Connection::State;
using Wish = Connection::Wish;

// How often deadlines are looked at.
constexpr Milliseconds sweep_interval{250};

TimePoint steady_now() noexcept { return std::chrono::steady_clock::now(); }

bool is_over(ssize_t received) noexcept {
  return received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace

struct Front::Impl {
  Impl(Options given, Application& app, Workers& pool)
      : options(std::move(given)),
        application(app),
        workers(pool),
        engine(app, [this](int fd) { adopt(fd); }) {}

  // ---- any thread

  void wake() const noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_fd, &one, sizeof one));
  }

  // ---- the accepting thread

  void adopt(int fd) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    accepted.fetch_add(1, std::memory_order_relaxed);
    if (open.load(std::memory_order_relaxed) >= options.max_connections) return turn_away(fd);
    auto connection = std::make_unique<Connection>(fd);
    Connection* const c = connection.get();
    c->deadline = steady_now() + options.head_timeout;
    open.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex);
      newcomers.push_back(std::move(connection));
    }
    // Edge-triggered, once for all: nothing needs to be changed when a connection goes to a worker
    // and comes back.
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = c}};
    ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }

  void turn_away(int fd) {
    Reply refusal;
    application.refuse(
        nullptr, Error{.kind = ErrorKind::overloaded, .message = "There are too many connections."},
        refusal);
    std::string text;
    append_status_line(text, refusal.status);
    text.append(refusal.fields).append("Connection: close\r\n\r\n").append(refusal.body.bytes);
    static_cast<void>(::send(fd, text.data(), text.size(), MSG_NOSIGNAL));
    ::shutdown(fd, SHUT_WR);
    ::close(fd);
  }

  // ---- a worker

  void serve(Connection& c) {
    const bool stays = engine.serve(*c.exchange);
    const RequestHead& served = c.exchange->head();
    // httplib reads the bodies of POST only.
    const std::uint64_t skip = served.method == "POST" ? 0 : served.content_length.value_or(0);
    const bool unread = c.exchange->stream().reads_refused() || skip > options.max_skipped_body ||
                        (served.method != "POST" && served.chunked);
    c.exchange->stream().release();
    {
      const std::lock_guard lock(c.exchange_mutex);
      c.exchange.reset();
    }
    c.skip = skip;
    c.scanned = 0;
    if (unread) return give_back(c, Wish::linger);
    if (!stays) return give_back(c, Wish::close);
    if (!c.in.empty() || skip > 0 || draining.load()) return give_back(c, Wish::resume);
    c.head_begun = false;
    c.deadline = steady_now() + options.idle_timeout;
    rest(c);
  }

  // From here on the connection is the loop's again; where something came meanwhile, it goes
  // through its queue.
  void rest(Connection& c) {
    std::array<char, 4096> bytes;
    while (true) {
      State expected = State::busy;
      if (c.state.compare_exchange_strong(expected, State::reading)) return;
      // An event came while the worker was busy; the loop will not hear of it again.
      c.state = State::busy;
      const ssize_t n = ::recv(c.fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (is_over(n)) return give_back(c, Wish::close);
      if (n > 0) {
        c.in.assign(bytes.data(), static_cast<std::size_t>(n));
        return give_back(c, Wish::resume);
      }
    }
  }

  void give_back(Connection& c, Wish wish) {
    c.wish = wish;
    bool first = false;
    {
      const std::lock_guard lock(mutex);
      first = returned.empty();
      returned.push_back(&c);
    }
    if (first) wake();
  }

  // ---- the loop

  void run() {
    std::array<epoll_event, 128> events;
    TimePoint next_sweep = steady_now() + sweep_interval;
    while (!finished.load()) {
      const int timeout = connections.empty() ? -1 : static_cast<int>(sweep_interval.count());
      const int n = ::epoll_wait(epoll_fd, events.data(), static_cast<int>(events.size()), timeout);
      take_newcomers();
      for (int i = 0; i < n; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
          std::uint64_t ignored = 0;
          static_cast<void>(!::read(wake_fd, &ignored, sizeof ignored));
        } else {
          happened(*static_cast<Connection*>(event.data.ptr), event.events);
        }
      }
      take_returned();
      if (stop_all.exchange(false)) {
        for (const std::unique_ptr<Connection>& c : connections) stop_request(*c);
      }
      const TimePoint now = steady_now();
      if (now >= next_sweep) {
        sweep(now);
        next_sweep = now + sweep_interval;
      }
    }
  }

  void take_newcomers() {
    const std::lock_guard lock(mutex);
    for (std::unique_ptr<Connection>& connection : newcomers) {
      connection->index = connections.size();
      connections.push_back(std::move(connection));
    }
    newcomers.clear();
  }

  void take_returned() {
    std::vector<Connection*> taken;
    {
      const std::lock_guard lock(mutex);
      taken.swap(returned);
    }
    for (Connection* c : taken) {
      const bool again = c->wish == Wish::resume && !draining.load();
      if (c->wish == Wish::close || (!again && c->in.empty())) {
        close(*c);
      } else if (c->wish == Wish::linger) {
        linger(*c);
      } else {
        c->state = State::reading;
        c->head_begun = false;
        c->deadline = steady_now() + options.idle_timeout;
        read(*c, c->client_left.load());
      }
    }
  }

  void close(Connection& c) {
    open.fetch_sub(1, std::memory_order_relaxed);
    const std::size_t index = c.index;
    if (index + 1 < connections.size()) {
      connections[index] = std::move(connections.back());
      connections[index]->index = index;
    }
    connections.pop_back();
  }

  void happened(Connection& c, std::uint32_t events) {
    const bool at_end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    while (true) {
      State state = c.state.load();
      if (state == State::reading) return read(c, at_end);
      if (state == State::lingering) return discard(c);
      if (at_end) client_left(c);
      if (state == State::busy_more || c.state.compare_exchange_strong(state, State::busy_more))
        return;
    }
  }

  void client_left(Connection& c) {
    if (c.client_left.exchange(true)) return;
    Milliseconds hold{0};
    {
      const std::lock_guard lock(c.exchange_mutex);
      if (c.exchange == nullptr) return;
      hold = c.exchange->hold();
    }
    if (hold.count() == 0) return stop_request(c);
    c.stop_at = steady_now() + hold;
  }

  // What a stop sets off must not run under the mutex: the worker may be waiting for it.
  static void stop_request(Connection& c) {
    c.stop_at = TimePoint::max();
    std::stop_source source(std::nostopstate);
    {
      const std::lock_guard lock(c.exchange_mutex);
      if (c.exchange != nullptr) source = c.exchange->stop_source();
    }
    source.request_stop();
  }

  // Takes in what has arrived. `at_end`: the client will send no more, and there will be no other
  // event.
  void read(Connection& c, bool at_end) {
    if (c.has_out()) {
      if (!c.flush()) return close(c);
      if (c.has_out()) return;
      if (c.close_after_out) return linger(c);
    }
    while (true) {
      const ssize_t n = ::recv(c.fd, scratch.data(), scratch.size(), MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (is_over(n)) return close(c);
      std::string_view bytes(scratch.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
      if (!c.in.empty()) {
        c.in.append(bytes);
        bytes = c.in;
      }
      switch (bytes.empty() ? Next::read_on : consume(c, bytes)) {
        case Next::read_on:
          break;
        case Next::leave:
          return;
        case Next::worker_has_it:
          if (at_end) client_left(c);
          return;
      }
      // Less than there was room for: the rest is a new event, unless this was the last one.
      if (n < static_cast<ssize_t>(scratch.size()) && (n < 0 || !at_end)) return;
    }
  }

  enum class Next {
    read_on,
    leave,  ///< it is closed, lingers, or waits until the client takes what it was sent
    worker_has_it,
  };

  // Goes through `bytes`, all that is there of `c`, and keeps what is left of them.
  Next consume(Connection& c, std::string_view bytes) {
    while (!bytes.empty()) {
      if (c.skip > 0) {
        const std::size_t n =
            static_cast<std::size_t>(std::min<std::uint64_t>(c.skip, bytes.size()));
        c.skip -= n;
        bytes.remove_prefix(n);
        continue;
      }
      if (c.scanned == 0 && bytes.starts_with("\r\n")) {  // RFC 9112, 2.2
        bytes.remove_prefix(2);
        continue;
      }
      const std::size_t end = find_head_end(bytes, c.scanned);
      if (end == 0 && bytes.size() <= HeadLimits::max_bytes) break;
      const std::string_view text = bytes.substr(0, end);
      bytes.remove_prefix(end);
      c.scanned = 0;
      const Next next = receive(c, text, bytes);
      if (next != Next::read_on) return next;
    }
    c.keep(bytes);
    const bool begun = !bytes.empty() || c.skip > 0;
    if (begun != c.head_begun || !begun) {
      c.head_begun = begun;
      c.deadline = steady_now() + (begun ? options.head_timeout : options.idle_timeout);
    }
    return Next::read_on;
  }

  // One head. `rest` is what came after it; it is kept where consume() is not to go on.
  Next receive(Connection& c, std::string_view text, std::string_view rest) {
    clear_reply();
    if (text.empty() || text.size() > HeadLimits::max_bytes) {
      return refuse_head(c, rest,
                         Error{.kind = ErrorKind::headers_too_large,
                               .message = "The header fields are longer than 32 KiB altogether."});
    }
    if (Result<Done> parsed = parse_head(text, head); !parsed)
      return refuse_head(c, rest, parsed.error());
    std::unique_ptr<Task> task = application.receive(head, reply);
    if (task != nullptr) {
      if (dispatch(c, text, rest, std::move(task))) return Next::worker_has_it;
      clear_reply();
      application.refuse(
          &head, Error{.kind = ErrorKind::overloaded, .message = "Every thread is busy."}, reply);
    }
    bool stays = head.keep_alive && !draining.load();
    if (head.has_body()) {
      stays = stays && !head.chunked && !head.expects_continue &&
              *head.content_length <= options.max_skipped_body;
      if (stays) c.skip = *head.content_length;
    }
    return answer(c, rest, stays);
  }

  void clear_reply() {
    reply.status = 200;
    reply.fields.clear();
    reply.body = {};
  }

  // Where the next request begins, if there is one, cannot be told.
  Next refuse_head(Connection& c, std::string_view rest, const Error& error) {
    application.refuse(nullptr, error, reply);
    head.minor_version = 1;
    return answer(c, rest, false);
  }

  bool dispatch(Connection& c, std::string_view text, std::string_view rest,
                std::unique_ptr<Task> task) {
    auto exchange =
        std::make_unique<WorkerExchange>(c, text, std::move(task), draining, options.body_grace);
    {
      const std::lock_guard lock(c.exchange_mutex);
      c.exchange = std::move(exchange);
    }
    std::string before;
    before.assign(rest);
    before.swap(c.in);  // `rest` may be a part of it
    c.client_left = false;
    c.stop_at = TimePoint::max();
    c.state = State::busy;
    busy.fetch_add(1);
    const bool taken = workers.submit([this, &c] {
      serve(c);
      busy.fetch_sub(1);
    });
    if (taken) return true;
    busy.fetch_sub(1);
    c.state = State::reading;
    c.in.swap(before);
    const std::lock_guard lock(c.exchange_mutex);
    c.exchange.reset();
    return false;
  }

  // Sends `reply`.
  Next answer(Connection& c, std::string_view rest, bool stays) {
    out.clear();
    append_status_line(out, reply.status);
    append_date(out, std::time(nullptr));
    out.append(reply.fields);
    if (!stays) {
      append_field(out, "Connection", "close");
    } else if (head.minor_version == 0) {
      append_field(out, "Connection", "keep-alive");
    }
    out.append("\r\n");
    c.close_after_out = !stays;
    std::array<iovec, 2> parts = {
        iovec{out.data(), out.size()},
        iovec{const_cast<char*>(reply.body.bytes.data()), reply.body.bytes.size()}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t sent = ::sendmsg(c.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      close(c);
      return Next::leave;
    }
    const auto n = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
    if (n == out.size() + reply.body.bytes.size()) {
      if (stays) return Next::read_on;
      linger(c);
      return Next::leave;
    }
    c.out_head = out.substr(std::min(n, out.size()));
    c.out_body = reply.body;
    c.out_body.bytes.remove_prefix(n - std::min(n, out.size()));
    c.keep(rest);
    c.head_begun = true;  // it has as long to take this as to send a head
    c.deadline = steady_now() + options.head_timeout;
    return Next::leave;
  }

  // The answer is out and the connection is to end. Closing it while the client sends would take
  // the answer from it.
  void linger(Connection& c) {
    ::shutdown(c.fd, SHUT_WR);
    c.state = State::lingering;
    c.deadline = steady_now() + options.linger_timeout;
    discard(c);
  }

  void discard(Connection& c) {
    while (true) {
      const ssize_t n = ::recv(c.fd, scratch.data(), scratch.size(), MSG_DONTWAIT);
      if (is_over(n)) return close(c);
      if (n < 0 && errno == EAGAIN) return;
    }
  }

  void sweep(TimePoint now) {
    const bool drains = draining.load();
    for (std::size_t i = connections.size(); i-- > 0;) {
      Connection& c = *connections[i];
      const State state = c.state.load();
      if (state == State::reading || state == State::lingering) {
        const bool idle = state == State::reading && !c.head_begun;
        if (now >= c.deadline.load() || (drains && idle)) expire(c);
      } else if (now >= c.stop_at) {
        stop_request(c);
      } else {
        const std::lock_guard lock(c.exchange_mutex);
        if (c.exchange != nullptr) c.exchange->tick_if_due(now);
      }
    }
  }

  void expire(Connection& c) {
    const bool half_a_head =
        c.state.load() == State::reading && c.head_begun && !c.has_out() && c.skip == 0;
    if (!half_a_head) return close(c);
    clear_reply();
    refuse_head(c, {},
                Error{.kind = ErrorKind::request_too_slow,
                      .message = "The request's head did not arrive in time."});
  }

  Options options;
  Application& application;
  Workers& workers;
  HttpEngine engine;
  int epoll_fd = -1;
  int wake_fd = -1;
  std::uint16_t port = 0;
  std::atomic<bool> draining{false};
  std::atomic<bool> finished{false};
  std::atomic<bool> stop_all{false};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::size_t> open{0};
  std::atomic<std::size_t> busy{0};

  std::mutex mutex;
  std::vector<std::unique_ptr<Connection>> newcomers;
  std::vector<Connection*> returned;

  // The loop's.
  std::vector<std::unique_ptr<Connection>> connections;
  std::array<char, 64u << 10> scratch;
  RequestHead head;
  Reply reply;
  std::string out;

  std::thread accepting;
  std::thread looping;
};

Front::Front(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Front>> Front::create(Options options, Application& application,
                                             Workers& workers) {
  auto impl = std::make_unique<Impl>(std::move(options), application, workers);
  const std::optional<std::uint16_t> port =
      impl->engine.bind(impl->options.host, impl->options.port);
  if (!port) {
    const int fault = errno;
    const bool of_the_port = fault == EADDRINUSE || fault == EACCES;
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = "cannot listen on " + impl->options.host + ":" +
                            std::to_string(impl->options.port) + ": " +
                            std::generic_category().message(fault) + "; " +
                            (of_the_port ? "choose another port, or stop what listens there"
                                         : "write an address of this machine, such as 0.0.0.0"),
                 .field = of_the_port ? "PORT" : "HOST"};
  }
  impl->port = *port;
  impl->epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  impl->wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (::epoll_ctl(impl->epoll_fd, EPOLL_CTL_ADD, impl->wake_fd, &event) != 0) {
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = "epoll: " + std::generic_category().message(errno)};
  }
  return std::unique_ptr<Front>(new Front(std::move(impl)));
}

Front::~Front() {
  drain();
  while (impl_->busy.load() > 0) {  // a worker's last word is this count
    stop_requests();
    std::this_thread::sleep_for(Milliseconds(1));
  }
  impl_->finished = true;
  impl_->wake();
  if (impl_->looping.joinable()) impl_->looping.join();
  ::close(impl_->epoll_fd);
  ::close(impl_->wake_fd);
}

void Front::start() {
  impl_->looping = std::thread([impl = impl_.get()] { impl->run(); });
  impl_->accepting = std::thread([impl = impl_.get()] { impl->engine.accept_connections(); });
}

std::uint16_t Front::port() const noexcept { return impl_->port; }

void Front::drain() {
  if (impl_->draining.exchange(true)) return;
  if (impl_->accepting.joinable()) {
    impl_->engine.stop_accepting();
    impl_->accepting.join();
  } else {
    impl_->engine.close_listener();
  }
  impl_->wake();
}

void Front::stop_requests() {
  impl_->stop_all = true;
  impl_->wake();
}

Front::Counters Front::counters() const noexcept {
  return {
      .accepted = impl_->accepted.load(), .open = impl_->open.load(), .busy = impl_->busy.load()};
}

}  // namespace falproxy::app
