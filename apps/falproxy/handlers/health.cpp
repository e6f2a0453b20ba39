#include <algorithm>

#include "base/fmt.hpp"
#include "handlers/handlers.hpp"

namespace falproxy::app {

using serving::Response;

Response health(Call&) { return json_answer(Piece{nullptr, R"({"status":"ok"})"}); }

Response ready(Call& call) {
  Door& door = call.door;
  const auto accounts = door.parts().keys.status(serving::steady_now());
  const bool account = std::ranges::any_of(accounts, [](const AccountStatus& status) {
    return status.state == AccountStatus::State::ready;
  });
  std::string_view missing;
  if (door.models()->usable() == 0) missing = "no model's document is there yet";
  if (!account) missing = "no fal account is usable";
  if (door.draining()) missing = "the server is stopping";
  const StoreStatus state = door.parts().state();
  if (!state.degraded.empty() && missing.empty()) {
    // What is shared is not needed to serve.
    const bool is_shared = state.name == "redis";
    const std::string_view why = is_shared ? "what replicas share (STATE_URL) is away: see the log"
                                           : "runs cannot be noted in STATE_DIR: see the log";
    if (is_shared || !call.rules->settings.require_state)
      return json_answer(fmt::format(R"({{"status":"ok","degraded":"{}"}})", why));
    missing = why;
  }
  if (missing.empty()) return health(call);
  Response response =
      json_answer(fmt::format(R"({{"status":"unavailable","reason":"{}"}})", missing));
  response.status = 503;
  return response;
}

}  // namespace falproxy::app
