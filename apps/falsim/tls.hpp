// tls.hpp: a certificate authority and a certificate of falsim's own, made at start and never
// written anywhere by itself.
#pragma once

#include <memory>
#include <string>

#include "falproxy/result.hpp"
#include "falsim.hpp"

struct ssl_ctx_st;

namespace falsim {

class TlsIdentity {
 public:
  /// A certificate for localhost, 127.0.0.1 and ::1, with the fault that `mode` asks for.
  /// Precondition: `mode` is not none.
  [[nodiscard]] static falproxy::Result<TlsIdentity> make(Tls mode);

  [[nodiscard]] ssl_ctx_st* context() const noexcept { return context_.get(); }
  /// What a client must trust; the certificate of Tls::self_signed is not issued by it.
  [[nodiscard]] const std::string& authority_pem() const noexcept { return authority_pem_; }

 private:
  TlsIdentity(std::shared_ptr<ssl_ctx_st> context, std::string pem)
      : context_(std::move(context)), authority_pem_(std::move(pem)) {}
  std::shared_ptr<ssl_ctx_st> context_;
  std::string authority_pem_;
};

}  // namespace falsim
