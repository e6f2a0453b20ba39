#include "translate/size_solver.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/fmt.hpp"
#include "translate/inputs.hpp"
#include "translate/size_controls.hpp"
#include "translate/whole_numbers.hpp"

namespace falproxy::translate {
namespace {

using openai::SizeWish;
using schema::Field;
using Values = std::vector<std::pair<const Field*, Json>>;

// One way to meet a wish.
struct Candidate {
  Values values;
  SizeDistance distance{std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::infinity()};
  std::optional<Pixels> pixels;
  const PixelBox* box = nullptr;  // the limits that were kept, where pixels are sent
  bool shape_only = false;        // a tier may say how large

  [[nodiscard]] bool found() const noexcept { return !values.empty(); }
};

Values pixel_values(const PixelControl& control, Pixels size) {
  const Json width = write_side(*control.width_side, size.width);
  const Json height = write_side(*control.height_side, size.height);
  switch (control.shape) {
    case PixelControl::Shape::object:
      return {{control.field, Json::object({{"width", width}, {"height", height}})}};
    case PixelControl::Shape::array:
      return {{control.field, Json::array({width, height})}};
    case PixelControl::Shape::two_inputs:
      break;
  }
  return {{control.field, width}, {control.height, height}};
}

Json word_value(std::string_view member, const Json& word) {
  return member.empty() ? word : Json::object({{std::string(member), word}});
}

// The ratio nearest to `aspect` of which no term is above `most`.
Pixels simple_ratio(double aspect, std::uint32_t most) {
  Pixels best{1, 1};
  for (std::uint32_t term = 1; term <= most; ++term) {
    const double other = std::round(aspect < 1 ? term / aspect : term * aspect);
    const auto longer = static_cast<std::uint32_t>(std::min<double>(other, most));
    const Pixels ratio = aspect < 1 ? Pixels{term, longer} : Pixels{longer, term};
    const auto distance = [&](Pixels of) {
      return log_distance(static_cast<double>(of.width) / of.height, aspect);
    };
    if (distance(ratio) < distance(best)) best = ratio;
  }
  return best;
}

bool allowed(const Values& values) {
  return std::ranges::all_of(values, [](const auto& value) {
    return !schema::check(*value.first, value.second, value.first->name).has_value();
  });
}

class Solver {
 public:
  Solver(const SizeWish& wish, const SizeControls& controls, double usual_area)
      : wish_(wish),
        controls_(controls),
        aspect_(static_cast<double>(wish.width) / wish.height),
        area_(wish.kind == SizeWish::Kind::pixels ? static_cast<double>(wish.width) * wish.height
                                                  : usual_area) {}

  [[nodiscard]] SizeChoice solve(bool tier_is_taken) const {
    Candidate best = best_pixels();
    if (best.found() && best.distance.aspect == 0 && best.distance.area == 0)
      return told(std::move(best));
    consider_words(best);
    consider_texts(best);
    consider_numbers(best);
    if ((!best.found() || best.shape_only) && !tier_is_taken &&
        wish_.kind == SizeWish::Kind::pixels)
      add_tier(best);
    return told(std::move(best));
  }

 private:
  [[nodiscard]] SizeDistance distance_to(double aspect, std::optional<double> area) const noexcept {
    return {log_distance(aspect, aspect_), area ? log_distance(*area, area_) : 0};
  }

  [[nodiscard]] Candidate best_pixels() const {
    Candidate best;
    for (const PixelControl& control : controls_.pixels) {
      const std::optional<Pixels> size = pixels_in(control.box);
      if (!size) continue;
      Candidate candidate;
      candidate.pixels = size;
      candidate.box = &control.box;
      const bool exact =
          wish_.kind == SizeWish::Kind::pixels && *size == Pixels{wish_.width, wish_.height};
      const double area = static_cast<double>(size->width) * size->height;
      candidate.distance = exact
                               ? SizeDistance{}
                               : distance_to(static_cast<double>(size->width) / size->height, area);
      if (best.found() && !candidate.distance.less_than(best.distance)) continue;
      candidate.values = pixel_values(control, *size);
      if (control.shape == PixelControl::Shape::two_inputs) add_custom(candidate.values);
      if (allowed(candidate.values)) best = std::move(candidate);
    }
    return best;
  }

