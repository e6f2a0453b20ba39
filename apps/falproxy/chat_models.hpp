// chat_models.hpp: which names are chat models of fal's router: LLM_MODELS.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "falproxy/settings.hpp"

namespace falproxy::app {

/// A name that somebody asked for.
struct ChatModel {
  std::string upstream;  ///< the router's id
  std::string name;      ///< as it is configured: the name, or the pattern that it fits
};
/// None: it is the name of a model that makes files, or of none. Listed names win over patterns,
/// and names of SUPPORTED_MODELS over patterns of chat models.
[[nodiscard]] std::optional<ChatModel> chat_model(const Settings& settings, std::string_view name);

}  // namespace falproxy::app
