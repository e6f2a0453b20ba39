// media_links.hpp: ids and addresses of kept files that nobody can guess.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::app {

/// Immutable. `codecs` outlives it.
class MediaLinks {
 public:
  MediaLinks(const Codecs& codecs, std::string secret, MediaPlace place)
      : codecs_(codecs), secret_(std::move(secret)), place_(std::move(place)) {}

  /// 128 bits that are as good as random to who has not the secret, and the same whenever the same
  /// file of fal's is answered to the same owner: what is repeated is kept once.
  [[nodiscard]] RunId id_of(std::string_view owner, std::string_view source) const;
  /// "https://host/media/ID.png", and what opens it, as `access` says.
  [[nodiscard]] std::string address(const MediaRecord& record, std::string_view origin,
                                    WallTime now) const;
  /// Whether `target` (path and query) is an address that opens the file now. Of access `public`
  /// each one does; of `key` none.
  [[nodiscard]] bool opens(const RunId& id, std::string_view target, WallTime now) const;
  [[nodiscard]] const MediaPlace& place() const noexcept { return place_; }

 private:
  [[nodiscard]] std::string signature(const RunId& id, std::string_view expires) const;

  const Codecs& codecs_;
  const std::string secret_;
  const MediaPlace place_;
};

/// A key of 256 random bits, as text. Empty: the system gives none.
[[nodiscard]] std::string new_media_secret();

/// Of "ID.png"; none: it is no name of a file.
[[nodiscard]] std::optional<RunId> id_in_file_name(std::string_view name);

}  // namespace falproxy::app
