// spools.hpp: the long files of forms, put away on the disk until fal has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "falproxy/body_source.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/log.hpp"
#include "falproxy/memory_budget.hpp"

namespace falproxy::app {

/// Each is a file without a name, which goes with its last owner, and with the process.
/// Thread-safe.
class Spools final : public SpoolPlace {
 public:
  /// Bytes that may be written beside the open `file`.
  using FreeBytes = std::function<std::uint64_t(int file)>;
  /// What is free on the disk, but for a reserve: a tenth of the disk, from 64 MiB to 1 GiB. The
  /// state of falproxy grows beside the files.
  [[nodiscard]] static std::uint64_t free_but_for_reserve(int file);

  /// `folder`: none: there is no place. `limit`: of all of them together, in bytes. What touches
  /// the disk runs by `executor`, which must outlive them. `log`: told at most once a minute why a
  /// file cannot be put away.
  Spools(std::optional<std::filesystem::path> folder, Executor& executor, std::size_t limit,
         LogLine log = {}, FreeBytes free_bytes = free_but_for_reserve);
  /// What is there already stays there.
  void set_limit(std::size_t limit) noexcept { room_.set_limit(limit); }
  /// Bytes.
  [[nodiscard]] std::size_t used() const noexcept { return room_.used(); }

  /// Null, too: no file can be made in the folder, or the disk has nothing left but the reserve.
  [[nodiscard]] std::unique_ptr<Spool> begin() override;

 private:
  friend class SpooledFile;
  void tell(std::string_view why);

  const std::optional<std::filesystem::path> folder_;
  Executor& executor_;
  MemoryBudget room_;
  const LogLine log_;
  const FreeBytes free_bytes_;
  std::mutex mutex_;
  std::optional<TimePoint> told_;
};

}  // namespace falproxy::app
