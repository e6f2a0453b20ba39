// What size a request asks for, in whichever of its fields, and in whichever words.

#include <algorithm>

#include "base/text.hpp"
#include "plan/draft.hpp"
#include "plan/size_solver.hpp"
#include "profile/names.hpp"
#include "profile/vocabulary.hpp"
#include "wish/size.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

using Kind = SizeWish::Kind;

bool is_open(const SizeWish& wish) noexcept {
  return wish.kind == Kind::none || wish.kind == Kind::automatic;
}

const Json* native_field(const Wish& request, std::string_view name) {
  const auto found = std::ranges::find(request.native, name, &std::pair<std::string, Json>::first);
  return found == request.native.end() ? nullptr : &found->second;
}

// Where the reader of requests found `request.size`: in "size", or in the model's own "width" or
// "aspect_ratio".
std::string_view field_of_wish(const Wish& request) {
  const SizeWish& size = request.size;
  const Json* width = native_field(request, "width");
  const Json* height = native_field(request, "height");
  if (size.kind == Kind::pixels && width != nullptr && height != nullptr &&
      width->as_integer() == size.width && height->as_integer() == size.height) {
    return "width";
  }
  const Json* ratio = native_field(request, "aspect_ratio");
  if (size.kind == Kind::ratio && ratio != nullptr) {
    const SizeTerm term = read_size_term(*ratio);
    const double aspect = static_cast<double>(size.width) / size.height;
    if (term.aspect && log_distance(*term.aspect, aspect) < 1e-9) return "aspect_ratio";
  }
  return "size";
}

// What a client writes is a size from its first word on, other than the labels of documents.
SizeTerm read_wish(const Json& value) {
  const std::optional<std::string_view> text = value.as_string();
  if (text && (text->empty() || !is_digit(text->front()))) {
    const std::size_t digit = std::min(text->find_first_of("0123456789"), text->size());
    if (read_size_term(text->substr(0, digit)).says_nothing()) return {};
  }
  SizeTerm term = read_size_term(value);
  const bool too_large =
      term.pixels && (term.pixels->width > max_edge || term.pixels->height > max_edge);
  return too_large ? SizeTerm{} : term;
}

std::string text_of(const Json& value) {
  const std::optional<std::string_view> text = value.as_string();
  return text ? wording::shown(*text) : value.dump();
}

// A shape, or an area, that nobody has said yet; false: `term` adds nothing.
bool take(AskedSize& asked, const SizeTerm& term, std::string text) {
  const bool open = is_open(asked.wish);
  if (open && (term.aspect || term.automatic)) {
    asked.wish = {Kind::automatic};
    if (term.pixels) {
      asked.wish = {Kind::pixels, term.pixels->width, term.pixels->height};
    } else if (term.aspect) {
      const Pixels ratio = simple_ratio(*term.aspect, 99);
      asked.wish = {Kind::ratio, ratio.width, ratio.height};
    }
    if (!term.pixels && term.area && !asked.area) asked.area = term.area;
    asked.shape = std::move(text);
    return true;
  }
  if (!term.area || term.aspect || asked.area || asked.wish.kind == Kind::pixels) return false;
  asked.area = term.area;
  asked.tier = std::move(text);
  return true;
}

// The model's own words of its size inputs, for a message.
std::string own_words(const Draft& draft) {
  std::string words;
  for (const WordControl& control : draft.profile.sizes->words)
    words += (words.empty() ? "" : ", ") + list_values(*control.field);
  return words;
}

std::optional<Error> read_word(Draft& draft, const std::string& word) {
  const SizeTerm term = read_wish(Json::string(word));
  draft.asked.word = word;
  take(draft.asked, term, word);
  const bool listed = !listed_size(word, *draft.profile.sizes).values.empty();
  if (listed || !term.says_nothing()) return std::nullopt;
  return wording::unsupported_size(word, own_words(draft));
}

// Whether the model has no such input, and the field can mean nothing but a size; or the model has
// it and is told pixels in another form than it takes.
bool is_wish(const Draft& draft, std::string_view name, const Json& value, const SizeTerm& term) {
  const schema::Field* input = draft.schema.input(name);
  if (input == nullptr) return is_size_name(snake_case(name));
  return term.pixels && draft.profile.sizes->has(*input) &&
         schema::check(*input, value, name).has_value();
}

}  // namespace

bool AskedSize::said_by(std::string_view name) const noexcept {
  return std::ranges::find(natives, name) != natives.end();
}

std::string AskedSize::text() const {
  return shape.empty() || tier.empty() ? shape + tier : shape + ", " + tier;
}

std::optional<Error> read_size(Draft& draft) {
  const Wish& request = draft.request;
  AskedSize& asked = draft.asked;
  asked.wish = request.size;
  asked.shape = to_text(request.size);
  asked.field = field_of_wish(request);
  for (const std::string_view name : {"width", "height", "aspect_ratio"}) {
    const bool beside = asked.field == "width" && name == "height";
    if ((name == asked.field || beside) && draft.schema.input(name) == nullptr)
      asked.natives.push_back(name);
  }
  if (request.size_word) {
    if (std::optional<Error> error = read_word(draft, *request.size_word)) return error;
  }
  for (const auto& [name, value] : request.native) {
    if (asked.said_by(name)) continue;
    const SizeTerm term = read_wish(value);
    const bool open = is_open(asked.wish) && asked.word.empty();
    if (term.says_nothing() || !is_wish(draft, name, value, term) ||
        !take(asked, term, text_of(value)))
      continue;
    asked.natives.emplace_back(name);
    if (open) asked.field = name;
  }
  return std::nullopt;
}

bool asks_for_a_size(const Draft& draft) noexcept {
  return !is_open(draft.asked.wish) || draft.asked.area || !draft.asked.word.empty();
}

}  // namespace falproxy::inline v0::plan
