// router.hpp: fal's router for chat models: openrouter/router/openai/v1/...
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "answers.hpp"
#include "falproxy/fal_desk.hpp"
#include "job_desk.hpp"
#include "visit.hpp"

namespace falproxy::inline v0::testing {

/// Repeats what the user says, or counts if it is "count to N"; over the time of a job, if it is
/// streamed.
class RouterDesk {
 public:
  RouterDesk(Timeline& timeline, Answers& answers, const JobDesk& desk, DeskStats& stats)
      : timeline_(timeline), answers_(answers), desk_(desk), stats_(stats) {}

  /// An endpoint is the router's.
  [[nodiscard]] static bool serves(std::string_view endpoint) noexcept;
  void answer(const Visit& visit, const nlohmann::json& input);
  void gone(ExchangeId exchange);

 private:
  struct Stream {
    std::vector<std::string> pieces;  // what is still to be sent, the first one last
    Milliseconds pause{0};
  };
  void stream(const Visit& visit, std::vector<std::string> pieces);
  void send_next(ExchangeId exchange);

  Timeline& timeline_;
  Answers& answers_;
  const JobDesk& desk_;
  DeskStats& stats_;
  std::uint64_t next_ = 1;
  std::unordered_map<ExchangeId, Stream> streams_;
};

}  // namespace falproxy::inline v0::testing
