#include "profile/sizes.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "profile/names.hpp"
#include "profile/shapes.hpp"
#include "profile/vocabulary.hpp"
#include "profile/whole_numbers.hpp"

namespace falproxy::inline v0::profile {
namespace {

using schema::Field;
using schema::ModelSchema;

bool says_pixels(const Json& value) noexcept { return read_whole_number(value).has_value(); }

// The schema of a side, of several branches the first that takes numbers, be it as text; null: none
// does.
const Field* find_side(const Field* field) {
  if (field == nullptr) return nullptr;
  const bool shows_number = field->default_value && field->default_value->is_string() &&
                            says_pixels(*field->default_value);
  const Field* found = nullptr;
  for_each_shape(*field, [&](const Field& shape) {
    const bool text =
        shape.types.string &&
        (shape.allowed.empty() ? shows_number : std::ranges::any_of(shape.allowed, says_pixels));
    if (found == nullptr && (takes_number(shape) || text)) found = &shape;
  });
  return found;
}

// A side of a square is a number of pixels, and not a factor or a size in a unit of its own.
bool is_edge(const Field& field, const Field& shape) {
  const std::optional<double> usual =
      field.default_value ? field.default_value->as_number() : std::nullopt;
  return whole_numbers(shape, 1, 1e6).high >= 256 && usual.value_or(64) >= 64;
}

class Finder {
 public:
  Finder(const Field& input, SizeControls& controls) : input_(input), controls_(controls) {}

  void look_at(const Field& field, std::string_view member) {
    std::size_t listed = 0;
    for_each_shape(field, [&](const Field& shape) {
      if (shape.types.object && member.empty()) add_object(shape);
      if (shape.types.array && member.empty()) add_array(shape);
      if (!shape.allowed.empty()) {
        listed += add_words(shape, member);
      } else if (takes_number(shape) && member.empty() && field.allowed.empty()) {
        add_number(shape);
      }
    });
    for_each_shape(field, [&](const Field& shape) {
      if (shape.types.string && shape.allowed.empty() && field.allowed.empty())
        add_text(field, shape, member);
    });
    if (listed == 0 && !field.allowed.empty() && !field.branches.empty()) add_words(field, member);
  }

 private:
  void add_object(const Field& shape) {
    const Field* width = find_side(shape.property("width"));
    const Field* height = find_side(shape.property("height"));
    if (width != nullptr && height != nullptr) {
      const Field& limited = input_.fal_limits == nullptr ? shape : input_;
      controls_.pixels.push_back({PixelControl::Shape::object, &input_, nullptr, width, height,
                                  pixel_box(*width, *height, limited.limits())});
      return;
    }
    for (const Word& name : words("inputs", "size.member")) {
      if (const Field* inner = shape.property(name.text)) {
        look_at(*inner, inner->name);
        return;
      }
    }
  }

  // Two numbers, by its bounds or its default, or because nothing is said against it.
  void add_array(const Field& shape) {
    static const Field any;
    const Field* side = shape.items == nullptr ? &any : find_side(shape.items.get());
    const bool bounded = shape.min_items || shape.max_items;
    const bool has_default = input_.default_value && !input_.default_value->is_null();
    const bool two = has_default ? input_.default_value->size() == 2
                                 : !bounded || shape.min_items == 2 || shape.max_items == 2;
    if (side == nullptr || !two || shape.min_items > 2 || shape.max_items.value_or(2) < 2) return;
    controls_.pixels.push_back({PixelControl::Shape::array, &input_, nullptr, side, side,
                                pixel_box(*side, *side, input_.limits())});
  }

  void add_number(const Field& shape) {
    const bool ratio = input_.name.find("ratio") != std::string::npos ||
                       input_.name.find("aspect") != std::string::npos;
    if (ratio || is_edge(input_, shape)) controls_.numbers.push_back({&input_, &shape, ratio});
  }

  // All lists of one input are one list: some documents have a branch for each word.
  std::size_t add_words(const Field& shape, std::string_view member) {
    std::vector<WordControl::Word> words;
    words.reserve(shape.allowed.size());
    for (const Json& value : shape.allowed) {
      const SizeTerm term = read_size_term(value);
      if (!term.says_nothing()) words.push_back({&value, term});
    }
    if (words.empty()) return 0;
    std::vector<WordControl>& controls = controls_.words;
    if (controls.empty() || controls.back().field != &input_ || controls.back().member != member)
      controls.push_back({&input_, member, {}});
    std::vector<WordControl::Word>& all = controls.back().words;
    all.insert(all.end(), words.begin(), words.end());
    return words.size();
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
    if (input_.name.find("ratio") != std::string::npos ||
        input_.name.find("aspect") != std::string::npos) {
      controls_.texts.push_back({&input_, member, false, ":"});
    } else if (!shape.pattern.empty()) {
      // Which of these its pattern lets pass is seen when one is sent.
      for (const std::string_view sign : {"x", "*"})
        controls_.texts.push_back({&input_, member, true, sign});
    }
  }

