// size_controls.hpp: by which of its inputs a model is told the size, and what each of them takes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/schema.hpp"
#include "translate/pixel_box.hpp"
#include "translate/size_terms.hpp"

namespace falproxy::translate {

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

  [[nodiscard]] bool none() const noexcept {
    return pixels.empty() && words.empty() && texts.empty() && numbers.empty();
  }
  /// Whether `field` only says how large the picture gets, and nothing of its shape.
  [[nodiscard]] bool is_tier(const schema::Field& field) const noexcept;
};

/// Found by name and by what they take: an `image_size` of words that say nothing about a size is
/// no control.
[[nodiscard]] SizeControls find_size_controls(const schema::ModelSchema& schema);

/// Every name that is looked for; docs/mapping.md has them all.
[[nodiscard]] std::vector<std::string_view> known_size_names();

/// Whether an input of that name has to do with the size, in any model.
[[nodiscard]] bool is_size_name(std::string_view name) noexcept;

}  // namespace falproxy::translate
