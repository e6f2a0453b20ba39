#include "certificates.hpp"

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>

namespace falproxy_test {
namespace {

CertificatePtr make_certificate(EVP_PKEY* own, const char* name, const char* extension_name,
                                int extension, const std::string& value, X509* issuer,
                                EVP_PKEY* issuer_key, int from_days, int to_days) {
  static std::atomic<long> serial{1};
  CertificatePtr certificate(X509_new());
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
  X509_gmtime_adj(X509_getm_notBefore(x), from_days * 86'400L);
  X509_gmtime_adj(X509_getm_notAfter(x), to_days * 86'400L);
  X509_set_pubkey(x, own);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(issuer == nullptr ? x : issuer));
  CAPTURE(extension_name);
  X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, nullptr, extension, value.c_str());
  REQUIRE(made != nullptr);
  X509_add_ext(x, made, -1);
  X509_EXTENSION_free(made);
  REQUIRE(X509_sign(x, issuer_key == nullptr ? own : issuer_key, EVP_sha256()) > 0);
  return certificate;
}

}  // namespace

Authority::Authority() : key_(EVP_EC_gen("P-256")) {
  certificate_ =
      make_certificate(key_.get(), "test authority", "basicConstraints", NID_basic_constraints,
                       "critical,CA:TRUE", nullptr, nullptr, -1, 1);
  static std::atomic<int> count{0};
  file_ = (std::filesystem::temp_directory_path() /
           ("falproxy-test-ca-" + std::to_string(::getpid()) + "-" + std::to_string(count++)))
              .string();
  std::FILE* out = std::fopen(file_.c_str(), "w");
  REQUIRE(out != nullptr);
  PEM_write_X509(out, certificate_.get());
  std::fclose(out);
}

Authority::~Authority() {
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

ContextPtr Authority::server_context(const Leaf& leaf) const {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const CertificatePtr certificate = make_certificate(
      key.get(), "test server", "subjectAltName", NID_subject_alt_name, leaf.names,
      leaf.self_signed ? nullptr : certificate_.get(), leaf.self_signed ? nullptr : key_.get(),
      leaf.valid_from_days, leaf.valid_to_days);
  ContextPtr context(SSL_CTX_new(TLS_server_method()));
  REQUIRE(SSL_CTX_use_certificate(context.get(), certificate.get()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(context.get(), key.get()) == 1);
  const unsigned char id[] = "test";
  SSL_CTX_set_session_id_context(context.get(), id, sizeof(id));
  return context;
}

}  // namespace falproxy_test
