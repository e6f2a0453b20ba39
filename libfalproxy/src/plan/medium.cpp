// Whether the model makes what a wish asks for, as far as its document tells.

#include <algorithm>

#include "base/fmt.hpp"
#include "plan/draft.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::plan {
namespace {

using profile::MediaInput;

// Its pictures may come beside something else: then it is sold by its category.
bool makes_pictures(const Draft& draft) {
  const std::optional<Medium> makes = draft.profile.makes;
  const bool makes_another =
      makes == Medium::video || makes == Medium::audio || makes == Medium::text;
  return !makes_another || draft.schema.category.ends_with("-to-image");
}

bool listens(const Draft& draft) {
  return std::ranges::any_of(draft.profile.media, [](const MediaInput& input) {
    return input.medium == Medium::audio || input.medium == Medium::video;
  });
}

}  // namespace

std::optional<Error> check_medium(const Draft& draft) {
  const std::optional<Medium> makes = draft.profile.makes;
  const auto refused = [&](std::string_view why) {
    return Error{
        ErrorKind::invalid_value,
        fmt::format("The model '{}' {}.", wording::shown(draft.request.model.value_or("")), why),
        "model"};
  };
  switch (draft.request.makes) {
    case Medium::image:
      if (!makes_pictures(draft)) return refused("makes no pictures");
      break;
    case Medium::video:
      if (makes.value_or(Medium::video) == Medium::video) break;
      return Error{ErrorKind::invalid_value,
                   fmt::format("Invalid 'model': it does not make videos (it makes: {}). Choose "
                               "one that does.",
                               name_of(*makes)),
                   "model"};
    case Medium::audio:
      if (makes != Medium::audio) return refused("makes no speech and no sound");
      break;
    case Medium::text:
      if (makes != Medium::text || !listens(draft))
        return refused("makes no text of what is spoken");
      break;
    default:
      break;
  }
  return std::nullopt;
}

}  // namespace falproxy::inline v0::plan
