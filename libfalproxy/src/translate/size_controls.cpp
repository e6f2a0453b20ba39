#include "translate/size_controls.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "translate/inputs.hpp"

namespace falproxy::translate {
namespace {

using schema::Field;
using schema::ModelSchema;

// In order of precision: where two inputs serve a wish equally well, the earlier one is used.
constexpr std::array<std::string_view, 15> size_names = {
    "image_size",
    "size",
    "output_size",
    "canvas_size",
    "shot_size",
    "image_dimensions",
    "dimensions",
    "aspect_ratio",
    "ratio",
    "output_aspect_ratio",
    "image_aspect_ratio",
    "resolution",
    "output_resolution",
    "image_resolution",
    "resolution_mode",
};
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> side_names = {{
    {"width", "height"},
    {"image_width", "image_height"},
    {"output_width", "output_height"},
    {"target_width", "target_height"},
}};
// Within an object that holds one of these, the size stands there.
constexpr std::array<std::string_view, 3> member_names = {"ratio", "aspect_ratio", "size"};

bool takes_numbers(const Field& field) noexcept {
  return field.types.integer || field.types.number;
}

class Finder {
 public:
  Finder(const Field& input, SizeControls& controls) : input_(input), controls_(controls) {}

  void look_at(const Field& field, std::string_view member) {
    std::size_t listed = 0;
    for_each_shape(field, [&](const Field& shape) {
      if (shape.types.object && member.empty()) add_object(shape);
      if (shape.types.array && member.empty()) add_array(shape);
      if (!shape.allowed.empty()) listed += add_words(shape, member);
    });
    for_each_shape(field, [&](const Field& shape) {
      if (shape.types.string && shape.allowed.empty() && field.allowed.empty())
        add_text(field, shape, member);
    });
    if (listed == 0 && !field.allowed.empty() && !field.branches.empty()) add_words(field, member);
  }

 private:
  void add_object(const Field& shape) {
    const Field* width = shape.property("width");
    const Field* height = shape.property("height");
    if (width != nullptr && height != nullptr && takes_numbers(*width) && takes_numbers(*height)) {
      schema::FalLimits limits = input_.limits;
      if (limits == schema::FalLimits{}) limits = shape.limits;
      controls_.pixels.push_back(
          {PixelControl::Shape::object, &input_, nullptr, pixel_box(*width, *height, limits)});
      return;
    }
    for (const std::string_view name : member_names) {
      if (const Field* inner = shape.property(name)) {
        look_at(*inner, inner->name);
        return;
      }
    }
  }

  void add_array(const Field& shape) {
    if (shape.items == nullptr || !takes_numbers(*shape.items)) return;
    const auto is_two = [](const std::optional<std::size_t>& count) {
      return count && *count == 2;
    };
    const bool two = is_two(shape.min_items) || is_two(shape.max_items) ||
                     (input_.default_value && input_.default_value->size() == 2);
    if (!two) return;
    controls_.pixels.push_back({PixelControl::Shape::array, &input_, nullptr,
                                pixel_box(*shape.items, *shape.items, input_.limits)});
  }

  std::size_t add_words(const Field& shape, std::string_view member) {
    WordControl control{&input_, member, {}};
    control.words.reserve(shape.allowed.size());
    for (const Json& value : shape.allowed) {
      const SizeTerm term = read_size_term(value);
      if (!term.says_nothing()) control.words.push_back({&value, term});
    }
    const std::size_t count = control.words.size();
    if (count > 0) controls_.words.push_back(std::move(control));
    return count;
  }

  // How the free strings of an input look is told by those it shows: its default, its examples, its
  // other words.
  void add_text(const Field& field, const Field& shape, std::string_view member) {
    const auto learn = [&](const Json& value) {
      const std::optional<std::string_view> word = value.as_string();
      if (!word) return false;
      const SizeTerm term = read_size_term(*word);
      if (!term.aspect) return false;
      const std::size_t first = word->find_first_not_of("0123456789. ");
      if (first == std::string_view::npos || first == 0) return false;
      const std::size_t second = word->find_first_of("0123456789", first);
      if (second == std::string_view::npos) return false;
      controls_.texts.push_back(
          {&input_, member, term.pixels.has_value(), word->substr(first, second - first)});
      return true;
    };
    for (const Field* shown : {&field, &shape}) {
      if (shown->default_value && learn(*shown->default_value)) return;
      for (const Json& example : shown->examples) {
        if (learn(example)) return;
      }
    }
    for (const WordControl& control : controls_.words) {
      if (control.field != &input_) continue;
      for (const WordControl::Word& word : control.words) {
        if (learn(*word.value)) return;
      }
    }
    if (input_.name.find("ratio") != std::string::npos)
      controls_.texts.push_back({&input_, member, false, ":"});
  }

  const Field& input_;
  SizeControls& controls_;
};

}  // namespace

bool WordControl::has_shapes() const noexcept {
  return std::ranges::any_of(words, [](const Word& word) { return word.term.aspect.has_value(); });
}

bool WordControl::has_tiers() const noexcept {
  return std::ranges::any_of(words, [](const Word& word) {
    return word.term.area && !word.term.aspect && !word.term.automatic;
  });
}

SizeControls find_size_controls(const ModelSchema& schema) {
  SizeControls controls;
  for (const auto& [width_name, height_name] : side_names) {
    const Field* width = schema.input(width_name);
    const Field* height = width == nullptr ? nullptr : schema.input(height_name);
    if (height == nullptr || !takes_numbers(*width) || !takes_numbers(*height)) continue;
    controls.pixels.push_back({PixelControl::Shape::two_inputs, width, height,
                               pixel_box(*width, *height, width->limits)});
    break;
  }
  for (const std::string_view name : size_names) {
    if (const Field* field = schema.input(name)) Finder(*field, controls).look_at(*field, {});
  }
  return controls;
}

std::vector<std::string_view> known_size_names() {
  std::vector<std::string_view> all(size_names.begin(), size_names.end());
  all.push_back("width");
  all.push_back("height");
  return all;
}

bool is_size_name(std::string_view name) noexcept {
  return std::ranges::find(size_names, name) != size_names.end() ||
         std::ranges::any_of(side_names, [&](const auto& pair) {
           return pair.first == name || pair.second == name;
         });
}

}  // namespace falproxy::translate
