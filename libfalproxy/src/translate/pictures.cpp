// Which picture of the request goes to which input, and the body once the pictures have addresses.

#include <algorithm>

#include "base/fmt.hpp"
#include "json/access.hpp"
#include "translate/draft.hpp"

namespace falproxy::translate {
namespace {

using schema::Field;
using schema::ImageField;
using schema::ImageRole;

// What one input gets.
struct Share {
  const ImageField* image_field;
  const Field* field;
  std::vector<std::size_t> images = {};

  [[nodiscard]] bool full() const noexcept { return images.size() >= image_field->max_items; }
};

std::string placeholder(const Draft& draft, std::size_t image) {
  if (image == ImageSlot::mask_image) return "(mask)";
  const openai::ImageInput& input = draft.request.images[image];
  if (!input.url.empty() && !input.url.starts_with("data:")) return input.url;
  return fmt::format("(image {})", image + 1);
}

void send_share(Draft& draft, const Share& share, std::string_view from) {
  std::vector<Json> values;
  for (std::size_t position = 0; position < share.images.size(); ++position) {
    const std::size_t image = share.images[position];
    Json value = Json::string(placeholder(draft, image));
    if (!share.image_field->member.empty())
      value = Json::object({{share.image_field->member, std::move(value)}});
    values.push_back(std::move(value));
    draft.slots.push_back({image, share.field->name, share.image_field->member,
                           share.image_field->array ? std::optional(position) : std::nullopt});
  }
  Json value = share.image_field->array ? Json::array(values) : values.front();
  draft.send(*share.field, std::move(value), Source::openai, from,
             share.image_field->required ? "required" : "");
}

// Pictures go, in order: to each required input as many as it must have; what is left to the inputs
// that are used already and hold several, then to optional sources and references. Nothing goes to
// an optional control unless it is all there is.
void deal(std::vector<Share>& shares, std::size_t count) {
  std::size_t next = 0;
  const auto give = [&](Share& share, std::size_t most) {
    while (most-- > 0 && next < count && !share.full()) share.images.push_back(next++);
  };
  for (Share& share : shares) {
    if (share.image_field->required) give(share, share.image_field->min_items);
  }
  const auto give_first_optional = [&](ImageRole role) {
    if (next > 0) return;
    // One picture prefers an input of one, several an input of many.
    for (const bool array : {count > 1, count <= 1}) {
      for (Share& share : shares) {
        if (next == 0 && share.image_field->role == role && share.image_field->array == array)
          give(share, 1);
      }
    }
  };
  for (const ImageRole role :
       {ImageRole::source, ImageRole::reference, ImageRole::control, ImageRole::other}) {
    give_first_optional(role);
  }
  for (const ImageRole role :
       {ImageRole::source, ImageRole::reference, ImageRole::control, ImageRole::other}) {
    for (Share& share : shares) {
      if (share.image_field->role == role && !share.images.empty()) give(share, count);
    }
  }
  for (const ImageRole role : {ImageRole::source, ImageRole::reference}) {
    for (Share& share : shares) {
      if (share.image_field->role == role) give(share, count);
    }
  }
}

std::optional<Error> place_mask(Draft& draft) {
  if (!draft.request.mask) return std::nullopt;
  for (const ImageField& image_field : draft.schema.image_fields) {
    const Field* field = draft.schema.input(image_field.name);
    if (image_field.role != ImageRole::mask || field == nullptr || image_field.min_items > 1)
      continue;
    if (draft.has(field)) {
      draft.drop("mask", {}, fmt::format("dropped: '{}' has a value already", field->name));
    } else {
      send_share(draft, Share{&image_field, field, {ImageSlot::mask_image}}, "mask");
    }
    return std::nullopt;
  }
  return Error{ErrorKind::unsupported_parameter,
               "This model takes no mask. Leave 'mask' out, or use a model that inpaints.", "mask"};
}

bool lists(const Field* field, std::string_view word) {
  return field != nullptr && find_listed(*field, word) != nullptr;
}

// A model that passes OpenAI's own parameters through wants OpenAI's own masks.
bool is_openai_like(const Draft& draft) {
  const Field* quality = draft.inputs[Role::quality];
  if (!lists(quality, "low") || !lists(quality, "medium") || !lists(quality, "high")) return false;
  return lists(draft.schema.input("image_size"), "1024x1024") ||
         lists(draft.schema.input("size"), "1024x1024") ||
         lists(draft.inputs[Role::background], "transparent") ||
         draft.inputs[Role::fidelity] != nullptr;
}

}  // namespace

std::optional<Error> place_images(Draft& draft) {
  draft.plan.mask = draft.settings.mask.value_or(is_openai_like(draft) ? MaskConvention::alpha
                                                                       : MaskConvention::white);
  const std::size_t count = draft.request.images.size();
  std::vector<Share> shares;
  bool any_picture_input = false;
  for (const ImageField& image_field : draft.schema.image_fields) {
    const Field* field = draft.schema.input(image_field.name);
    if (field == nullptr || image_field.role == ImageRole::mask) continue;
    any_picture_input = true;
    if (!draft.has(field)) shares.push_back({&image_field, field});
  }
  const bool edits = draft.request.operation != openai::ImageOperation::generation || count > 0;
  if (edits && !any_picture_input) {
    return Error{ErrorKind::edit_unsupported,
                 "This model takes no picture: it cannot edit or vary one.", "image"};
  }
  deal(shares, count);
  std::size_t placed = 0;
  for (const Share& share : shares) {
    placed += share.images.size();
    if (share.images.empty()) continue;
    if (share.images.size() < share.image_field->min_items) {
      return Error{
          ErrorKind::missing_parameter,
          fmt::format("This model needs at least {} pictures in '{}'; {} came.",
                      share.image_field->min_items, share.field->name, share.images.size()),
          "image"};
    }
    send_share(draft, share, "image");
  }
  if (placed < count) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("This model takes at most {} picture{} here; {} came.", placed,
                             placed == 1 ? "" : "s", count),
                 "image"};
  }
  return place_mask(draft);
}

