#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/key_ring.hpp"

namespace falproxy::inline v0 {

std::string_view name_of(KeyOutcome value) noexcept {
  constexpr std::string_view names[] = {"accepted", "rate_limited", "refused", "account_blocked"};
  return name_at(names, value);
}

std::string_view name_of(AccountStatus::State value) noexcept {
  constexpr std::string_view names[] = {"ready", "resting", "blocked", "out"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const AccountStatus& status) {
  return Printer(out, "AccountStatus")("state", status.state)("leases", status.leases)(
             "keys", status.keys)("back_in", status.back_in)
      .end();
}

}  // namespace falproxy::inline v0
