#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/budgets.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::string_view alerts[] = {"budget_nearly_spent", "budget_spent", "costly_job",
                                       "account_locked", "low_balance"};

}  // namespace

std::string_view name_of(SpendingAlert::Kind value) noexcept { return name_at(alerts, value); }

std::ostream& operator<<(std::ostream& out, const SpendingAlert& alert) {
  return Printer(out, "SpendingAlert")("kind", alert.kind)("key", alert.key)(
             "message", alert.message)("spent", alert.spent)("limit", alert.limit)
      .end();
}

std::ostream& operator<<(std::ostream& out, const SettledJob& job) {
  return Printer(out, "SettledJob")("payer", job.payer)("fal_request_id", job.fal_request_id)(
             "charged_on", job.charged_on)("spent_on", job.spent_on)("cost", job.cost)(
             "charged", job.charged)("estimate", job.estimate)("restored", job.restored)
      .end();
}

std::ostream& operator<<(std::ostream& out, const BudgetStatus& status) {
  return Printer(out, "BudgetStatus")("budget", status.budget)("spent", status.spent)(
             "window_ends", status.window_ends)("blocked_until", status.blocked_until)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Payer& payer) {
  return Printer(out, "Payer")("client", payer.client)("model", payer.model)("user", payer.user)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Reservation& reservation) {
  return Printer(out, "Reservation")("price", reservation.price)("units", reservation.units)(
             "estimate", reservation.estimate)("held", reservation.held)("day", reservation.day)(
             "restored", reservation.restored)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Purse::Job& job) {
  return Printer(out, "Job")("endpoint", job.endpoint)("expected", job.expected)("by_tokens",
                                                                                 job.by_tokens)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Purse::Ended& ended) {
  return Printer(out, "Ended")("endpoint", ended.endpoint)("units", ended.units)(
             "may_be_billed", ended.may_be_billed)("fal_request_id", ended.fal_request_id)
      .end();
}

}  // namespace falproxy::inline v0