  // Next to width and height a list of ratios may want to hear that they count.
  void add_custom(Values& values) const {
    for (const WordControl& control : controls_.words) {
      if (const Json* word = find_listed(*control.field, "custom")) {
        values.emplace_back(control.field, *word);
      }
    }
  }

  [[nodiscard]] std::optional<Pixels> pixels_in(const PixelBox& box) const {
    if (wish_.kind == SizeWish::Kind::pixels) {
      const Pixels wanted{wish_.width, wish_.height};
      return box.takes(wanted) ? wanted : box.nearest(wish_.width, wish_.height);
    }
    if (const std::optional<Pixels> exact = pixels_of_ratio(); exact && box.takes(*exact))
      return exact;
    const double width = std::sqrt(area_ * aspect_);
    return box.nearest(std::round(width / 16) * 16, std::round(width / aspect_ / 16) * 16);
  }

  // Both sides multiples of 16, which every model can make, in exactly the ratio; none where no
  // such size is near.
  [[nodiscard]] std::optional<Pixels> pixels_of_ratio() const {
    const std::uint32_t divisor = std::gcd(wish_.width, wish_.height);
    const std::uint32_t width = wish_.width / divisor;
    const std::uint32_t height = wish_.height / divisor;
    const double unit = std::lcm(16U / std::gcd(16U, width), 16U / std::gcd(16U, height));
    const double times =
        std::max(1.0, std::round(std::sqrt(area_ / (static_cast<double>(width) * height)) / unit));
    const double w = width * unit * times;
    const double h = height * unit * times;
    if (log_distance(w * h, area_) > std::log(1.5)) return std::nullopt;
    return Pixels{static_cast<std::uint32_t>(w), static_cast<std::uint32_t>(h)};
  }

  void consider_words(Candidate& best) const {
    for (const WordControl& control : controls_.words) {
      const WordControl::Word* nearest = nullptr;
      SizeDistance nearest_distance;
      for (const WordControl::Word& word : control.words) {
        if (!word.term.aspect) continue;
        const SizeDistance distance = distance_to(*word.term.aspect, word.term.area);
        if (nearest != nullptr && !distance.less_than(nearest_distance)) continue;
        nearest = &word;
        nearest_distance = distance;
      }
      if (nearest == nullptr || (best.found() && !nearest_distance.less_than(best.distance)))
        continue;
      Candidate candidate;
      candidate.values = {{control.field, word_value(control.member, *nearest->value)}};
      candidate.distance = nearest_distance;
      candidate.pixels = nearest->term.pixels;
      candidate.shape_only = !nearest->term.area;
      if (allowed(candidate.values)) best = std::move(candidate);
    }
  }

  void consider_texts(Candidate& best) const {
    for (const TextControl& control : controls_.texts) {
      if (control.pixels) {
        const std::optional<Pixels> pixels = pixels_in(PixelBox{});
        if (pixels) consider_text(best, control, *pixels, pixels);
        continue;
      }
      // The exact ratio, or where the model has no room for it ("1000:777") an ever simpler one.
      const std::uint32_t divisor = std::gcd(wish_.width, wish_.height);
      consider_text(best, control, {wish_.width / divisor, wish_.height / divisor}, {});
      for (const std::uint32_t most : {99U, 32U, 9U})
        consider_text(best, control, simple_ratio(aspect_, most), {});
    }
  }

