// sizes.hpp: by which of its inputs a model is told the size, and what each of them takes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/schema.hpp"
#include "profile/pixel_box.hpp"
#include "profile/size_terms.hpp"

namespace falproxy::inline v0::profile {

/// Exact pixels: {width, height}, [width, height], or two inputs.
struct PixelControl {
  enum class Shape { object, array, two_inputs };
  Shape shape = Shape::object;
  const schema::Field* field = nullptr;  ///< of two inputs: the width
  const schema::Field* height = nullptr;
  const schema::Field* width_side = nullptr;  ///< the schemas of the two numbers
  const schema::Field* height_side = nullptr;
  PixelBox box;
};

/// One of a list of words: presets, pixels, ratios, tiers, or several of these mixed.
struct WordControl {
  struct Word {
    const Json* value;
    SizeTerm term;
  };
  const schema::Field* field = nullptr;
  std::string_view member = {};  ///< where the input is an object such as {"ratio": "4:3"}
  std::vector<Word> words;

  [[nodiscard]] bool has_pixels() const noexcept;  ///< a word says both sides
  [[nodiscard]] bool has_shapes() const noexcept;  ///< a word says which shape the picture gets
  [[nodiscard]] bool has_tiers()
      const noexcept;  ///< a word says how large it gets, and not which shape
};

/// A free string, of ratios ("16:9") or of pixels ("1024x1024").
struct TextControl {
  const schema::Field* field = nullptr;
  std::string_view member = {};
  bool pixels = false;
  std::string_view separator = {};
};

/// One number: width / height, or the side of a square, which serves as a tier.
struct NumberControl {
  const schema::Field* field = nullptr;
  const schema::Field* shape = nullptr;  ///< its bounds
  bool ratio = false;
};

struct SizeControls {
  std::vector<PixelControl> pixels;
  std::vector<WordControl> words;
  std::vector<TextControl> texts;
  std::vector<NumberControl> numbers;
  bool of_videos = false;  ///< tiers are lines

  [[nodiscard]] bool none() const noexcept {
    return pixels.empty() && words.empty() && texts.empty() && numbers.empty();
  }
  /// Whether `field` has to do with the size.
  [[nodiscard]] bool has(const schema::Field& field) const noexcept;
  /// Whether `field` only says how large the picture gets, and nothing of its shape.
  [[nodiscard]] bool is_tier(const schema::Field& field) const noexcept;
};

/// Found by name and by what they take: an `image_size` of words that say nothing about a size is
/// no control. `taught` is the name of the input that is the size, whatever it is called; of the
/// others only tiers count then.
[[nodiscard]] SizeControls find_size_controls(const schema::ModelSchema& schema,
                                              std::string_view taught = {});

/// Each input with a kind of what it takes: box, list, width, height, names, pixels, aspect_ratio,
/// resolution.
[[nodiscard]] std::vector<std::pair<std::string, std::string_view>> size_kinds(
    const SizeControls& controls);

}  // namespace falproxy::inline v0::profile
