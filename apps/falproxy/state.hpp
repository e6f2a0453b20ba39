// state.hpp: where runs are noted: in the folder of STATE_DIR, or in memory.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "configuration.hpp"
#include "falproxy/log.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::app {

/// The folder of STATE_DIR, else $XDG_STATE_HOME/falproxy, else ~/.local/state/falproxy. None:
/// "none", or there is no home.
[[nodiscard]] std::optional<std::filesystem::path> state_directory(
    const std::optional<std::string>& setting, const Environment& environment);

/// What noting runs begins with.
struct State {
  std::shared_ptr<void> sign = {};         ///< see FolderSign; it goes last
  std::unique_ptr<StateStore> store = {};  ///< not null
  /// What was spent, beside the runs; not null.
  SpendingStore* spending = nullptr;
  MediaIndex* media = nullptr;  ///< what is known of kept files; null: there is no place for it
  Peers* peers = nullptr;       ///< who shares it; null: nobody
  std::unique_ptr<SpendingStore> own_spending = {};  ///< if `store` keeps none
  std::string place = {};                            ///< for the operator: where that is
  std::string notice = {};   ///< what the operator should look after, in one line; empty: nothing
  std::string trouble = {};  ///< why the folder is not used, in one line; empty: it is, or nobody
                             ///< wants one

  /// What an earlier process had spent is not there. What is shared is not lost with a folder.
  [[nodiscard]] bool is_lost() const {
    return peers == nullptr && (!notice.empty() || !trouble.empty());
  }
  /// StateStore::status(), degraded also if there is trouble.
  [[nodiscard]] StoreStatus status() const;
};
/// In a store of somebody else's, which keeps no spending.
[[nodiscard]] State state_in(std::unique_ptr<StateStore> store);
/// Opens the store in the folder; if that cannot be, one in memory. With STATE_URL both stand
/// behind what is shared, which need not be there yet. `log` is told when writes begin to fail,
/// from other threads, as long as the store lives. Errors: invalid_settings of STATE_DIR, if there
/// is trouble and REQUIRE_STATE is true.
[[nodiscard]] Result<State> open_state(const Settings& settings, const Environment& environment,
                                       const LogLine& log);

/// Why files cannot be written in `folder`; empty: they can. A folder that is not there is not
/// made; a store that somebody holds there is not disturbed.
[[nodiscard]] std::string fault_of_writing(const std::filesystem::path& folder);
/// Why what STATE_URL names cannot be used; empty: it can. Takes a second at most.
[[nodiscard]] std::string fault_of_sharing(const Settings& settings);
/// What to do about it, for the operator.
inline constexpr const char* state_mend =
    "let falproxy write there, make room on the disk, name another folder, or write STATE_DIR=none";

}  // namespace falproxy::app
