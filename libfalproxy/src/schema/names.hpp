// names.hpp: what an input is for, told from the words of its name.
//
// The usual names are listed where they are used, in order; these rules are for the rest of them:
// authors of models put the same few words together in ever new ways.
#pragma once

#include <optional>
#include <string_view>

namespace falproxy::schema {

/// How many pictures: "num_outputs", "number_of_images", "images_count", "num_images_per_prompt".
[[nodiscard]] bool is_count_name(std::string_view name) noexcept;
/// How the file is written: "image_type", "file_format", "output_extension". Whether it is about
/// pictures, its values tell.
[[nodiscard]] bool is_format_name(std::string_view name) noexcept;
/// What the picture is to show: "prompts", "positive_prompt"; not "negative_prompt" or
/// "image_prompt".
[[nodiscard]] bool is_prompt_name(std::string_view name) noexcept;
/// How large the picture is to be, or in which shape: "output_dimensions", "aspect",
/// "image_size_preset"; not "crop_size" or "original_image_size".
[[nodiscard]] bool is_size_name(std::string_view name) noexcept;
/// Of the name of the picture's `side` ("width", "height"), what stands before that: "", "image_".
/// None of any other name ("tile_width").
[[nodiscard]] std::optional<std::string_view> side_prefix(std::string_view name,
                                                          std::string_view side) noexcept;

}  // namespace falproxy::schema
