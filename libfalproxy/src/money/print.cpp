#include "base/printer.hpp"
#include "falproxy/money.hpp"

namespace falproxy::inline v0 {

std::ostream& operator<<(std::ostream& out, const Usd& amount) {
  return out << (amount.nano < 0 ? "-$" : "$")
             << Usd{amount.nano < 0 ? -amount.nano : amount.nano}.to_string();
}

std::ostream& operator<<(std::ostream& out, const Units& units) { return out << units.to_string(); }

std::ostream& operator<<(std::ostream& out, const Price& price) {
  return Printer(out, "Price")("unit_price", price.unit_price)("unit", price.unit).end();
}

std::ostream& operator<<(std::ostream& out, const Bill& bill) {
  return Printer(out, "Bill")("fal_request_id", bill.fal_request_id)("cost", bill.cost).end();
}

std::ostream& operator<<(std::ostream& out, const Quantities& job) {
  return Printer(out, "Quantities")("images", job.images)("pixels", job.pixels)(
             "seconds", job.seconds)("characters", job.characters)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Budget& budget) {
  return out << budget.amount.to_string() << '/' << name_of(budget.window);
}

}  // namespace falproxy::inline v0
