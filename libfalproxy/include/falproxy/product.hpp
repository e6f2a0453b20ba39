// product.hpp: one file that a run made, as an answer shows it.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

#include "falproxy/http.hpp"
#include "falproxy/print.hpp"
#include "falproxy/transcript.hpp"
#include "falproxy/vocabulary.hpp"

namespace falproxy::inline v0 {

/// One file that a run made.
struct Product {
  Medium medium = Medium::image;  ///< of the file
  Body content = {};  ///< an address (http, https or a data URI), or raw base64; in pieces, so that
                      ///< nothing large is copied
  bool is_address = true;    ///< else `content` is base64, without a data: prefix
  std::int64_t created = 0;  ///< Unix time in seconds
  /// "1024x768": as it is, or as it was asked for, never "auto"; none: not known.
  std::optional<std::string> size = std::nullopt;
  std::optional<std::string> quality = std::nullopt;     ///< `low`, `medium` or `high`
  std::optional<std::string> background = std::nullopt;  ///< `transparent` or `opaque`
  /// OpenAI's word, such as "png"; none: not known.
  std::optional<std::string> output_format = std::nullopt;
  /// What a model made of the prompt; none if it does not say.
  std::optional<std::string> revised_prompt = std::nullopt;
  std::string content_type = {};                 ///< as fal said; empty: it did not
  std::optional<double> seconds = std::nullopt;  ///< how long it plays; none: not known
  std::string fal_request_id = {};               ///< of the job that made it; empty: not known
  /// Of a text: what is said; `content` is empty then.
  std::optional<Transcript> transcript = std::nullopt;
  std::string thumbnail = {};  ///< of a video: the address of a picture of it; empty: none
  bool operator==(const Product&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Product& product);

}  // namespace falproxy::inline v0
