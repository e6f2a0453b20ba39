#include "connection/event_loop.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <stop_token>
#include <thread>
#include <utility>

#include "connection/http_text.hpp"
#include "connection/worker_exchange.hpp"

namespace falproxy::app {
namespace {

// How often deadlines are looked at.
constexpr Milliseconds sweep_interval{250};

TimePoint steady_now() noexcept { return std::chrono::steady_clock::now(); }

bool is_over(ssize_t received) noexcept {
  return received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace

EventLoop::EventLoop(const Front::Options& options, Application& application, Workers& workers,
                     Fibers& fibers, HttpEngine& engine)
    : options_(options),
      application_(application),
      workers_(workers),
      fibers_(fibers),
      engine_(engine) {}

EventLoop::~EventLoop() {
  for (const int fd : {epoll_fd_, wake_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

bool EventLoop::open() {
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return false;
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return false;
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  return ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) == 0;
}

// ---- any thread

void EventLoop::adopt(int fd) {
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  accepted_.fetch_add(1, std::memory_order_relaxed);
  if (open_.load(std::memory_order_relaxed) >= options_.max_connections) return turn_away(fd);
  auto connection = std::make_unique<Connection>(fd);
  Connection* const c = connection.get();
  c->deadline = steady_now() + options_.head_timeout;
  open_.fetch_add(1, std::memory_order_relaxed);
  // Edge-triggered, once for all: nothing needs to be changed when a connection goes to a worker
  // and comes back.
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = c}};
  // Both under the lock: the loop closes what it has, and hears of nothing that it has not.
  const std::lock_guard lock(mutex_);
  newcomers_.push_back(std::move(connection));
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
}

void EventLoop::turn_away(int fd) {
  Reply refusal;
  application_.refuse(
      nullptr, Error{.kind = ErrorKind::overloaded, .message = "There are too many connections."},
      refusal);
  std::string text;
  append_status_line(text, refusal.status);
  text.append(refusal.fields).append("Connection: close\r\n\r\n").append(refusal.body.bytes);
  static_cast<void>(::send(fd, text.data(), text.size(), MSG_NOSIGNAL));
  ::shutdown(fd, SHUT_WR);
  ::close(fd);
}

void EventLoop::drain() {
  draining_ = true;
  wake();
}

void EventLoop::stop_requests() {
  stop_all_ = true;
  wake();
}

void EventLoop::finish() {
  while (busy_.load() > 0) {  // a worker's last word is this count
    cut_off_ = true;
    stop_requests();
    std::this_thread::sleep_for(Milliseconds(1));
  }
  finished_ = true;
  wake();
}

Front::Counters EventLoop::counters() const noexcept {
  return {.accepted = accepted_.load(), .open = open_.load(), .busy = busy_.load()};
}

void EventLoop::wake() const noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_fd_, &one, sizeof one));
}

// ---- a worker

void EventLoop::serve(Connection& c) {
  const bool stays = engine_.serve(*c.exchange);
  const RequestHead& served = c.exchange->head();
  // httplib reads the bodies of POST only.
  const std::uint64_t skip = served.method == "POST" ? 0 : served.content_length.value_or(0);
  const bool unread = c.exchange->stream().reads_refused() || skip > options_.max_skipped_body ||
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
  if (!c.in.empty() || skip > 0 || draining_.load()) return give_back(c, Wish::resume);
  c.head_begun = false;
  c.deadline = steady_now() + options_.idle_timeout;
  rest(c);
}

// From here on the connection is the loop's again; where something came meanwhile, it goes
// through its queue.
void EventLoop::rest(Connection& c) {
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

void EventLoop::give_back(Connection& c, Wish wish) {
  c.wish = wish;
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = returned_.empty();
    returned_.push_back(&c);
  }
  if (first) wake();
}

// ---- the loop

