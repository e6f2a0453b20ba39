#include "chat_models.hpp"

#include <algorithm>

#include "base/name_pattern.hpp"

namespace falproxy::app {

std::optional<ChatModel> chat_model(const Settings& settings, std::string_view name) {
  if (name.empty()) return std::nullopt;
  const auto found = [&](const ChatRoute& route) {
    return ChatModel{route.upstream.empty() ? std::string(name) : route.upstream, route.name};
  };
  const auto& routes = settings.chat_models;
  if (const auto listed = std::ranges::find(routes, name, &ChatRoute::name); listed != routes.end())
    return found(*listed);
  const auto makes_files = [&](const ModelRoute& route) {
    return matches_pattern(route.name, name);
  };
  if (std::ranges::any_of(settings.models, makes_files)) return std::nullopt;
  const auto fits = std::ranges::find_if(
      routes, [&](const ChatRoute& route) { return matches_pattern(route.name, name); });
  return fits == routes.end() ? std::nullopt : std::optional(found(*fits));
}

}  // namespace falproxy::app
