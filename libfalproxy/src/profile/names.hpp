// names.hpp: what a name says by the words that it is made of.
//
// The usual names are listed in vocabulary.json; these rules are for the rest of them: authors of
// models put the same few words together in ever new ways.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace falproxy::inline v0::profile {

/// How many results: "num_outputs", "number_of_images", "images_count", "num_images_per_prompt".
[[nodiscard]] bool is_count_name(std::string_view name) noexcept;
/// How the file is written: "image_type", "file_format", "video_output_type". Whether it is about
/// the model's medium, its values tell.
[[nodiscard]] bool is_format_name(std::string_view name) noexcept;
/// How long the result is to be: "video_length", "duration_in_seconds", "total_frames".
[[nodiscard]] bool is_length_name(std::string_view name) noexcept;
/// Who speaks: "voice_type", "tts_speaker".
[[nodiscard]] bool is_voice_name(std::string_view name) noexcept;
/// What the result is to be: "prompts", "positive_prompt"; not "negative_prompt" or
/// "image_prompt".
[[nodiscard]] bool is_prompt_name(std::string_view name) noexcept;
/// How large the result is to be, or in which shape: "output_dimensions", "aspect",
/// "image_size_preset"; not "crop_size" or "original_image_size".
[[nodiscard]] bool is_size_name(std::string_view name) noexcept;
/// Of the name of the result's `side` ("width", "height"), what stands before that: "", "image_".
/// None of any other name ("tile_width").
[[nodiscard]] std::optional<std::string_view> side_prefix(std::string_view name,
                                                          std::string_view side) noexcept;

/// As documents write it: "aspectRatio" and "Aspect-Ratio" are "aspect_ratio".
[[nodiscard]] std::string snake_case(std::string_view name);

/// Of digits alone: it tells one of several apart.
[[nodiscard]] bool is_number(std::string_view word) noexcept;

/// "mask_image_url_2" is the words mask and image, and that it is an address.
struct MediaName {
  std::vector<std::string_view> words;
  bool address = false;
};
[[nodiscard]] MediaName read_media_name(std::string_view name);

}  // namespace falproxy::inline v0::profile