void EventLoop::run() {
  std::array<epoll_event, 128> events;
  TimePoint next_sweep = steady_now() + sweep_interval;
  while (!finished_.load()) {
    const int timeout = connections_.empty() ? -1 : static_cast<int>(sweep_interval.count());
    const int n = ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), timeout);
    take_newcomers();
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr == nullptr) {
        std::uint64_t ignored = 0;
        static_cast<void>(!::read(wake_fd_, &ignored, sizeof ignored));
      } else {
        happened(*static_cast<Connection*>(event.data.ptr), event.events);
      }
    }
    take_returned();
    if (stop_all_.exchange(false)) {
      for (const std::unique_ptr<Connection>& c : connections_) {
        stop_request(*c);
        const State state = c->state.load();
        const bool busy = state == State::busy || state == State::busy_more;
        if (cut_off_.load() && busy) ::shutdown(c->fd, SHUT_RDWR);
      }
    }
    const TimePoint now = steady_now();
    if (now >= next_sweep) {
      sweep(now);
      next_sweep = now + sweep_interval;
    }
  }
}

void EventLoop::take_newcomers() {
  const std::lock_guard lock(mutex_);
  for (std::unique_ptr<Connection>& connection : newcomers_) {
    connection->index = connections_.size();
    connections_.push_back(std::move(connection));
  }
  newcomers_.clear();
}

void EventLoop::take_returned() {
  std::vector<Connection*> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(returned_);
  }
  for (Connection* c : taken) {
    const bool again = c->wish == Wish::resume && !draining_.load();
    if (c->wish == Wish::close || (!again && c->in.empty())) {
      close(*c);
    } else if (c->wish == Wish::linger) {
      linger(*c);
    } else {
      c->state = State::reading;
      c->head_begun = false;
      c->deadline = steady_now() + options_.idle_timeout;
      read(*c, c->client_left.load());
    }
  }
}

void EventLoop::happened(Connection& c, std::uint32_t events) {
  const bool at_end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  while (true) {
    State state = c.state.load();
    if (state == State::reading) return read(c, at_end);
    if (state == State::lingering) return discard(c);
    if (at_end) client_left(c);
    if ((events & EPOLLOUT) != 0) {
      const std::lock_guard lock(c.exchange_mutex);
      if (c.exchange != nullptr) c.exchange->stream().flush();
    }
    if (state == State::busy_more || c.state.compare_exchange_strong(state, State::busy_more))
      return;
  }
}

