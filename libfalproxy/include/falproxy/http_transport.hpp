// http_transport.hpp: HTTP/1.1 over sockets and OpenSSL as a Transport, with a pool of warm
// connections per host.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>

#include "falproxy/log.hpp"
#include "falproxy/print.hpp"
#include "falproxy/proxies.hpp"
#include "falproxy/socket_waiter.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0 {

/// Thread-safe; any number of calls may block in send() at once, and one that waits holds at most a
/// buffer of 4 KiB.
///
/// Connections are kept open and used again, the last one first. A GET that meets a connection
/// which the server had closed meanwhile is sent again over a new one, unless a byte of an answer
/// came. Anything else is only sent again if not one byte of it left this machine. Redirects are
/// not followed, no compressed answer is asked for.
///
/// Through a proxy (Options::proxies) https goes in a tunnel, in which the host's own certificate
/// is checked as ever, and http in requests that the proxy passes on. If the proxy cannot be
/// reached or refuses, send() fails as `unreachable` with nothing sent, and the message names its
/// setting.
///
/// Certificates and host names are checked against the system's certificates, or those in the file
/// that SSL_CERT_FILE names, read once and shared by all connections; later handshakes with a host
/// take up its TLS session.
class HttpTransport final : public Transport {
 public:
  /// As they are when the transport is made; nothing is read again.
  struct Options {
    /// For the name, the connection and TLS together.
    std::chrono::milliseconds connect_timeout{5000};
    std::size_t max_idle_per_host = 256;  ///< connections kept open without a request
    std::chrono::seconds max_idle{30};    ///< an older idle connection is closed
    /// What is not a GET goes only over a connection idle for less.
    std::chrono::seconds max_submit_idle{4};
    std::string ca_file = {};  ///< PEM; empty: SSL_CERT_FILE, else the system's
    /// Outlives the transport; null: a PollWaiter.
    SocketWaiter* waiter = nullptr;
    Proxies proxies = {};  ///< Proxies::read() takes them from the environment; by default none
    /// Told what this machine lacks: descriptors, memory, answers of its name server. At most one
    /// line a second.
    LogLine log = {};
  };
  /// Errors: invalid_settings if the named certificates cannot be read.
  [[nodiscard]] static Result<std::unique_ptr<HttpTransport>> create(Options options);
  /// No call of send() may be running.
  ~HttpTransport() override;

  [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                                  std::stop_token stop,
                                                  ResponseSink& sink) override;

  /// Thread-safe. Reads the system's certificates now, which otherwise the first https request
  /// does: it takes tens of milliseconds.
  void read_certificates();

  /// For metrics.
  struct Counters {
    /// Since the start; many more than hosts: keep-alive does not hold.
    std::uint64_t connections_opened = 0;
    std::uint64_t requests = 0;  ///< calls of send()
    std::size_t idle = 0;        ///< now
    bool operator==(const Counters&) const = default;
  };
  /// Thread-safe; closes connections that were idle too long on the way.
  [[nodiscard]] Counters counters() const;

 private:
  struct Impl;
  explicit HttpTransport(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const HttpTransport::Counters& counters);

}  // namespace falproxy::inline v0
