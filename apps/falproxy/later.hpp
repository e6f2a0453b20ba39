// later.hpp: requests that are answered before what they ask for is made.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "door.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/run_status.hpp"
#include "falproxy/wish.hpp"
#include "log.hpp"

namespace falproxy::app {

/// What is held until the run ends, and what is told then.
struct LaterCall {
  std::shared_ptr<const Rules> rules;
  Door::Admission admission;
  std::shared_ptr<MemoryShare> memory;
  RequestRecord record;
  CallContext context;
  LaterRun run;  ///< its id is drawn here
};

/// LaterRun::surface of a video.
inline constexpr const char* video_surface = "videos";

/// A run that has begun.
struct Begun {
  RunId id;
  bool is_repeat = false;                           ///< an earlier request had begun it
  std::optional<Underway> underway = std::nullopt;  ///< if fal has taken a job of it
};

/// Begins a run beside, and waits until it is noted and fal has taken a job of it, or has refused
/// it; but not long for fal. It is logged and counted when it ends.
[[nodiscard]] std::variant<Begun, Outcome> begin_later(Door& door, Wish wish, LaterCall call);

/// The request says that it need not wait (RFC 7240).
[[nodiscard]] bool prefers_async(const serving::RequestHead& head);

/// Where the end of a run is to be told: the fields that LaterRun::details has of it.
struct Callback {
  std::string url;
  std::string secret;  ///< of Standard Webhooks: base64
};
/// Of an access key, in base64: what its callbacks are signed with.
[[nodiscard]] std::string callback_secret(const Codecs& codecs, std::string_view key);
/// What `X-Falproxy-Callback` asks for; none: nothing. Errors: invalid_value,
/// unsupported_parameter, of that field.
[[nodiscard]] Result<std::optional<Callback>> callback_of(const Call& call);
/// LaterRun::details. `remixed`: the video's id that the new one is made of; empty: none.
[[nodiscard]] std::string to_details(const std::optional<Callback>& callback,
                                     const std::string& remixed);
[[nodiscard]] std::optional<Callback> callback_in(const std::string& details);

/// A run as /v1/falproxy/jobs shows it. `products`: if they are there, its answer is shown, too.
/// `with_owner`: for the operator, whose it is.
[[nodiscard]] Body job_json(const RunStatus& status,
                            std::optional<std::vector<Product>> products = std::nullopt,
                            bool with_owner = false);

/// The place behind which a page of runs begins. `id`: what `after` says, if it is one. Errors:
/// invalid_value of `after`, if the client has no such run; those of Runner::find().
[[nodiscard]] Result<std::optional<RunPlace>> place_after(Call& call, const std::string& after,
                                                          std::optional<RunId> id);

/// "job_" and 32 digits.
[[nodiscard]] std::string job_id(const RunId& id);
/// None: `text` is none.
[[nodiscard]] std::optional<RunId> parse_job_id(std::string_view text);

}  // namespace falproxy::app
