// purse.hpp: who is asked before a job is submitted, and told what it cost.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// What is set aside for one job, from before its submit until its cost is known.
struct Reservation {
  std::optional<Price> price = std::nullopt;   ///< none: not known then
  std::optional<Units> units = std::nullopt;   ///< as expected; none: not known beforehand
  std::optional<Usd> estimate = std::nullopt;  ///< of both; none: not known beforehand
  Usd held = {};                               ///< against budgets
  Day day = 0;                                 ///< that it counts for
  /// Of an earlier process, or a request that has ended; two may come to settle it.
  bool restored = false;
  bool operator==(const Reservation&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Reservation& reservation);

/// Who pays, and for what.
struct Payer {
  std::string client = {};  ///< the access key's name; "-": there is none
  std::string model = {};   ///< as it is configured
  std::string user = {};    ///< whom the client asks for; empty: it does not say
  bool operator==(const Payer&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Payer& payer);

/// Thread-safe.
class Purse {
 public:
  virtual ~Purse() = default;

  /// A job that is about to be submitted.
  struct Job {
    std::string endpoint;  ///< fal's endpoint id
    Quantities expected;   ///< of it
    /// A call of a chat model, whose cost nobody knows before: KeyRules::llm_reserve, or
    /// max_job_cost if that is less, is taken for it, and Ended::units are dollars.
    bool by_tokens = false;
    bool operator==(const Job&) const = default;
  };
  /// One reservation for each of the jobs, or none of them. When it returns they outlast the
  /// process. May block. Errors: insufficient_quota; invalid_value, if a job may cost too much or
  /// its price is not known; overloaded.
  [[nodiscard]] virtual Result<std::vector<Reservation>> reserve(const Payer& payer,
                                                                 const std::vector<Job>& jobs) = 0;

  /// What became of a job.
  struct Ended {
    std::string endpoint;         ///< as in Job
    std::optional<double> units;  ///< as fal told them
    /// False: fal takes nothing for it. If it is true and there are no units, nobody knows.
    bool may_be_billed = true;
    std::string fal_request_id = {};  ///< for the operator
    bool operator==(const Ended&) const = default;
  };
  /// Once for each reservation; does not block. The cost; none: it is not known, and what was
  /// reserved stays spent.
  virtual std::optional<Usd> settle(const Payer& payer, const Reservation& reservation,
                                    const Ended& job) = 0;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Purse::Job& job);
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Purse::Ended& ended);

}  // namespace falproxy::inline v0
