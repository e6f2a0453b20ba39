#include "plan/size_solver.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/fmt.hpp"
#include "profile/shapes.hpp"
#include "profile/sizes.hpp"
#include "profile/vocabulary.hpp"
#include "profile/whole_numbers.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;

namespace {

using schema::Field;
using Values = std::vector<std::pair<const Field*, Json>>;

// Of a picture that has a ratio only, where the model says nothing: as of one that has pixels.
constexpr double longest_side = 16384;

// Of a request, or a default, that says nothing of the area.
constexpr double usual_area = 1024.0 * 1024.0;
// On the logarithm: what multiples of 16 make of a shape is the same one.
constexpr double same_shape = 0.02;
// Few models make wider pictures than 3:1 (or higher ones), and few documents say so.
constexpr double most_usual_aspect = 3;

// One way to meet a wish.
struct Candidate {
  Values values;
  SizeDistance distance{std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::infinity()};
  std::optional<Pixels> pixels;
  const PixelBox* box = nullptr;                // the limits that were kept, where pixels are sent
  bool shape_only = false;                      // a tier may say how large
  std::optional<double> aspect = std::nullopt;  // of that shape

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

bool allowed(const Values& values) {
  return std::ranges::all_of(values, [](const auto& value) {
    return !schema::check(*value.first, value.second, value.first->name).has_value();
  });
}

class Solver {
 public:
  // `area`: of a ratio, if anybody says how large it is to be; else it is `usual`.
  Solver(const SizeWish& wish, const SizeControls& controls, std::string said,
         std::optional<double> area, double usual = usual_area)
      : wish_(wish),
        controls_(controls),
        said_(std::move(said)),
        aspect_(static_cast<double>(wish.width) / wish.height),
        area_(wish.kind == SizeWish::Kind::pixels ? static_cast<double>(wish.width) * wish.height
                                                  : area.value_or(usual)),
        says_area_(wish.kind == SizeWish::Kind::pixels || area) {}

  [[nodiscard]] SizeChoice solve_area() const {
    Candidate tier;
    add_tier(tier);
    return tier.found() ? told(std::move(tier)) : solve(true);
  }

  [[nodiscard]] SizeChoice solve(bool tier_is_taken) const {
    Candidate best = best_pixels();
    if (best.found() && best.distance.aspect == 0 && best.distance.area == 0)
      return told(std::move(best));
    consider_words(best);
    consider_texts(best);
    consider_numbers(best);
    if ((!best.found() || best.shape_only) && !tier_is_taken && says_area_) add_tier(best);
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
    const auto side = [](double pixels) {
      return std::clamp(std::floor(pixels / 16) * 16, 16.0, longest_side);
    };
    return box.nearest(side(width), side(width / aspect_));
  }

