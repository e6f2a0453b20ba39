// pictures.hpp: the pictures that come with a request, checked before anyone pays for them.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "falproxy/codecs.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::openai {

class PictureReader {
 public:
  /// What is decoded is taken from `memory`; null: without a limit.
  PictureReader(const RequestLimits& limits, const Codecs& codecs, MemoryBudget* memory)
      : limits_(limits), codecs_(codecs), memory_(memory) {}

  /// An http(s) address, which is tidied as browsers do it, or a data URL or bare base64 of a
  /// picture, which becomes its bytes.
  [[nodiscard]] Result<InputFile> from_text(std::string_view text, std::string_view field) const;
  /// The bytes of a picture; of one in the field `mask` it is said in OpenAI's words for masks what
  /// is wrong with them.
  [[nodiscard]] Result<InputFile> from_bytes(std::shared_ptr<const std::string> owner,
                                             std::string_view bytes, std::string name,
                                             std::string_view field) const;

  /// Whether a data URL is such a picture, by its type or, whatever that is, by its first bytes.
  [[nodiscard]] bool is_picture(std::string_view data_url) const;

  /// Asked before they are read: of those in OpenAI's fields how many may there be, and may there
  /// be one more in a field of the model's own?
  [[nodiscard]] std::optional<Error> check_number(std::size_t images) const;
  [[nodiscard]] bool has_room(const Wish& request) const noexcept;
  /// What holds for all pictures of a request together: there is one, and the mask is as large.
  [[nodiscard]] std::optional<Error> check(const Wish& request) const;

 private:
  [[nodiscard]] Result<InputFile> from_data_url(std::string_view text,
                                                std::string_view field) const;
  using Owned = std::shared_ptr<const std::string>;
  [[nodiscard]] Result<Owned> decode(std::string_view text, std::string_view field) const;
  [[nodiscard]] static Error no_base64(std::string_view field);

  const RequestLimits& limits_;
  const Codecs& codecs_;
  MemoryBudget* const memory_;
};

/// The field of a form without its index: `image[]`, `image[3]` and `image[image_url]` are `image`.
[[nodiscard]] std::string_view without_brackets(std::string_view name) noexcept;
/// `image`, `images`, `image_url`, `input_reference` or `mask`, as without_brackets() leaves them.
[[nodiscard]] bool is_picture_field(std::string_view field) noexcept;
/// A file stands where none is taken.
[[nodiscard]] Error no_field_for_files(std::string_view name);
/// "Invalid file 'image': it has more than the 50000000 bytes that a picture may have."
[[nodiscard]] Error picture_too_large(std::string_view field, std::size_t most);
/// "Invalid 'a': the form has more than 1048576 bytes of text."
[[nodiscard]] Error too_much_text(std::string_view name, std::size_t most);

/// Moves the pictures that stand as data URLs in fields of the models' own to `request.attached`.
[[nodiscard]] std::optional<Error> attach_pictures(nlohmann::json& members,
                                                   const PictureReader& reader, Wish& request);

}  // namespace falproxy::inline v0::openai
