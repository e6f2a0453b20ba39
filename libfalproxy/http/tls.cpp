#include "tls.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace falproxy::inline v0 {
namespace {

// A BIO over a non-blocking view of a socket. OpenSSL's own would raise SIGPIPE, and would hold a
// 16 kB read buffer for as long as a read blocks.
SocketView& view_of(BIO* bio) { return *static_cast<SocketView*>(BIO_get_data(bio)); }

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  SocketView& view = view_of(bio);
  const ssize_t n =
      ::send(view.socket, data, static_cast<std::size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n > 0) view.sent_bytes += static_cast<std::size_t>(n);
  if (n < 0 && view.passes(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  SocketView& view = view_of(bio);
  if (view.turn == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const ssize_t n = ::recv(view.socket, data, static_cast<std::size_t>(size), MSG_DONTWAIT);
  if (n > 0) view.turn -= std::min(view.turn, static_cast<std::size_t>(n));
  if (n < 0 && view.passes(errno)) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(n);
}

long bio_control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default:
      return 0;
  }
}

int store_session(SSL* ssl, SSL_SESSION* session) {
  auto* slot = static_cast<TlsSessionSlot*>(SSL_get_app_data(ssl));
  if (slot == nullptr) return 0;
  slot->store(OpenSslPtr<SSL_SESSION>(session));
  return 1;  // it is ours now
}

bool is_address(const std::string& host) {
  std::array<unsigned char, 16> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace

void TlsSessionSlot::store(OpenSslPtr<SSL_SESSION> session) {
  const std::lock_guard lock(mutex_);
  session_.swap(session);
}

OpenSslPtr<SSL_SESSION> TlsSessionSlot::load() const {
  const std::lock_guard lock(mutex_);
  if (session_ == nullptr || SSL_SESSION_is_resumable(session_.get()) == 0) return nullptr;
  SSL_SESSION_up_ref(session_.get());
  return OpenSslPtr<SSL_SESSION>(session_.get());
}

Result<std::unique_ptr<TlsContext>> TlsContext::create(const std::string& ca_file) {
  std::unique_ptr<TlsContext> tls(new TlsContext());
  tls->context_.reset(SSL_CTX_new(TLS_client_method()));
  tls->socket_method_.reset(
      BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "falproxy socket"));
  SSL_CTX* context = tls->context_.get();
  BIO_METHOD* method = tls->socket_method_.get();
  if (context == nullptr || method == nullptr)
    return Error{ErrorKind::internal, "OpenSSL cannot be set up: " + take_tls_error(nullptr)};

  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_ctrl(method, bio_control);

  const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context)
                                     : SSL_CTX_load_verify_file(context, ca_file.c_str());
  if (loaded != 1) {
    // Of a file that cannot be opened OpenSSL says "system lib".
    const int fault = ca_file.empty() || ::access(ca_file.c_str(), R_OK) == 0 ? 0 : errno;
    return Error{
        ErrorKind::invalid_settings,
        "cannot read certificates from '" + ca_file +
            "': " + (fault == 0 ? take_tls_error(nullptr) : std::generic_category().message(fault)),
        "SSL_CERT_FILE"};
  }
  ERR_clear_error();

  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, store_session);
  constexpr std::array<unsigned char, 9> protocols{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(context, protocols.data(), protocols.size());
  return tls;
}

OpenSslPtr<SSL> TlsContext::begin(const std::string& host, SocketView& view,
                                  TlsSessionSlot& slot) const {
  OpenSslPtr<SSL> ssl(SSL_new(context_.get()));
  BIO* bio = ssl == nullptr ? nullptr : BIO_new(socket_method_.get());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &view);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);

  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
  X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_address(host)) {
    if (X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) != 1) return nullptr;
  } else {
    if (SSL_set1_host(ssl.get(), host.c_str()) != 1) return nullptr;
    // SSL_set_tlsext_host_name(), without the cast in its macro.
    char* name = const_cast<char*>(host.c_str());
    if (SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) != 1)
      return nullptr;
  }
  SSL_set_app_data(ssl.get(), &slot);
  if (const OpenSslPtr<SSL_SESSION> session = slot.load())
    SSL_set_session(ssl.get(), session.get());
  SSL_set_connect_state(ssl.get());
  return ssl;
}

std::string take_tls_error(const SSL* ssl) {
  const long verified = ssl == nullptr ? X509_V_OK : SSL_get_verify_result(ssl);
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (verified != X509_V_OK) return X509_verify_cert_error_string(verified);
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "the connection was closed" : reason;
}

}  // namespace falproxy::inline v0