  // Both sides multiples of 16, which every model can make, in exactly the ratio, and no larger
  // than the area, above which the next price begins; none where no such size is near.
  [[nodiscard]] std::optional<Pixels> pixels_of_ratio() const {
    const std::uint32_t divisor = std::gcd(wish_.width, wish_.height);
    const std::uint32_t width = wish_.width / divisor;
    const std::uint32_t height = wish_.height / divisor;
    const double unit = std::lcm(16U / std::gcd(16U, width), 16U / std::gcd(16U, height));
    const double times =
        std::max(1.0, std::floor(std::sqrt(area_ / (static_cast<double>(width) * height)) / unit));
    const double w = width * unit * times;
    const double h = height * unit * times;
    if (w * h > area_ || log_distance(w * h, area_) > std::log(1.5)) return std::nullopt;
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
      candidate.aspect = nearest->term.aspect;
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
      const WordControl::Word* nearest = nearest_tier(control, candidate.aspect.value_or(aspect_));
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
  // and is 4K. Of a video's, which are lines, simply the nearest. Null: there is no tier.
  [[nodiscard]] const WordControl::Word* nearest_tier(const WordControl& control,
                                                      double aspect) const noexcept {
    const double about = controls_.of_videos ? 1 + 1e-9 : 1.05;
    const auto is_tier = [](const WordControl::Word& word) {
      return word.term.area && !word.term.automatic;
    };
    const auto area_of = [&](const WordControl::Word& word) {
      return controls_.of_videos && word.term.lines ? area_of_lines(*word.term.lines, aspect)
                                                    : *word.term.area;
    };
    double least = std::numeric_limits<double>::max();
    for (const WordControl::Word& word : control.words) {
      if (is_tier(word)) least = std::min(least, log_distance(area_of(word), area_));
    }
    const WordControl::Word* nearest = nullptr;
    for (const WordControl::Word& word : control.words) {
      if (!is_tier(word) || log_distance(area_of(word), area_) > least * about) continue;
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
    if (!best.found()) {
      choice.note = fmt::format("{} was dropped: the model's sizes do not allow for it", said_);
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
      choice.note = fmt::format("{} became {}", said_, to_text(*best.pixels));
      if (pixels_wanted)
        choice.note += fmt::format(" ({})", best.box->broken_limits(wanted_pixels));
      return choice;
    }
    choice.why = std::isinf(best.distance.aspect) ? "the nearest area; the model chooses the shape"
                 : best.distance.aspect <= 1e-9   ? "the same shape"
                                                  : "the nearest shape that the model lists";
    choice.note = said_ + " became ";
    for (std::size_t i = 0; i < choice.values.size(); ++i) {
      const auto& [field, value] = choice.values[i];
      const std::string text = value.is_string() ? std::string(*value.as_string()) : value.dump();
      choice.note += fmt::format("{}{} {}", i == 0 ? "" : ", ", field->name, text);
    }
    return choice;
  }

  const SizeWish& wish_;
  const SizeControls& controls_;
  const std::string said_;
  const double aspect_;
  const double area_;
  const bool says_area_;
};

// "auto": the model's word for it, where it has one.
SizeChoice choose_automatic(const SizeControls& controls) {
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
  choice.pixels = default_pixels(controls);
  choice.why = "the model's own default";
  if (choice.pixels)
    choice.note = fmt::format("auto became the model's default {}", to_text(*choice.pixels));
  return choice;
}

// The input that decides the size already; null: none, or one that only says how large.
const Field* decides_size(const SizeControls& controls, const std::vector<const Field*>& taken) {
  const auto decides = [&](const Field* field) { return !controls.is_tier(*field); };
  const auto found = std::ranges::find_if(taken, decides);
  return found == taken.end() ? nullptr : *found;
}

}  // namespace

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

// The first of the controls' defaults that says `what` (pixels, or a shape).
template <class What>
SizeTerm first_default(const SizeControls& controls, What what) {
  const auto shown = [](const Field* field) {
    return field->default_value ? read_size_term(*field->default_value) : SizeTerm{};
  };
  for (const PixelControl& control : controls.pixels) {
    SizeTerm term = shown(control.field);
    if (control.shape == PixelControl::Shape::two_inputs) {
      if (!control.field->default_value || !control.height->default_value) continue;
      term = read_size_term(
          Json::array({*control.field->default_value, *control.height->default_value}));
    }
    if (term.*what) return term;
  }
  for (const WordControl& control : controls.words) {
    if (const SizeTerm term = shown(control.field); term.*what) return term;
  }
  for (const TextControl& control : controls.texts) {
    if (const SizeTerm term = shown(control.field); term.*what) return term;
  }
  return {};
}

std::optional<Pixels> default_pixels(const SizeControls& controls) {
  return first_default(controls, &SizeTerm::pixels).pixels;
}

SizeChoice choose_size(const SizeWish& wish, const SizeControls& controls,
                       const std::vector<const Field*>& taken, std::optional<double> area,
                       std::string said) {
  SizeChoice choice;
  if (said.empty()) said = to_text(wish);
  const bool open = wish.kind == SizeWish::Kind::none || wish.kind == SizeWish::Kind::automatic;
  if (wish.kind == SizeWish::Kind::none && !area) {
    choice.pixels = taken.empty() ? default_pixels(controls) : std::nullopt;
    return choice;
  }
  if (controls.none()) {
    if (!open || area)
      choice.note = fmt::format("{} was dropped: the model has no size control", said);
    return choice;
  }
  if (const Field* field = decides_size(controls, taken)) {
    choice.note = fmt::format("{} was dropped: '{}' decides the size", said, field->name);
    return choice;
  }
  if (open && !area) return choose_automatic(controls);
  if (!open) return Solver(wish, controls, std::move(said), area).solve(!taken.empty());
  const Pixels usual =
      simple_ratio(first_default(controls, &SizeTerm::aspect).aspect.value_or(1), 99);
  const SizeWish shape{SizeWish::Kind::ratio, usual.width, usual.height};
  return Solver(shape, controls, std::move(said), area).solve_area();
}

SizeChoice smallest_tier(const SizeControls& controls, const Field& field) {
  const auto size_of = [](const WordControl::Word& word) {
    return word.term.lines ? *word.term.lines * *word.term.lines : *word.term.area;
  };
  SizeChoice choice;
  double least = std::numeric_limits<double>::max();
  for (const WordControl& control : controls.words) {
    if (control.field != &field) continue;
    for (const WordControl::Word& word : control.words) {
      if (!word.term.area || word.term.automatic || size_of(word) >= least) continue;
      Values values = {{&field, word_value(control.member, *word.value)}};
      if (!allowed(values)) continue;
      least = size_of(word);
      choice.values = std::move(values);
      const auto text = word.value->as_string();
      choice.note = fmt::format("required, and not given: {} was chosen, the smallest",
                                text ? std::string(*text) : word.value->dump());
    }
  }
  choice.why = "the smallest, which costs least";
  return choice;
}

SizeChoice listed_size(std::string_view word, const SizeControls& controls) {
  for (const WordControl& control : controls.words) {
    for (const WordControl::Word& one : control.words) {
      const std::optional<std::string_view> text = one.value->as_string();
      if (!text || !same_word(*text, word)) continue;
      Values values = {{control.field, word_value(control.member, *one.value)}};
      if (!allowed(values)) continue;
      std::string note;
      if (*text != word) note = fmt::format("{} became {} {}", word, control.field->name, *text);
      return {std::move(values), one.term.pixels, "the model's own word", std::move(note)};
    }
  }
  return {};
}

SizeChoice keep_shape(Pixels picture, const SizeControls& controls,
                      const std::vector<const Field*>& taken) {
  const SizeTerm usual = first_default(controls, &SizeTerm::aspect);
  const double aspect = static_cast<double>(picture.width) / picture.height;
  if (!usual.aspect || log_distance(*usual.aspect, aspect) < same_shape) return {};
  if (std::abs(std::log(aspect)) > std::log(most_usual_aspect)) return {};
  if (decides_size(controls, taken) != nullptr) return {};
  SizeChoice choice = choose_automatic(controls);
  if (choice.values.empty()) {
    const std::uint32_t divisor = std::gcd(picture.width, picture.height);
    const SizeWish shape{SizeWish::Kind::ratio, picture.width / divisor, picture.height / divisor};
    choice = Solver(shape, controls, to_text(shape), std::nullopt, usual.area.value_or(usual_area))
                 .solve(!taken.empty());
  }
  const auto is_default = [](const auto& value) {
    return value.first->default_value == value.second;
  };
  if (std::ranges::all_of(choice.values, is_default)) return {};
  choice.note = "the picture's shape" + (choice.note.empty() ? " is kept" : ", " + choice.note);
  return choice;
}

}  // namespace falproxy::inline v0::plan
