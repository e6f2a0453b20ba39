// The model's own fields: of the request, and of the operator's settings.

#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "translate/draft.hpp"
#include "translate/size_controls.hpp"

namespace falproxy::translate {
namespace {

using schema::Field;

// Fields of OpenAI's that fal has nothing for in any model. They are known, so STRICT_PARAMETERS
// lets them pass.
constexpr std::array<std::string_view, 7> openai_only = {
    "complexity",        "frame_count", "frame_duration_ms", "markup", "resolution",
    "safety_identifier", "svg",
};

// By these a request may ask for a size in any model's way; openai::ImageRequest::size holds them
// as well.
bool is_size_word(std::string_view name) noexcept {
  return name == "aspect_ratio" || name == "width" || name == "height";
}

const Json* native_field(const openai::ImageRequest& request, std::string_view name) {
  const auto found = std::ranges::find(request.native, name, &std::pair<std::string, Json>::first);
  return found == request.native.end() ? nullptr : &found->second;
}

// An operator's field that does not fit is the operator's to mend: the client gets no 400 for it.
Error operator_error(Error error, std::string_view where, std::string_view name) {
  error.kind = ErrorKind::invalid_settings;
  error.message = fmt::format("The operator's setting {}.{} does not fit this model: {}", where,
                              name, error.message);
  error.field = fmt::format("{}.{}", where, name);
  return error;
}

std::optional<Error> send_settings(Draft& draft,
                                   const std::vector<std::pair<std::string, Json>>& fields,
                                   Source source) {
  const std::string_view where = source == Source::operator_override ? "overrides" : "defaults";
  for (const auto& [name, value] : fields) {
    const Field* field = draft.schema.input(name);
    if (field == nullptr) {
      if (draft.options.strict_parameters) {
        return operator_error({ErrorKind::unknown_parameter, "the model has no such input."}, where,
                              name);
      }
      draft.drop(name, value,
                 fmt::format("dropped from the operator's {}: the model has no such input", where));
      continue;
    }
    const bool n_is_given = draft.request.n && field == draft.inputs[Role::count];
    if (draft.has(field) || (n_is_given && source == Source::operator_default)) continue;
    if (std::optional<Error> error = schema::check(*field, value, name)) {
      return operator_error(*std::move(error), where, name);
    }
    draft.send(*field, value, source, {}, fmt::format("the operator's {}", where));
  }
  return std::nullopt;
}

bool asks_for_a_size(const openai::SizeWish& wish) noexcept {
  return wish.kind == openai::SizeWish::Kind::pixels || wish.kind == openai::SizeWish::Kind::ratio;
}

}  // namespace

std::string_view size_field(const openai::ImageRequest& request) {
  using Kind = openai::SizeWish::Kind;
  const openai::SizeWish& size = request.size;
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

std::optional<Error> send_overrides(Draft& draft) {
  return send_settings(draft, draft.settings.overrides, Source::operator_override);
}

std::optional<Error> send_native_fields(Draft& draft) {
  for (const auto& [name, value] : draft.request.native) {
    const Field* field = draft.schema.input(name);
    if (field == nullptr) {
      if (is_size_word(name) && size_field(draft.request) == (name == "height" ? "width" : name)) {
        continue;  // it is in the size, which is mapped
      }
      const bool known =
          is_size_word(name) || std::ranges::find(openai_only, name) != openai_only.end();
      if (draft.options.strict_parameters && !known) {
        return Error{
            ErrorKind::unknown_parameter,
            fmt::format(
                "Unknown parameter: '{}'. Neither OpenAI's images API nor this model has it.",
                name),
            name};
      }
      draft.drop(name, value, "dropped: the model has no such input");
      continue;
    }
    if (draft.has(field)) {
      draft.drop(name, value, "dropped: the operator's overrides decide it");
      continue;
    }
    if (std::optional<Error> error = schema::check(*field, value, name)) return error;
    draft.send(*field, value, Source::native, name, "the model's own field");
  }
  return std::nullopt;
}

std::optional<Error> send_defaults(Draft& draft) {
  if (!asks_for_a_size(draft.request.size))
    return send_settings(draft, draft.settings.defaults, Source::operator_default);
  // The request's size has been mapped; a default for another size control would contradict it.
  std::vector<std::pair<std::string, Json>> fields = draft.settings.defaults;
  std::erase_if(fields, [](const auto& field) { return is_size_name(field.first); });
  return send_settings(draft, fields, Source::operator_default);
}

}  // namespace falproxy::translate
