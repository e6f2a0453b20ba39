// folder_signs.hpp: proves that the folder of MEDIA_STORE is the same one for all processes that
// share STATE_URL.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/result.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::app {

/// A file in the folder that tells of this process, as long as it is held.
using FolderSign = std::shared_ptr<void>;

/// To be left before the others hear of this process. Makes the folder if it is not there. Errors:
/// invalid_settings, naming MEDIA_STORE.
[[nodiscard]] Result<FolderSign> leave_sign(const std::filesystem::path& folder, const RunId& self);

/// Whether each process of `all()` has left its sign in the folder: looked for until `patience` is
/// over, since folders on a network show new files late. Blocks. Errors: invalid_settings, naming
/// MEDIA_STORE.
[[nodiscard]] Result<Done> find_signs(const std::filesystem::path& folder,
                                      const std::function<std::vector<RunId>()>& all,
                                      Milliseconds patience);

}  // namespace falproxy::app
