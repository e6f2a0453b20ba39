// certificates.hpp: certificates made for a test, in memory.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace falproxy_test {

template <class T, auto free_function>
struct Freed {
  void operator()(T* p) const { free_function(p); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509, X509_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX, SSL_CTX_free>>;

/// A name that the C library takes for 127.0.0.1 without a file or a server, and that TLS takes for
/// no address.
inline constexpr const char* named_loopback = "127.1";

/// A certificate authority.
class Authority {
 public:
  Authority();
  /// Its own certificate in a PEM file, which lives as long as it.
  [[nodiscard]] const std::string& file() const { return file_; }
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  struct Leaf {
    std::string names = "IP:127.0.0.1,IP:::1,DNS:127.1";  ///< subjectAltName
    int valid_from_days = -1;
    int valid_to_days = 1;
    bool self_signed = false;
  };
  /// What a TLS server needs.
  [[nodiscard]] ContextPtr server_context(const Leaf& leaf) const;
  [[nodiscard]] ContextPtr server_context() const { return server_context(Leaf()); }

 private:
  KeyPtr key_;
  CertificatePtr certificate_;
  std::string file_;
};

}  // namespace falproxy_test