namespace {

void append_literal(Body& body, std::string& text) {
  if (!text.empty()) body.append(std::exchange(text, {}));
}

bool needs_escapes(const Body& address) {
  return std::ranges::any_of(address.pieces(), [](const Piece& piece) {
    return std::ranges::any_of(piece.bytes, [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte < 0x20 || byte >= 0x80 || c == '"' || c == '\\';
    });
  });
}

void append_address(Body& body, std::string& text, const Body& address) {
  if (needs_escapes(address)) {
    text += json_string(address.str());
    return;
  }
  text += '"';
  append_literal(body, text);
  body.append(address);
  text += '"';
}

}  // namespace

Body render(const FalInput& input, const std::vector<Body>& addresses, const Body& mask_address) {
  if (input.slots.empty()) return Body(input.input.dump());
  Body body;
  std::string text = "{";
  const auto slot_of = [&](std::string_view property, std::optional<std::size_t> element) {
    return std::ranges::find_if(input.slots, [&](const ImageSlot& slot) {
      return slot.property == property && (!element || slot.element == element);
    });
  };
  const auto append_slot = [&](const ImageSlot& slot) {
    if (!slot.member.empty()) text += '{' + json_string(slot.member) + ':';
    const bool known = slot.image == ImageSlot::mask_image || slot.image < addresses.size();
    append_address(body, text,
                   slot.image == ImageSlot::mask_image ? mask_address
                   : known                             ? addresses[slot.image]
                                                       : Body());
    if (!slot.member.empty()) text += '}';
  };
  for (const std::string_view property : input.input.keys()) {
    if (text.size() > 1 || !body.empty()) text += ',';
    text += json_string(property) + ':';
    const Json value = *input.input.find(property);
    if (slot_of(property, {}) == input.slots.end()) {
      text += value.dump();
    } else if (!value.is_array()) {
      append_slot(*slot_of(property, {}));
    } else {
      text += '[';
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (i > 0) text += ',';
        const auto slot = slot_of(property, i);
        if (slot == input.slots.end()) {
          text += value.at(i).dump();
        } else {
          append_slot(*slot);
        }
      }
      text += ']';
    }
  }
  text += '}';
  append_literal(body, text);
  return body;
}

}  // namespace falproxy::translate
