// sound_converter.hpp: makes a sound of another kind, piece by piece: mp3, opus, flac, wav and
// OpenAI's `pcm` of whatever libsndfile reads. A falproxy that is built without libsndfile has none
// (docs/decisions/0028).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/result.hpp"

namespace falproxy::app {

/// For one thread at a time.
class SoundConverter {
 public:
  /// What can be made, in OpenAI's words; empty: nothing.
  [[nodiscard]] static const std::vector<std::string>& made();
  /// `sound`: a whole file of a kind that media::sniff_sound() knows. `to`: one of made().
  /// Errors: upstream_failed (it cannot be read).
  [[nodiscard]] static Result<std::unique_ptr<SoundConverter>> create(std::string sound,
                                                                      std::string_view to);
  virtual ~SoundConverter() = default;

  /// The next bytes of the new file, some 64 KiB; they take milliseconds to make. Empty: that is
  /// all. Errors: upstream_failed.
  [[nodiscard]] virtual Result<std::string> next() = 0;
};

}  // namespace falproxy::app