  const Field& input_;
  SizeControls& controls_;
};

}  // namespace

bool WordControl::has_pixels() const noexcept {
  return std::ranges::any_of(words, [](const Word& word) { return word.term.pixels.has_value(); });
}

bool WordControl::has_shapes() const noexcept {
  return std::ranges::any_of(words, [](const Word& word) { return word.term.aspect.has_value(); });
}

bool WordControl::has_tiers() const noexcept {
  return std::ranges::any_of(words, [](const Word& word) {
    return word.term.area && !word.term.aspect && !word.term.automatic;
  });
}

bool SizeControls::has(const Field& field) const noexcept {
  const auto is = [&](const auto& control) { return control.field == &field; };
  return std::ranges::any_of(words, is) || std::ranges::any_of(texts, is) ||
         std::ranges::any_of(numbers, is) ||
         std::ranges::any_of(pixels, [&](const PixelControl& control) {
           return control.field == &field || control.height == &field;
         });
}

bool SizeControls::is_tier(const Field& field) const noexcept {
  const auto word = std::ranges::find(words, &field, &WordControl::field);
  if (word != words.end()) return word->has_tiers() && !word->has_shapes();
  const auto number = std::ranges::find(numbers, &field, &NumberControl::field);
  return number != numbers.end() && !number->ratio;
}

namespace {

// Two inputs: `width` and `height` themselves before longer names.
void add_sides(const ModelSchema& schema, SizeControls& controls) {
  std::optional<PixelControl> shortest;
  for (const Field& width : schema.inputs) {
    const std::optional<std::string_view> prefix = side_prefix(width.name, "width");
    const Field* height = prefix ? schema.input(std::string(*prefix) + "height") : nullptr;
    const Field* width_side = height == nullptr ? nullptr : find_side(&width);
    const Field* height_side = find_side(height);
    if (width_side == nullptr || height_side == nullptr) continue;
    if (shortest && shortest->field->name.size() <= width.name.size()) continue;
    shortest = PixelControl{PixelControl::Shape::two_inputs,
                            &width,
                            height,
                            width_side,
                            height_side,
                            pixel_box(*width_side, *height_side, width.limits())};
  }
  if (shortest) controls.pixels.push_back(*std::move(shortest));
}

}  // namespace

// Beside the input that is the size, others say how large it is at most.
void keep_taught(const Field* taught, SizeControls& controls) {
  if (taught == nullptr || !controls.has(*taught)) return;
  const auto is_other = [&](const auto& control) { return control.field != taught; };
  const auto is_other_shape = [&](const auto& control) {
    return is_other(control) && !controls.is_tier(*control.field);
  };
  std::erase_if(controls.pixels, is_other);
  std::erase_if(controls.words, is_other_shape);
  std::erase_if(controls.texts, is_other);
  std::erase_if(controls.numbers, is_other_shape);
}

// "480p" and "720p" mean the same if they are called "quality". Of which size a name speaks that
// speaks of one, is_size_name() knows.
bool lists_tiers(const Field& field) {
  bool all = !schema::choices(field).empty() && !words("words", "size.nouns").any_in(field.name);
  for_each_listed(field, [&](const Json& value) {
    const auto word = value.as_string();
    all = all && word && (word->ends_with('p') || word->ends_with('P')) && is_digit(word->front());
  });
  return all;
}

// In order of precision: where two inputs serve a wish equally well, the earlier one is used.
SizeControls find_size_controls(const ModelSchema& schema, std::string_view taught) {
  const Words& names = words("inputs", "size");
  SizeControls controls;
  if (const Field* field = schema.input(taught)) Finder(*field, controls).look_at(*field, {});
  add_sides(schema, controls);
  for (const Word& name : names) {
    const Field* field = schema.input(name.text);
    if (field != nullptr && name.text != taught) Finder(*field, controls).look_at(*field, {});
  }
  for (const Field& field : schema.inputs) {
    const bool told = is_size_name(field.name) || lists_tiers(field);
    if (!names.has(field.name) && field.name != taught && told)
      Finder(field, controls).look_at(field, {});
  }
  keep_taught(schema.input(taught), controls);
  return controls;
}

std::vector<std::pair<std::string, std::string_view>> size_kinds(const SizeControls& controls) {
  std::vector<std::pair<std::string, std::string_view>> kinds;
  for (const PixelControl& control : controls.pixels) {
    if (control.shape == PixelControl::Shape::two_inputs) {
      kinds.emplace_back(control.field->name, "width");
      kinds.emplace_back(control.height->name, "height");
    } else {
      const bool object = control.shape == PixelControl::Shape::object;
      kinds.emplace_back(control.field->name, object ? "box" : "list");
    }
  }
  for (const WordControl& control : controls.words) {
    const auto is_name = [](const WordControl::Word& word) {
      const auto text = word.value->as_string();
      return word.term.pixels && text && !is_digit(text->front());
    };
    const bool named = std::ranges::any_of(control.words, is_name);
    kinds.emplace_back(control.field->name, named                  ? "names"
                                            : control.has_pixels() ? "pixels"
                                            : control.has_shapes() ? "aspect_ratio"
                                                                   : "resolution");
  }
  for (const TextControl& control : controls.texts)
    kinds.emplace_back(control.field->name, control.pixels ? "pixels" : "aspect_ratio");
  for (const NumberControl& control : controls.numbers)
    kinds.emplace_back(control.field->name, control.ratio ? "aspect_ratio" : "resolution");
  return kinds;
}

}  // namespace falproxy::inline v0::profile
