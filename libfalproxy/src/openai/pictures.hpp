// pictures.hpp: the pictures that come with a request, checked before anyone pays for them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/codecs.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/result.hpp"

namespace falproxy::openai {

class PictureReader {
 public:
  PictureReader(const RequestLimits& limits, const Codecs& codecs)
      : limits_(limits), codecs_(codecs) {}

  /// An http(s) address, or a data URL of a supported type, whose media type is corrected by its
  /// bytes.
  [[nodiscard]] Result<ImageInput> from_text(std::string text, std::string_view field) const;
  [[nodiscard]] Result<ImageInput> from_bytes(std::shared_ptr<const std::string> owner,
                                              std::string_view bytes, std::string name,
                                              std::string_view field) const;

  /// What holds for all pictures of a request together: their number, and the mask beside the first
  /// one.
  [[nodiscard]] std::optional<Error> check(const ImageRequest& request) const;

 private:
  [[nodiscard]] Result<ImageInput> from_data_url(std::string text, std::string_view field) const;
  [[nodiscard]] std::optional<Error> check_mask(const ImageRequest& request) const;
  [[nodiscard]] std::string head_of(const ImageInput& picture) const;

  const RequestLimits& limits_;
  const Codecs& codecs_;
};

/// A fault of the picture that is the mask, in OpenAI's words for masks where the file is at fault.
[[nodiscard]] Error as_mask_fault(Error fault);

}  // namespace falproxy::openai
