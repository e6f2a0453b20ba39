#include "connection/exchange_stream.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "fibers.hpp"

namespace falproxy::app {
namespace {

constexpr std::size_t small_read = 4u << 10;
// Of a client that takes less than is sent to it early, a preview is left out from here on.
constexpr std::size_t most_kept = 1u << 20;

// Bytes sent without blocking; -1: the connection is over.
ssize_t send_some(int fd, std::string_view bytes) {
  while (true) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return -1;
  }
}

}  // namespace

ExchangeStream::ExchangeStream(Connection& connection, std::string head, bool chunked,
                               Milliseconds grace)
    : connection_(connection),
      head_(std::move(head)),
      chunks_(chunked ? std::optional(ChunkFraming()) : std::nullopt),
      read_pace_(grace),
      write_pace_(grace) {}

void ExchangeStream::release() {
  connection_.in.erase(0, std::exchange(in_read_, 0));
  if (connection_.in.empty()) std::string().swap(connection_.in);
}

ssize_t ExchangeStream::read(char* to, std::size_t size) {
  if (refuse_reads_ || read_fault_ != Fault::none) return -1;
  if (head_read_ < head_.size()) {
    const std::size_t n = head_.copy(to, size, head_read_);
    head_read_ += n;
    return static_cast<ssize_t>(n);
  }
  const ssize_t n = read_body(to, size);
  if (n > 0 && chunks_ && !chunks_->accept({to, static_cast<std::size_t>(n)})) {
    read_fault_ = Fault::broken;
    return -1;
  }
  return n;
}

ssize_t ExchangeStream::read_body(char* to, std::size_t size) {
  std::string& in = connection_.in;
  if (in_read_ == in.size()) {
    in.clear();
    in_read_ = 0;
    if (size >= small_read) return receive(to, size);
    // httplib reads some things byte by byte.
    in.resize(small_read);
    const ssize_t n = receive(in.data(), in.size());
    in.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n <= 0) return n;
  }
  const std::size_t n = in.copy(to, size, in_read_);
  in_read_ += n;
  return static_cast<ssize_t>(n);
}

ssize_t ExchangeStream::receive(char* to, std::size_t size) {
  while (true) {
    const ssize_t n = ::recv(connection_.fd, to, size, MSG_DONTWAIT);
    if (n > 0) read_pace_.moved(static_cast<std::uint64_t>(n));
    if (n >= 0) {
      if (n == 0) read_fault_ = Fault::ended;
      return n;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      read_fault_ = Fault::gone;
      return -1;
    }
    if (!wait(POLLIN, read_pace_, read_fault_)) return -1;
  }
}

bool ExchangeStream::wait(short events, Pace& pace, Fault& fault) {
  const Milliseconds left = pace.left();
  const TimePoint before = std::chrono::steady_clock::now();
  const bool ready = left.count() > 0 && FiberWaiter().wait(connection_.fd, events, before + left);
  pace.waited(std::chrono::steady_clock::now() - before);
  if (!ready) fault = Fault::slow;
  return ready;
}

ssize_t ExchangeStream::write(const char* data, std::size_t size) {
  std::string kept;
  {
    const std::lock_guard lock(early_mutex_);
    if (std::exchange(leave_out_next_write_, false)) return static_cast<ssize_t>(size);
    writing_ = true;
    kept = kept_.substr(kept_sent_);
    forget_kept();
  }
  const bool sent = send_all(kept) && send_all({data, size});
  const std::lock_guard lock(early_mutex_);
  writing_ = false;
  return sent ? static_cast<ssize_t>(size) : -1;
}

bool ExchangeStream::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    if (write_fault_ != Fault::none) return false;
    const ssize_t sent = send_some(connection_.fd, bytes);
    if (sent < 0) {
      write_fault_ = Fault::gone;
      return false;
    }
    write_pace_.moved(static_cast<std::uint64_t>(sent));
    bytes.remove_prefix(static_cast<std::size_t>(sent));
    if (!bytes.empty() && !wait(POLLOUT, write_pace_, write_fault_)) return false;
  }
  return true;
}

void ExchangeStream::forget_kept() {
  kept_ = std::string();
  kept_sent_ = 0;
}

// These two are called under the mutex. Where the connection is over, write() will find out.
void ExchangeStream::send_kept() {
  if (writing_ || kept_.empty()) return;
  const ssize_t sent = send_some(connection_.fd, std::string_view(kept_).substr(kept_sent_));
  kept_sent_ += static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
  if (sent < 0 || kept_sent_ == kept_.size()) forget_kept();
}

void ExchangeStream::send_or_keep(std::string_view bytes) {
  const ssize_t sent = writing_ || !kept_.empty() ? 0 : send_some(connection_.fd, bytes);
  if (sent >= 0) kept_.append(bytes.substr(static_cast<std::size_t>(sent)));
}

void ExchangeStream::write_early(std::string_view bytes) {
  const std::lock_guard lock(early_mutex_);
  send_kept();
  if (kept_.size() - kept_sent_ <= most_kept) send_or_keep(bytes);
}

void ExchangeStream::flush() {
  const std::lock_guard lock(early_mutex_);
  send_kept();
}

void ExchangeStream::interject(std::string_view bytes) {
  const std::lock_guard lock(early_mutex_);
  send_kept();
  if (!writing_ && kept_.empty()) send_or_keep(bytes);
}

void ExchangeStream::begin_early(std::string_view head) {
  if (early_) return;
  const std::lock_guard lock(early_mutex_);
  if (early_.exchange(true)) return;
  leave_out_next_write_ = true;
  send_or_keep(head);
}

}  // namespace falproxy::app
