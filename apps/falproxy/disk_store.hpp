// disk_store.hpp: models' documents on disk, so that falproxy starts with fal's schema host out of
// reach.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "configuration.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/result.hpp"

namespace falproxy::app {

/// One file a document: a line with its endpoint, fetch time and SHA-256, then its text. Written
/// beside its place and renamed into it, so that whoever reads sees a whole file, also with several
/// processes on one directory; checked when read. A broken file is renamed to `*.broken`.
/// Thread-safe.
class DiskStore final : public DocumentStore {
 public:
  /// Makes the directory. One that can only be read is read, and nothing is kept there. `log`: one
  /// line for the operator where that is so, or a file cannot be used or written. Errors:
  /// invalid_settings, where the directory cannot be made, or neither written to nor read.
  [[nodiscard]] static Result<std::unique_ptr<DiskStore>> create(
      std::filesystem::path directory, const Codecs& codecs,
      std::function<void(std::string_view)> log);

  [[nodiscard]] std::optional<StoredDocument> load(const std::string& endpoint) override;
  void save(const std::string& endpoint, const StoredDocument& document) override;

 private:
  DiskStore(std::filesystem::path directory, bool writable, const Codecs& codecs,
            std::function<void(std::string_view)> log)
      : directory_(std::move(directory)),
        writable_(writable),
        codecs_(codecs),
        log_(std::move(log)) {}
  [[nodiscard]] std::filesystem::path path_of(const std::string& endpoint) const;
  [[nodiscard]] std::string hash_of(const std::string& endpoint, std::int64_t milliseconds,
                                    std::string_view text) const;

  const std::filesystem::path directory_;
  const bool writable_;
  const Codecs& codecs_;
  const std::function<void(std::string_view)> log_;
};

/// Where documents go: SCHEMA_CACHE_DIR, else $XDG_CACHE_HOME/falproxy, else ~/.cache/falproxy.
/// None: "none", or there is no home.
[[nodiscard]] std::optional<std::filesystem::path> cache_directory(
    const std::optional<std::string>& setting, const Environment& environment);

}  // namespace falproxy::app
