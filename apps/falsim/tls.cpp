#include "tls.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <utility>

namespace falsim {
namespace {

template <auto release>
struct Release {
  template <class T>
  void operator()(T* object) const noexcept {
    release(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Release<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Release<X509_EXTENSION_free>>;
using Bio = std::unique_ptr<BIO, Release<BIO_free>>;

constexpr long day = 24L * 3600;

struct Wish {
  const char* name;
  const char* alternative_names;  // empty: an authority
  long from_seconds;              // relative to now
  long until_seconds;
};

Key make_key() { return Key(EVP_EC_gen("P-256")); }

bool extend(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// Without an issuer the certificate signs itself.
Certificate make_certificate(const Wish& wish, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  Certificate made(X509_new());
  if (made == nullptr) return nullptr;
  X509* certificate = made.get();
  unsigned char serial[8] = {};
  if (RAND_bytes(serial, sizeof serial) != 1) return nullptr;
  std::uint64_t number = 0;
  for (const unsigned char byte : serial) number = number << 8 | byte;
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), number >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), wish.from_seconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wish.until_seconds);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(wish.name), -1, -1, 0);
  X509* signer = issuer != nullptr ? issuer : certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  const bool authority = *wish.alternative_names == '\0';
  const bool extended =
      extend(certificate, signer, NID_subject_key_identifier, "hash") &&
      (authority ? extend(certificate, signer, NID_basic_constraints, "critical,CA:TRUE") &&
                       extend(certificate, signer, NID_key_usage, "critical,keyCertSign,cRLSign")
                 : extend(certificate, signer, NID_basic_constraints, "critical,CA:FALSE") &&
                       extend(certificate, signer, NID_ext_key_usage, "serverAuth") &&
                       extend(certificate, signer, NID_subject_alt_name, wish.alternative_names));
  if (!extended ||
      X509_sign(certificate, issuer_key != nullptr ? issuer_key : key, EVP_sha256()) == 0)
    return nullptr;
  return made;
}

std::string to_pem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

Wish leaf_for(Tls mode) {
  switch (mode) {
    case Tls::expired:
      return {"localhost", "DNS:localhost,IP:127.0.0.1,IP:::1", -30 * day, -day};
    case Tls::wrong_host:
      return {"elsewhere.example", "DNS:elsewhere.example", -day, 30 * day};
    default:
      return {"localhost", "DNS:localhost,IP:127.0.0.1,IP:::1", -day, 30 * day};
  }
}

}  // namespace

falproxy::Result<TlsIdentity> TlsIdentity::make(Tls mode) {
  const falproxy::Error failed{falproxy::ErrorKind::internal,
                               "OpenSSL could not make falsim's certificate"};
  const Key authority_key = make_key();
  const Key key = make_key();
  if (authority_key == nullptr || key == nullptr) return failed;
  const Certificate authority = make_certificate({"falsim test authority", "", -40 * day, 30 * day},
                                                 authority_key.get(), nullptr, nullptr);
  if (authority == nullptr) return failed;
  const bool self_signed = mode == Tls::self_signed;
  const Certificate certificate =
      make_certificate(leaf_for(mode), key.get(), self_signed ? nullptr : authority.get(),
                       self_signed ? nullptr : authority_key.get());
  if (certificate == nullptr) return failed;

  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr || SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    return failed;
  }
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Idle connections keep no buffers: thousands of them are held in load tests.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return TlsIdentity(std::move(context), to_pem(authority.get()));
}

}  // namespace falsim
