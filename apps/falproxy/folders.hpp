// folders.hpp: where falproxy keeps files, if nobody names a place.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "configuration.hpp"

namespace falproxy::app {

/// A kind of file that the XDG rules have a place for.
struct XdgPlace {
  const char* variable;    ///< "XDG_CACHE_HOME"
  const char* below_home;  ///< ".cache"
};
/// The folder that `setting` names, else $variable/falproxy, else ~/below_home/falproxy. None:
/// "none", or there is no home.
[[nodiscard]] std::optional<std::filesystem::path> own_folder(
    const std::optional<std::string>& setting, const Environment& environment,
    const XdgPlace& place);

}  // namespace falproxy::app
