// files.hpp: what can be told of the files of a wish without a model's document.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "falproxy/wish.hpp"

namespace falproxy::inline v0 {

/// A field of Wish::native that holds a picture, or the address of one, as far as its name and its
/// value tell; a mask counts as one.
[[nodiscard]] bool holds_picture(const Wish& wish, const std::pair<std::string, Json>& field);
/// In whatever case its scheme is written.
[[nodiscard]] bool is_data_url(std::string_view text) noexcept;

/// "Invalid mask image: ..."
[[nodiscard]] Error bad_mask(std::string_view why);
/// A mask that is not as large as its picture; none as well if one of them does not tell.
[[nodiscard]] std::optional<Error> check_mask_size(std::string_view mask, std::string_view image);

}  // namespace falproxy::inline v0
