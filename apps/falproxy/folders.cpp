#include "folders.hpp"

namespace falproxy::app {

std::optional<std::filesystem::path> own_folder(const std::optional<std::string>& setting,
                                                const Environment& environment,
                                                const XdgPlace& place) {
  if (setting == "none") return std::nullopt;
  if (setting && !setting->empty()) return std::filesystem::path(*setting);
  const auto value = [&](const char* name) {
    const auto found = environment.find(name);
    return std::filesystem::path(found == environment.end() ? "" : found->second);
  };
  // The XDG rules say that a relative path is to be ignored.
  if (value(place.variable).is_absolute()) return value(place.variable) / "falproxy";
  if (!value("HOME").empty()) return value("HOME") / place.below_home / "falproxy";
  return std::nullopt;
}

}  // namespace falproxy::app
