// transcript.hpp: what is said in a sound: the words, and as far as a model tells them their times
// and who says them.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/print.hpp"

namespace falproxy::inline v0 {

/// A word, or some that belong together.
struct Utterance {
  std::string text = {};                       ///< UTF-8, as the model wrote it
  std::optional<double> start = std::nullopt,  ///< seconds; none: not told
      end = std::nullopt;                      ///< seconds; none: not told
  std::string speaker = {};                    ///< as the model calls it; empty: not told
  bool operator==(const Utterance&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Utterance& utterance);

/// What a model made of a sound.
struct Transcript {
  std::string text = {};                         ///< the whole of it
  std::string language = {};                     ///< a code or a name, as told; empty: not told
  std::optional<double> seconds = std::nullopt;  ///< of the sound; none: not told
  /// In the order of time. If a model tells the times of words alone, those make up sentences.
  std::vector<Utterance> segments = {};
  std::vector<Utterance> words = {};  ///< empty: the model told none
  bool operator==(const Transcript&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Transcript& transcript);

}  // namespace falproxy::inline v0