  void consider_text(Candidate& best, const TextControl& control, Pixels terms,
                     std::optional<Pixels> pixels) const {
    const SizeDistance distance =
        distance_to(static_cast<double>(terms.width) / terms.height, std::nullopt);
    if (best.found() && !distance.less_than(best.distance)) return;
    const Json text =
        Json::string(fmt::format("{}{}{}", terms.width, control.separator, terms.height));
    Candidate candidate;
    candidate.values = {{control.field, word_value(control.member, text)}};
    candidate.distance = distance;
    candidate.pixels = pixels;
    candidate.shape_only = !pixels;
    if (allowed(candidate.values)) best = std::move(candidate);
  }

  void consider_numbers(Candidate& best) const {
    for (const NumberControl& control : controls_.numbers) {
      if (!control.ratio) continue;
      const double value = std::min(std::max(aspect_, control.shape->minimum.value_or(aspect_)),
                                    control.shape->maximum.value_or(aspect_));
      const SizeDistance distance = distance_to(value, std::nullopt);
      if (value <= 0 || (best.found() && !distance.less_than(best.distance))) continue;
      Candidate candidate;
      candidate.values = {{control.field, Json::number(value)}};
      candidate.distance = distance;
      candidate.shape_only = true;
      if (allowed(candidate.values)) best = std::move(candidate);
    }
  }

  void add_tier(Candidate& candidate) const {
    for (const WordControl& control : controls_.words) {
      if (!controls_.is_tier(*control.field)) continue;
      const WordControl::Word* nearest = nearest_tier(control);
      if (nearest != nullptr &&
          add_allowed(candidate, *control.field, word_value(control.member, *nearest->value)))
        return;
    }
    for (const NumberControl& control : controls_.numbers) {
      const double side = whole_numbers(*control.shape, 1, 1e6).nearest(std::sqrt(area_));
      if (!control.ratio &&
          add_allowed(candidate, *control.field, Json::integer(static_cast<std::int64_t>(side))))
        return;
    }
  }

  // Of those that are about as near the largest: 3840x2160 lies in the middle between 2K and 4K,
  // and is 4K. Null: there is no tier.
  [[nodiscard]] const WordControl::Word* nearest_tier(const WordControl& control) const noexcept {
    constexpr double about = 1.05;
    const auto is_tier = [](const WordControl::Word& word) {
      return word.term.area && !word.term.automatic;
    };
    double least = std::numeric_limits<double>::max();
    for (const WordControl::Word& word : control.words) {
      if (is_tier(word)) least = std::min(least, log_distance(*word.term.area, area_));
    }
    const WordControl::Word* nearest = nullptr;
    for (const WordControl::Word& word : control.words) {
      if (!is_tier(word) || log_distance(*word.term.area, area_) > least * about) continue;
      if (nearest == nullptr || *word.term.area > *nearest->term.area) nearest = &word;
    }
    return nearest;
  }

  static bool add_allowed(Candidate& candidate, const Field& field, Json value) {
    Values values = {{&field, std::move(value)}};
    if (!allowed(values)) return false;
    candidate.values.push_back(std::move(values.front()));
    return true;
  }

  [[nodiscard]] SizeChoice told(Candidate best) const {
    SizeChoice choice;
    const std::string wanted = to_text(wish_);
    if (!best.found()) {
      choice.note = fmt::format("{} was dropped: the model's sizes do not allow for it", wanted);
      return choice;
    }
    choice.values = std::move(best.values);
    choice.pixels = best.pixels;
    const bool pixels_wanted = wish_.kind == SizeWish::Kind::pixels;
    const Pixels wanted_pixels{wish_.width, wish_.height};
    if (best.pixels && pixels_wanted && *best.pixels == wanted_pixels) {
      choice.why = "exact";
      return choice;
    }
    if (best.pixels && best.box != nullptr) {
      choice.why =
          pixels_wanted ? "the nearest size within the model's limits" : "a size of that ratio";
      choice.note = fmt::format("{} became {}", wanted, to_text(*best.pixels));
      if (pixels_wanted)
        choice.note += fmt::format(" ({})", best.box->broken_limits(wanted_pixels));
      return choice;
    }
    choice.why = std::isinf(best.distance.aspect) ? "the nearest area; the model chooses the shape"
                 : best.distance.aspect <= 1e-9   ? "the same shape"
                                                  : "the nearest shape that the model lists";
    choice.note = wanted + " became ";
    for (std::size_t i = 0; i < choice.values.size(); ++i) {
      const auto& [field, value] = choice.values[i];
      const std::string text = value.is_string() ? std::string(*value.as_string()) : value.dump();
      choice.note += fmt::format("{}{} {}", i == 0 ? "" : ", ", field->name, text);
    }
    return choice;
  }

