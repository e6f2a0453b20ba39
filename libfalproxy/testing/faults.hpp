// faults.hpp: what is to go wrong, when and for whom, as data.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/fal_desk.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::testing {

/// Reads one fault as POST /_falsim/faults takes it. Errors: invalid_value, naming the member.
[[nodiscard]] Result<Fault> fault_from_json(const nlohmann::json& value);

/// The faults that a prompt asks for: its words `falsim:NAME`, `falsim:NAME*TIMES`,
/// `falsim:job_time=MS` and `falsim:queue_time=MS`. Unknown names ask for nothing.
[[nodiscard]] std::vector<Fault> faults_in_prompt(std::string_view prompt);

/// Whom a request concerns.
struct Situation {
  Step step = Step::any;
  std::string_view key = {};
  std::string_view endpoint = {};
  std::string_view prompt = {};
};

/// Decides which fault strikes. Not thread-safe: the desk's.
class FaultTable {
 public:
  explicit FaultTable(std::uint64_t seed) : random_(seed) {}

  void add(Fault fault) { rules_.push_back(Rule{std::move(fault)}); }
  void clear() {
    rules_.clear();
    by_prompt_.clear();
  }
  /// The first fault that strikes; it is counted. Null: none. Valid until the next call.
  [[nodiscard]] const Fault* strike(const Situation& situation);
  /// As strike(), among the faults of the connection alone, which must be known before the body is
  /// read.
  [[nodiscard]] const Fault* strike_early(const Situation& situation);
  /// What every fault that fits does to a new job, the first to say something of a member winning.
  [[nodiscard]] JobChange job_change(const Situation& situation);
  [[nodiscard]] const std::map<std::string, std::uint64_t>& struck() const noexcept {
    return struck_;
  }
  void forget_counts() { struck_.clear(); }

 private:
  struct Rule {
    Fault fault;
    int seen = 0;
    int struck = 0;
  };
  enum class Kind { early, exchange, job };
  /// Counts; precondition: the fault is of the kind.
  [[nodiscard]] bool strikes(Rule& rule, const Situation& situation);
  [[nodiscard]] const Fault* first(const Situation& situation, Kind kind);
  /// Calls `visit` with every rule of the kind until it returns true.
  template <class F>
  void each(const Situation& situation, Kind kind, F&& visit);

  std::vector<Rule> rules_;
  std::map<std::string, std::vector<Rule>, std::less<>>
      by_prompt_;  // so that `*2` counts over repeated submits
  std::map<std::string, std::uint64_t> struck_;
  std::mt19937_64 random_;
};

}  // namespace falproxy::inline v0::testing