void EventLoop::client_left(Connection& c) {
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
void EventLoop::stop_request(Connection& c) {
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
void EventLoop::read(Connection& c, bool at_end) {
  if (c.has_out()) {
    if (!c.flush()) return close(c);
    if (c.has_out()) return;
    if (c.close_after_out) return linger(c);
  }
  while (true) {
    const ssize_t n = ::recv(c.fd, scratch_.data(), scratch_.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (is_over(n)) return close(c);
    std::string_view bytes(scratch_.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
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
    if (n < static_cast<ssize_t>(scratch_.size()) && (n < 0 || !at_end)) return;
  }
}

// Goes through `bytes`, all that is there of `c`, and keeps what is left of them.
EventLoop::Next EventLoop::consume(Connection& c, std::string_view bytes) {
  while (!bytes.empty()) {
    if (c.skip > 0) {
      const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(c.skip, bytes.size()));
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
    c.deadline = steady_now() + (begun ? options_.head_timeout : options_.idle_timeout);
  }
  return Next::read_on;
}

// One head. `rest` is what came after it; it is kept where consume() is not to go on.
EventLoop::Next EventLoop::receive(Connection& c, std::string_view text, std::string_view rest) {
  clear_reply();
  if (text.empty() || text.size() > HeadLimits::max_bytes) {
    return refuse_head(c, rest,
                       Error{.kind = ErrorKind::headers_too_large,
                             .message = "The header fields are longer than 32 KiB altogether."});
  }
  if (Result<Done> parsed = parse_head(text, head_); !parsed)
    return refuse_head(c, rest, parsed.error());
  std::unique_ptr<Task> task = application_.receive(head_, reply_);
  if (task != nullptr) {
    if (dispatch(c, text, rest, std::move(task))) return Next::worker_has_it;
    clear_reply();
    application_.refuse(
        &head_, Error{.kind = ErrorKind::overloaded, .message = "Every thread is busy."}, reply_);
  }
  bool stays = head_.keep_alive && !draining_.load();
  if (head_.has_body()) {
    stays = stays && !head_.chunked && !head_.expects_continue &&
            *head_.content_length <= options_.max_skipped_body;
    if (stays) c.skip = *head_.content_length;
  }
  return answer(c, rest, stays);
}

void EventLoop::clear_reply() {
  reply_.status = 200;
  reply_.fields.clear();
  reply_.body = {};
}

// Where the next request begins, if there is one, cannot be told.
EventLoop::Next EventLoop::refuse_head(Connection& c, std::string_view rest, const Error& error) {
  application_.refuse(nullptr, error, reply_);
  head_.minor_version = 1;
  return answer(c, rest, false);
}

bool EventLoop::dispatch(Connection& c, std::string_view text, std::string_view rest,
                         std::unique_ptr<Task> task) {
  const bool mostly_waits = task->mostly_waits();
  auto exchange =
      std::make_unique<WorkerExchange>(c, text, std::move(task), draining_, options_.body_grace);
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
  busy_.fetch_add(1);
  const auto run = [this, &c] {
    serve(c);
    busy_.fetch_sub(1);
  };
  if ((mostly_waits && fibers_.submit(run)) || workers_.submit(run)) return true;
  busy_.fetch_sub(1);
  c.state = State::reading;
  c.in.swap(before);
  const std::lock_guard lock(c.exchange_mutex);
  c.exchange.reset();
  return false;
}

// Sends `reply`.
EventLoop::Next EventLoop::answer(Connection& c, std::string_view rest, bool stays) {
  out_.clear();
  append_status_line(out_, reply_.status);
  append_date(out_, std::time(nullptr));
  out_.append(reply_.fields);
  if (!stays) {
    append_field(out_, "Connection", "close");
  } else if (head_.minor_version == 0) {
    append_field(out_, "Connection", "keep-alive");
  }
  out_.append("\r\n");
  c.close_after_out = !stays;
  if (!c.send(out_, reply_.body)) {
    close(c);
    return Next::leave;
  }
  if (c.has_out()) {
    c.keep(rest);
    c.head_begun = true;  // it has as long to take this as to send a head
    c.deadline = steady_now() + options_.head_timeout;
    return Next::leave;
  }
  if (stays) return Next::read_on;
  linger(c);
  return Next::leave;
}

// The answer is out and the connection is to end. Closing it while the client sends would take
// the answer from it.
void EventLoop::linger(Connection& c) {
  ::shutdown(c.fd, SHUT_WR);
  c.state = State::lingering;
  c.deadline = steady_now() + options_.linger_timeout;
  discard(c);
}

void EventLoop::discard(Connection& c) {
  while (true) {
    const ssize_t n = ::recv(c.fd, scratch_.data(), scratch_.size(), MSG_DONTWAIT);
    if (is_over(n)) return close(c);
    if (n < 0 && errno == EAGAIN) return;
  }
}

void EventLoop::close(Connection& c) {
  open_.fetch_sub(1, std::memory_order_relaxed);
  const std::size_t index = c.index;
  if (index + 1 < connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->index = index;
  }
  connections_.pop_back();
}

void EventLoop::sweep(TimePoint now) {
  const bool drains = draining_.load();
  for (std::size_t i = connections_.size(); i-- > 0;) {
    Connection& c = *connections_[i];
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

void EventLoop::expire(Connection& c) {
  const bool half_a_head =
      c.state.load() == State::reading && c.head_begun && !c.has_out() && c.skip == 0;
  if (!half_a_head) return close(c);
  clear_reply();
  refuse_head(c, {},
              Error{.kind = ErrorKind::request_too_slow,
                    .message = "The request's head did not arrive in time."});
}

}  // namespace falproxy::app
