// fal_target.hpp: what a request of fal's own API asks for: which of fal's services, and what of
// it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "door.hpp"
#include "falproxy/result.hpp"

namespace falproxy::app {

/// One request of fal's own API, checked.
struct FalTarget {
  enum class Kind { submit, status, status_stream, result, cancel, run, stream, upload };
  Kind kind = Kind::submit;
  std::string endpoint = {};    ///< of submits and runs: fal's endpoint id
  std::string request_id = {};  ///< fal's, of a job that was submitted
  std::string url = {};         ///< where it goes, by the settings' addresses
  /// It came below /fal/queue or /fal/run: addresses of fal's queue in its answer become ours.
  bool is_below = false;
};

/// Of /fal/proxy: what X-Fal-Target-Url says. Errors: invalid_value, unknown_url,
/// method_not_allowed.
[[nodiscard]] Result<FalTarget> proxied_target(const Call& call);
/// Of /fal/queue/... and /fal/run/...: what the rest of the address says. Errors: the same.
[[nodiscard]] Result<FalTarget> target_below(const Call& call, bool is_run);

/// The model, as it is configured, whose endpoint it is; none: it may not be asked for here.
[[nodiscard]] std::optional<std::string> model_of(const Call& call, const FalTarget& target);

/// `text` with the addresses of fal's queue, in the members that an answer of it has, as they are
/// below /fal/queue here.
[[nodiscard]] std::string with_addresses_here(std::string text, const Call& call);
/// The same of a line of a stream of such answers; `origin`: origin_of().
[[nodiscard]] std::string event_at(const std::string& origin, std::string_view line);
/// Where this server is for the client of `call`.
[[nodiscard]] std::string origin_of(const Call& call);

}  // namespace falproxy::app
