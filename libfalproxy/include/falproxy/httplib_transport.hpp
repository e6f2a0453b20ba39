// httplib_transport.hpp: HTTP/1.1 over sockets and OpenSSL as a Transport, with a pool of warm connections per host.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "falproxy/transport.hpp"

namespace falproxy {

/// Thread-safe. Certificates and host names are checked against the system's store, or that of SSL_CERT_FILE, which is
/// read once and shared by all connections. Redirects are never followed.
class HttplibTransport final : public Transport {
 public:
  struct Options {
    std::chrono::milliseconds connect_timeout{5000};
    std::size_t max_idle_per_host = 256;    ///< connections kept open without a request
    std::chrono::seconds max_idle{30};      ///< an older idle connection is closed
    std::chrono::seconds max_submit_idle{4};  ///< a POST or PUT goes only over a connection idle for less
    std::string ca_file = {};               ///< PEM; empty: SSL_CERT_FILE, else the system's
  };
  /// Errors: invalid_settings where the certificates cannot be read.
  [[nodiscard]] static Result<std::unique_ptr<HttplibTransport>> create(Options options);
  ~HttplibTransport() override;

  [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline, std::stop_token stop,
                                                  ResponseSink& sink) override;

  struct Counters {
    std::uint64_t connections_opened = 0;
    std::uint64_t requests = 0;
    std::size_t idle = 0;  ///< now
  };
  [[nodiscard]] Counters counters() const;

 private:
  struct Impl;
  explicit HttplibTransport(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy
