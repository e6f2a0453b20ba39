#include <algorithm>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "falproxy/media.hpp"
#include "falproxy/openai.hpp"
#include "json/access.hpp"
#include "surfaces/openai_images/fields.hpp"
#include "surfaces/openai_images/pictures.hpp"
#include "wish/files.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using Raw = nlohmann::json;

// The value that the text of a form field stands for. Where it does not read as what the field
// takes, it stays text, and the check of types names it.
Raw value_of(std::string_view field, std::string_view text, const JsonLimits& limits,
             Medium makes) {
  const std::string_view word = trim(text);
  switch (form_of(field, makes)) {
    case FieldForm::text:
      break;
    case FieldForm::integer: {
      if (Result<Raw> number = parse_raw(word, limits); number && number->is_number())
        return std::move(*number);
      break;
    }
    case FieldForm::boolean:
      if (equal_ignoring_case(word, "true") || word == "1") return true;
      if (equal_ignoring_case(word, "false") || word == "0") return false;
      break;
    case FieldForm::native: {
      if (Result<Raw> json = parse_raw(word, limits)) return std::move(*json);
      break;
    }
  }
  return std::string(text);
}

// `together`: bytes of all text so far, this part's included.
std::optional<Error> check_text(const FormPart& part, std::size_t together,
                                const RequestLimits& limits) {
  const std::string name = shown_name(part.name);
  if (!is_utf8(part.name) || !is_utf8(part.bytes)) {
    return Error{ErrorKind::invalid_value, fmt::format("Invalid '{}': text must be UTF-8.", name),
                 name};
  }
  if (part.bytes.find('\0') != std::string_view::npos) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid '{}': text must not hold the character NUL.", name), name};
  }
  if (together > limits.max_text_bytes) return too_much_text(part.name, limits.max_text_bytes);
  return std::nullopt;
}

// Adds a text field to the members; `name[]` gathers an array.
std::optional<Error> add_text(const FormPart& part, std::size_t together,
                              const RequestLimits& limits, Raw& members, Wish& request) {
  if (auto fault = check_text(part, together, limits)) return fault;
  const bool gathers = part.name.size() > 2 && part.name.ends_with("[]");
  const std::string name = gathers ? part.name.substr(0, part.name.size() - 2) : part.name;
  const auto found = members.find(name);
  if (gathers) {
    Raw& elements = found == members.end() ? members[name] = Raw::array() : *found;
    if (!elements.is_array()) elements = Raw::array({std::move(elements)});
    elements.push_back(value_of(name, part.bytes, limits.json, request.makes));
    return std::nullopt;
  }
  if (found != members.end()) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid '{0}': the field '{0}' stands twice.", shown(name)),
                 shown(name)};
  }
  // An empty field of a form is one that nobody filled in.
  if (part.bytes.empty()) return std::nullopt;
  const Raw& value = members[name] = value_of(name, part.bytes, limits.json, request.makes);
  if (form_of(name, request.makes) == FieldForm::native && !value.is_string())
    request.native_texts.emplace_back(name, part.bytes);
  return std::nullopt;
}

// A picture is looked at, and rid of its metadata, as a whole.
Result<Done> bring_back(FormPart& part, MemoryBudget* memory) {
  if (part.source == nullptr) return Done{};
  constexpr std::size_t at_once = 1u << 20;
  const auto size = static_cast<std::size_t>(part.source->size());
  CountedText whole(memory, size);
  while (whole.text().size() < size) {
    const std::string piece = part.source->read(whole.text().size(), at_once);
    if (piece.empty())
      return Error{ErrorKind::overloaded, "The file cannot be read back now. Send it again."};
    if (!whole.append(piece)) return no_memory_left();
  }
  part.owner = whole.take();
  part.bytes = *part.owner;
  part.source = nullptr;
  return Done{};
}

// A file, or text that says where the picture is, or is it.
Result<InputFile> read_picture(FormPart& part, std::string_view field, const PictureReader& reader,
                               MemoryBudget* memory) {
  if (const Result<Done> back = bring_back(part, memory); !back) return back.error();
  const bool text = !part.file_name.has_value() && !part.bytes.empty() &&
                    media::mime_type(part.bytes) == "application/octet-stream" &&
                    is_utf8(part.bytes);
  if (text) return reader.from_text(part.bytes, field);
  return reader.from_bytes(std::move(part.owner), part.bytes, part.file_name.value_or(""), field);
}

}  // namespace

Result<Wish> parse_form(Intent intent, std::vector<FormPart> parts, const RequestLimits& limits,
                        const Codecs& codecs, MemoryBudget* memory, Medium makes) {
  Wish request{.makes = makes, .intent = intent};
  const PictureReader reader(limits, codecs, memory);
  Raw members = Raw::object();
  std::size_t text_bytes = 0;
  // As in JSON, `image_url` is the model's own field beside another picture.
  const bool other_pictures = std::ranges::any_of(parts, [](const FormPart& part) {
    const std::string_view field = without_brackets(part.name);
    return !part.bytes.empty() && (field == "image" || field == "images");
  });
  for (FormPart& part : parts) {
    const std::string_view field = without_brackets(part.name);
    const bool mask = field == "mask";
    const bool own_field = field == "image_url" && other_pictures && !part.file_name.has_value();
    if (is_picture_field(field) && !own_field) {
      if (part.bytes.empty() && part.file_name.value_or("").empty())
        continue;  // a file field left empty
      if (auto fault = reader.check_number(request.images.size() + (mask ? 0 : 1)))
        return std::move(*fault);
      Result<InputFile> picture = read_picture(part, field, reader, memory);
      if (!picture) return std::move(picture).error();
      if (mask && request.mask.has_value()) {
        return Error{ErrorKind::invalid_mask, "Invalid mask image: there may be only one.", "mask"};
      }
      if (mask) {
        request.mask = std::move(*picture);
      } else {
        request.images.push_back(std::move(*picture));
      }
    } else if (part.file_name.has_value() && form_of(part.name, makes) == FieldForm::native) {
      return no_field_for_files(part.name);
    } else {
      if (!is_data_url(part.bytes)) text_bytes += part.bytes.size();
      if (auto fault = add_text(part, text_bytes, limits, members, request))
        return std::move(*fault);
    }
  }
  if (auto fault = attach_pictures(members, reader, request)) return std::move(*fault);
  if (auto fault = read_fields(members, limits, request)) return std::move(*fault);
  std::ranges::sort(request.native_texts);
  if (auto fault = reader.check(request)) return std::move(*fault);
  return request;
}

}  // namespace falproxy::inline v0::openai
