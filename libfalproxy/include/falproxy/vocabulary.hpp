// vocabulary.hpp: the words that settings share with the rooms that act on them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/print.hpp"

namespace falproxy::inline v0 {

/// What goes in or comes out.
enum class Medium : std::uint8_t {
  image,      ///< a picture
  video,      ///< with or without sound
  audio,      ///< speech, music, sounds
  text,       ///< words: a transcript, an answer
  archive,    ///< a zip of others
  embedding,  ///< what another endpoint made of a voice
  mesh        ///< a body in three dimensions
};

/// "image", "video", ...
[[nodiscard]] std::string_view name_of(Medium value) noexcept;

/// How pictures come back: OpenAI's `response_format`.
enum class ResponseFormat {
  url,      ///< an address on fal's CDN, or a data URI if the model gives that
  b64_json  ///< base64, fetched from fal's CDN if the model gives an address
};
/// As written above.
[[nodiscard]] std::string_view name_of(ResponseFormat value) noexcept;

/// One entry of DEFAULT_RESPONSE_FORMAT.
struct ResponseFormatRule {
  std::string pattern = "*";  ///< of the model's name, with '*' for any characters
  ResponseFormat format = ResponseFormat::url;  ///< of those that match
  bool operator==(const ResponseFormatRule&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ResponseFormatRule& rule);

/// Which part of a mask means "change here".
enum class MaskConvention {
  alpha,  ///< transparent: OpenAI's
  white,  ///< most of fal's models
  black,  ///< some of fal's models; white is kept
  either  ///< white and transparent, for a model of which nobody knows; black and opaque is kept
};
/// As written above.
[[nodiscard]] std::string_view name_of(MaskConvention value) noexcept;

/// What an operator says of a model's names if its document does not tell.
struct Teaching {
  /// What an input means, one of `taught_meanings`, and its name.
  std::vector<std::pair<std::string, std::string>> inputs = {};
  std::string outputs = {};  ///< where in a result the files stand: "render.frame"; empty: not said
  bool operator==(const Teaching&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Teaching& teaching);

/// What an operator may call an input, in OpenAI's words if it has one.
inline constexpr std::array<std::string_view, 25> taught_meanings = {"prompt",
                                                                     "n",
                                                                     "size",
                                                                     "seed",
                                                                     "quality",
                                                                     "style",
                                                                     "background",
                                                                     "user",
                                                                     "output_format",
                                                                     "moderation",
                                                                     "sync_mode",
                                                                     "output_compression",
                                                                     "input_fidelity",
                                                                     "seconds",
                                                                     "voice",
                                                                     "speed",
                                                                     "language",
                                                                     "instructions",
                                                                     "image",
                                                                     "mask",
                                                                     "reference",
                                                                     "control",
                                                                     "first",
                                                                     "last",
                                                                     "transparent_background"};

/// How a job's end is learned of: FAL_COMPLETION.
enum class Completion {
  stream,  ///< the queue's status/stream is held
  poll,    ///< the queue's status is asked, ever more rarely
  sync,    ///< one exchange with fal.run: no recovery, no cancel
};
/// As written above.
[[nodiscard]] std::string_view name_of(Completion value) noexcept;

/// Whether a job waits behind others of its endpoint.
enum class QueuePriority {
  normal,  ///< as fal does if nothing is said
  low      ///< behind those of normal priority
};
/// As written above.
[[nodiscard]] std::string_view name_of(QueuePriority value) noexcept;

/// Who may fetch what a job made.
enum class OutputAccess {
  allow,  ///< whoever has the address
  hide,   ///< whoever has a signed link of the account; for others there is no such file
  forbid  ///< the same, and others are told that they may not
};
/// As written above.
[[nodiscard]] std::string_view name_of(OutputAccess value) noexcept;

/// What fal is asked to do with a model's jobs: `fal` in MODELS_FILE. What is not set is fal's own
/// affair.
struct FalPreferences {
  std::optional<QueuePriority> queue_priority = std::nullopt;  ///< among jobs of the endpoint
  /// Jobs with the same text go to the same runner if that is possible. Printable ASCII.
  std::string runner_hint = {};
  bool disable_fallback = false;  ///< no other endpoint serves in place of one that is down
  std::optional<std::chrono::seconds> output_expiration = std::nullopt;  ///< of the job's files
  std::optional<OutputAccess> output_access = std::nullopt;              ///< to the job's files
  bool operator==(const FalPreferences&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const FalPreferences& preferences);

}  // namespace falproxy::inline v0
