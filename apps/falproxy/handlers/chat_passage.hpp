// chat_passage.hpp: requests of chat models on their way to fal's router and back, byte for byte.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "chat_models.hpp"
#include "door.hpp"
#include "falproxy/chat_router.hpp"
#include "falproxy/runner.hpp"
#include "log.hpp"

namespace falproxy::app {

/// What it takes to hand a request on that was let in. All that is referred to lives until the
/// answer is out, but for `call`.
struct Handover {
  Call& call;
  CallContext context;
  RequestRecord& record;
  std::function<serving::Response(Error)> fail;
  std::function<void(int status, const Error* error)> done;
};

/// `named`: where the body names its model. `operation`: "chat/completions". The key's reserve is
/// held until the cost is known. Errors are answered by `fail`: model_not_allowed, those of
/// Budgets::reserve() and of Runner::forward().
[[nodiscard]] serving::Response pass_to_router(Handover handover, std::string body,
                                               const ChatModel& model,
                                               const std::optional<router::NamedModel>& named,
                                               std::string_view operation);

/// The `model` of a body, or the one that the address names, and which chat model that is.
struct Addressed {
  std::string name = {};                         ///< empty: none is named
  std::optional<ChatModel> chat = {};            ///< none: it is no chat model
  std::optional<router::NamedModel> named = {};  ///< of the body
};
[[nodiscard]] Result<Addressed> addressed_model(const Call& call, std::string_view body);
}  // namespace falproxy::app
