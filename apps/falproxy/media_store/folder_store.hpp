// folder_store.hpp: kept files in a folder of this machine.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "falproxy/executor.hpp"
#include "media_store/media_store.hpp"

namespace falproxy::app {

/// A file lies at `ab/abcdef....png`, by the first two letters of its name, and comes there whole,
/// by a rename out of `.falproxy-incoming/`. One process at a time has the folder; what an earlier
/// one has left half done is removed at the start.
class FolderStore final : public MediaStore {
 public:
  /// Makes the folder if it is not there. `executor` outlives it, and does what blocks; `shared`:
  /// other processes that share STATE_URL have the folder, too. Errors: invalid_settings, naming
  /// MEDIA_STORE.
  [[nodiscard]] static Result<std::unique_ptr<FolderStore>> create(std::filesystem::path folder,
                                                                   Executor& executor,
                                                                   bool shared = false);
  ~FolderStore() override;
  FolderStore(const FolderStore&) = delete;
  FolderStore& operator=(const FolderStore&) = delete;

  [[nodiscard]] Result<std::unique_ptr<MediaWriter>> begin(const std::string& name,
                                                           const StoreWait& wait) override;
  [[nodiscard]] std::unique_ptr<MediaReader> open(const std::string& name) override;
  [[nodiscard]] std::optional<std::string> link(const std::string&, std::string_view,
                                                Seconds) const override {
    return std::nullopt;
  }
  [[nodiscard]] Result<Done> remove(const std::string& name, const StoreWait& wait) override;
  [[nodiscard]] Result<Done> probe(const StoreWait& wait) override;
  [[nodiscard]] std::string place() const override { return folder_.string(); }

 private:
  FolderStore(std::filesystem::path folder, int lock, Executor& executor);
  [[nodiscard]] std::filesystem::path path_of(const std::string& name) const;

  const std::filesystem::path folder_;
  const int lock_;
  const std::string tag_;               // of this process, in names on their way
  std::atomic<std::uint64_t> next_{1};  // of names on their way
  Executor& executor_;
};

}  // namespace falproxy::app