  const SizeWish& wish_;
  const SizeControls& controls_;
  double aspect_;
  double area_;
};

// "auto": the model's word for it, where it has one.
SizeChoice choose_automatic(const SizeControls& controls, const schema::ModelSchema& schema) {
  SizeChoice choice;
  for (const WordControl& control : controls.words) {
    for (const WordControl::Word& word : control.words) {
      if (!word.term.automatic || word.term.area) continue;
      Values values = {{control.field, word_value(control.member, *word.value)}};
      if (!allowed(values)) continue;
      choice.values = std::move(values);
      choice.why = "the model chooses";
      return choice;
    }
  }
  choice.pixels = default_pixels(schema);
  choice.why = "the model's own default";
  if (choice.pixels)
    choice.note = fmt::format("auto became the model's default {}", to_text(*choice.pixels));
  return choice;
}

}  // namespace

std::string to_text(Pixels size) { return fmt::format("{}x{}", size.width, size.height); }

std::string to_text(const SizeWish& wish) {
  switch (wish.kind) {
    case SizeWish::Kind::pixels:
      return to_text(Pixels{wish.width, wish.height});
    case SizeWish::Kind::ratio:
      return fmt::format("{}:{}", wish.width, wish.height);
    case SizeWish::Kind::automatic:
      return "auto";
    case SizeWish::Kind::none:
      break;
  }
  return {};
}

std::optional<Pixels> default_pixels(const schema::ModelSchema& schema) {
  const SizeControls controls = find_size_controls(schema);
  const auto shown = [](const Field* field) {
    return field->default_value ? read_size_term(*field->default_value) : SizeTerm{};
  };
  for (const PixelControl& control : controls.pixels) {
    if (control.shape != PixelControl::Shape::two_inputs) {
      if (const SizeTerm term = shown(control.field); term.pixels) return term.pixels;
      continue;
    }
    if (!control.field->default_value || !control.height->default_value) continue;
    const auto width = read_side(*control.field->default_value);
    const auto height = read_side(*control.height->default_value);
    if (width && height) return Pixels{*width, *height};
  }
  for (const WordControl& control : controls.words) {
    if (const SizeTerm term = shown(control.field); term.pixels) return term.pixels;
  }
  for (const TextControl& control : controls.texts) {
    if (const SizeTerm term = shown(control.field); term.pixels) return term.pixels;
  }
  return std::nullopt;
}

SizeChoice choose_size(const SizeWish& wish, const schema::ModelSchema& schema,
                       const std::vector<const Field*>& taken) {
  SizeChoice choice;
  if (wish.kind == SizeWish::Kind::none) {
    choice.pixels = taken.empty() ? default_pixels(schema) : std::nullopt;
    return choice;
  }
  const SizeControls controls = find_size_controls(schema);
  if (controls.none()) {
    if (wish.kind != SizeWish::Kind::automatic) {
      choice.note = fmt::format("{} was dropped: the model has no size control", to_text(wish));
    }
    return choice;
  }
  bool tier_is_taken = false;
  for (const Field* field : taken) {
    const bool tier = controls.is_tier(*field);
    tier_is_taken = tier_is_taken || tier;
    if (tier) continue;
    choice.note = fmt::format("{} was dropped: '{}' decides the size", to_text(wish), field->name);
    return choice;
  }
  if (wish.kind == SizeWish::Kind::automatic) return choose_automatic(controls, schema);
  return Solver(wish, controls, 1024.0 * 1024.0).solve(tier_is_taken);
}

}  // namespace falproxy::translate
