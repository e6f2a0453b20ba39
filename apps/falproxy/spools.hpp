// spools.hpp: the long files of forms, put away on the disk until fal has them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

#include "falproxy/body_source.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/memory_budget.hpp"

namespace falproxy::app {

/// Each is a file without a name, which goes with its last owner, and with the process.
/// Thread-safe.
class Spools final : public SpoolPlace {
 public:
  /// `folder`: none: there is no place. `limit`: of all of them together, in bytes. What touches
  /// the disk runs by `executor`, which must outlive them.
  Spools(std::optional<std::filesystem::path> folder, Executor& executor, std::size_t limit);
  /// What is there already stays there.
  void set_limit(std::size_t limit) noexcept { room_.set_limit(limit); }
  /// Bytes.
  [[nodiscard]] std::size_t used() const noexcept { return room_.used(); }

  /// Null, too: no file can be made in the folder.
  [[nodiscard]] std::unique_ptr<Spool> begin() override;

 private:
  const std::optional<std::filesystem::path> folder_;
  Executor& executor_;
  MemoryBudget room_;
};

}  // namespace falproxy::app
