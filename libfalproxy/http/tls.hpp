// tls.hpp: the one TLS context that all connections to upstream hosts share.
#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <memory>
#include <mutex>
#include <string>

#include "falproxy/result.hpp"
#include "socket_view.hpp"

namespace falproxy::inline v0 {

struct OpenSslDeleter {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(SSL_SESSION* p) const { SSL_SESSION_free(p); }
  void operator()(BIO_METHOD* p) const { BIO_meth_free(p); }
};
template <class T>
using OpenSslPtr = std::unique_ptr<T, OpenSslDeleter>;

/// What a host said so far that makes the next handshake with it cheaper: its last session.
/// Thread-safe.
class TlsSessionSlot {
 public:
  void store(OpenSslPtr<SSL_SESSION> session);
  /// For one connection; the slot keeps its own.
  [[nodiscard]] OpenSslPtr<SSL_SESSION> load() const;

 private:
  mutable std::mutex mutex_;
  OpenSslPtr<SSL_SESSION> session_;
};

/// Thread-safe once made. It outlives every session begun with it.
class TlsContext {
 public:
  /// `ca_file`: PEM certificates to trust; empty: the system's. TLS 1.2 or newer, certificates are
  /// always checked. Errors: invalid_settings where the file cannot be read or holds no
  /// certificate.
  [[nodiscard]] static Result<std::unique_ptr<TlsContext>> create(const std::string& ca_file);

  /// A session that speaks over the socket of `view`, which outlives it, and accepts only a
  /// certificate for `host` (a name or an address). Reads and writes do not block and raise no
  /// SIGPIPE. `slot` gets sessions that the host offers, and gives the last one. Null if memory is
  /// short.
  [[nodiscard]] OpenSslPtr<SSL> begin(const std::string& host, SocketView& view,
                                      TlsSessionSlot& slot) const;

 private:
  TlsContext() = default;
  OpenSslPtr<SSL_CTX> context_;
  OpenSslPtr<BIO_METHOD> socket_method_;
};

/// Why the last operation of OpenSSL on this thread failed, in words; empties OpenSSL's queue of
/// errors.
[[nodiscard]] std::string take_tls_error(const SSL* ssl);

}  // namespace falproxy::inline v0
