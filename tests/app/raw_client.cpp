#include "raw_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

namespace falproxy::test {

RawClient::RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval limit{.tv_sec = 60, .tv_usec = 0};
  const int on = 1;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr* const any = reinterpret_cast<sockaddr*>(&address);
  if (::connect(fd_, any, sizeof address) != 0) close();
}

RawClient::~RawClient() { close(); }

void RawClient::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void RawClient::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

void RawClient::finish_sending() { ::shutdown(fd_, SHUT_WR); }

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool RawClient::fill() {
  std::array<char, 16384> bytes;
  const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
  if (n > 0) buffer_.append(bytes.data(), static_cast<std::size_t>(n));
  return n > 0;
}

bool RawClient::fill_to(std::size_t size) {
  while (buffer_.size() < size) {
    if (!fill()) return false;
  }
  return true;
}

std::size_t RawClient::find(std::string_view text) {
  std::size_t at = std::string::npos;
  while ((at = buffer_.find(text)) == std::string::npos && fill()) {
  }
  return at;
}

bool RawClient::at_end() {
  errno = 0;
  return buffer_.empty() && !fill() && errno != EAGAIN;
}

std::string RawClient::rest() {
  while (fill()) {
  }
  return std::exchange(buffer_, {});
}

bool RawClient::receive_chunks(std::string& body) {
  while (true) {
    const std::size_t line = find("\r\n");
    std::size_t size = 0;
    if (line == std::string::npos) return false;
    std::from_chars(buffer_.data(), buffer_.data() + line, size, 16);
    if (!fill_to(line + 2 + size + 2)) return false;
    body.append(buffer_, line + 2, size);
    buffer_.erase(0, line + 2 + size + 2);
    if (size == 0) return true;
  }
}

Received RawClient::receive(bool has_body) {
  Received got;
  const std::size_t end = find("\r\n\r\n");
  if (end == std::string::npos) return got;
  const std::string head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  int status = 0;
  std::from_chars(head.data() + 9, head.data() + 12, status);
  if (status == 100) return receive(has_body);
  std::size_t line = head.find("\r\n");
  got.reason = head.substr(13, line - 13);
  while (line + 2 < head.size()) {
    const std::size_t next = head.find("\r\n", line + 2);
    const std::size_t colon = head.find(": ", line + 2);
    got.headers.add(head.substr(line + 2, colon - line - 2),
                    head.substr(colon + 2, next - colon - 2));
    line = next;
  }
  if (!has_body) {
  } else if (got.header("transfer-encoding") == "chunked") {
    if (!receive_chunks(got.body)) return got;
  } else if (const std::string length = got.header("content-length"); !length.empty()) {
    std::size_t size = 0;
    std::from_chars(length.data(), length.data() + length.size(), size);
    if (!fill_to(size)) return got;
    got.body = buffer_.substr(0, size);
    buffer_.erase(0, size);
  } else if (status != 204 && status != 304) {
    got.body = rest();
  }
  got.status = status;
  return got;
}

std::string post(std::string_view path, std::string_view body, std::string_view more_fields) {
  std::string text =
      "POST " + std::string(path) + " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";
  text.append(more_fields)
      .append("Content-Length: ")
      .append(std::to_string(body.size()))
      .append("\r\n\r\n")
      .append(body);
  return text;
}

std::string get(std::string_view path, std::string_view more_fields) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(more_fields) +
         "\r\n";
}

}  // namespace falproxy::test
