#include "sim_wire.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <string_view>

namespace falsim {
namespace {

using falproxy::serving::FiberClock;
using falproxy::serving::Reactor;

std::string_view text_of(const iovec& part) {
  return {static_cast<const char*>(part.iov_base), part.iov_len};
}

}  // namespace

SimWire::SimWire(int socket, ssl_ctx_st* tls)
    : Wire(socket), ssl_(tls == nullptr ? nullptr : SSL_new(tls), SSL_free) {
  if (ssl_ == nullptr) return;
  SSL_set_fd(ssl_.get(), socket);
  SSL_set_accept_state(ssl_.get());
}
SimWire::~SimWire() = default;

std::ptrdiff_t SimWire::receive(std::span<char> to) {
  if (dropped_) return broken;
  if (ssl_ == nullptr) return Wire::receive(to);
  std::ptrdiff_t total = 0;
  while (!to.empty()) {
    ERR_clear_error();
    const int count = SSL_read(ssl_.get(), to.data(), static_cast<int>(to.size()));
    if (count <= 0) {
      if (total > 0) break;
      const int error = SSL_get_error(ssl_.get(), count);
      return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? nothing_now : 0;
    }
    total += count;
    to = to.subspan(static_cast<std::size_t>(count));
  }
  return total;
}

std::ptrdiff_t SimWire::send_plainly(std::span<const iovec> parts) {
  if (ssl_ == nullptr) return Wire::send(parts);
  std::ptrdiff_t total = 0;
  for (const iovec& part : parts) {
    for (std::string_view left = text_of(part); !left.empty();) {
      ERR_clear_error();
      const int count = SSL_write(ssl_.get(), left.data(), static_cast<int>(left.size()));
      if (count <= 0) {
        const int error = SSL_get_error(ssl_.get(), count);
        const bool later = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
        return later ? total : broken;
      }
      total += count;
      left.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  return total;
}

std::ptrdiff_t SimWire::send(std::span<const iovec> parts) {
  if (dropped_) return broken;
  if (ignores_expect_ && text_of(parts.front()).starts_with("HTTP/1.1 100 "))
    return static_cast<std::ptrdiff_t>(parts.front().iov_len);
  if (!Reactor::on_fiber() || (drip_bytes_ == 0 && !cut_after_)) return send_plainly(parts);
  std::ptrdiff_t total = 0;
  for (const iovec& part : parts) {
    for (std::string_view left = text_of(part); !left.empty();) {
      const std::ptrdiff_t count = send_some(left);
      if (count <= 0) return count < 0 ? count : total;
      total += count;
      left.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  return total;
}

std::ptrdiff_t SimWire::send_some(std::string_view bytes) {
  if (head_bytes_ == 0) head_bytes_ = std::min(bytes.find("\r\n\r\n") + 4, bytes.size());
  if (cut_after_) {
    bytes = bytes.substr(0, head_bytes_ + *cut_after_ - sent_);
    if (bytes.empty()) return drop(true), broken;
  }
  if (drip_bytes_ > 0) {
    if (sent_ > 0) FiberClock().sleep_until(FiberClock().now() + drip_tick_, {});
    bytes = bytes.substr(0, drip_bytes_);
  }
  const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  const std::ptrdiff_t count = send_plainly({&part, 1});
  if (count > 0) sent_ += static_cast<std::size_t>(count);
  return count;
}

void SimWire::finish() {
  if (dropped_) return;
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get()) == 1) SSL_shutdown(ssl_.get());
  Wire::finish();
}

void SimWire::begin_answer(const falproxy::testing::DeskReply& head) {
  drip_bytes_ = head.drip_bytes;
  drip_tick_ = head.drip_tick;
  cut_after_ = head.cut_after;
  head_bytes_ = 0;
  sent_ = 0;
}

void SimWire::drop(bool reset) {
  dropped_ = true;
  const linger at_once{1, 0};
  if (reset) ::setsockopt(socket(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace falsim
