// Which picture of the request goes to which input, and the body once the pictures have addresses.

#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "base/pointer.hpp"
#include "falproxy/media.hpp"
#include "json/access.hpp"
#include "plan/draft.hpp"
#include "profile/media_inputs.hpp"
#include "profile/names.hpp"
#include "profile/vocabulary.hpp"
#include "wish/files.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

using schema::Field;

// What one input gets.
struct Share {
  const MediaInput* input;
  const Field* field;
  std::vector<std::size_t> images = {};

  [[nodiscard]] bool full() const noexcept { return images.size() >= input->max_items; }
};

std::string placeholder(const Draft& draft, std::size_t image) {
  if (image == FileSlot::mask_image) return "(mask)";
  const InputFile& input = draft.request.images[image];
  if (!input.url.empty()) return input.url;
  return fmt::format("(image {})", image + 1);
}

void send_share(Draft& draft, const Share& share, std::string_view from) {
  std::vector<Json> values;
  for (std::size_t position = 0; position < share.images.size(); ++position) {
    const std::size_t image = share.images[position];
    Json value = Json::string(placeholder(draft, image));
    std::string path;
    if (share.input->array) append_step(path, position);
    if (!share.input->member.empty()) {
      append_step(path, share.input->member);
      value = Json::object({{share.input->member, std::move(value)}});
    }
    values.push_back(std::move(value));
    draft.slots.push_back({image, share.field->name, std::move(path)});
  }
  Json value = share.input->array ? Json::array(values) : values.front();
  draft.send(*share.field, std::move(value), Source::openai, from,
             share.input->required ? "required" : "");
}

// Pictures go, in order: to each required input as many as it must have; what is left to the inputs
// that are used already and hold several, then to optional sources and references. Nothing goes to
// an optional control unless it is all there is.
void deal(std::vector<Share>& shares, std::size_t count) {
  constexpr std::array in_order = {Part::source,  Part::first, Part::reference,
                                   Part::control, Part::other, Part::last};
  std::size_t next = 0;
  const auto give = [&](Share& share, std::size_t most) {
    while (most-- > 0 && next < count && !share.full()) share.images.push_back(next++);
  };
  for (Share& share : shares) {
    if (share.input->required) give(share, share.input->min_items);
  }
  const auto give_first_optional = [&](Part part) {
    if (next > 0) return;
    // One picture prefers an input of one, several an input of many.
    for (const bool array : {count > 1, count <= 1}) {
      for (Share& share : shares) {
        if (next == 0 && share.input->part == part && share.input->array == array) give(share, 1);
      }
    }
  };
  for (const Part part : in_order) give_first_optional(part);
  for (const Part part : in_order) {
    for (Share& share : shares) {
      if (share.input->part == part && !share.images.empty()) give(share, count);
    }
  }
  for (const Part part : {Part::source, Part::first, Part::reference}) {
    for (Share& share : shares) {
      if (share.input->part == part) give(share, count);
    }
  }
}

bool is_picture(const MediaInput& input) noexcept {
  return input.medium == Medium::image && input.part != Part::mask;
}

// A video begins with its picture: it may go to what is required, and to what does not steer or end
// the video, or stands in the midst of it.
bool takes_picture(const Draft& draft, const MediaInput& input) {
  if (!is_picture(input)) return false;
  if (draft.request.makes != Medium::video || input.required) return true;
  return input.part != Part::last && input.part != Part::control &&
         !words("words", "keyframe").any_in(input.name);
}

// An edit whose picture stands where the model takes none would be paid for as a picture made of
// words alone.
std::optional<Error> check_picture_arrives(const Draft& draft) {
  if (!draft.request.images.empty()) return std::nullopt;
  const bool edits = draft.request.intent != Intent::generation || draft.request.mask;
  const auto arrives = [&](const auto& native) {
    const Draft::Entry* entry = draft.find(draft.schema.input(native.first));
    const MediaInput* file = draft.profile.file(native.first);
    return entry != nullptr && (file == nullptr || is_picture(*file)) &&
           holds_picture(draft.request, native);
  };
  const auto is_set = [&](const MediaInput& input) {
    return is_picture(input) && draft.has(draft.schema.input(input.name));
  };
  if (!edits || std::ranges::any_of(draft.request.native, arrives) ||
      std::ranges::any_of(draft.profile.media, is_set)) {
    return std::nullopt;
  }
  for (const auto& native : draft.request.native) {
    if (draft.schema.input(native.first) != nullptr || !holds_picture(draft.request, native))
      continue;
    return Error{ErrorKind::unknown_parameter,
                 fmt::format("Unknown parameter: '{}'. This model takes no picture there. Send the "
                             "picture as 'image'.",
                             wording::shown(native.first)),
                 native.first};
  }
  return Error{ErrorKind::missing_parameter,
               "Missing required parameter: 'image'. No picture came that the model could edit.",
               "image"};
}

std::optional<std::size_t> source_of(const Draft& draft) {
  const auto first_in = [&](std::string_view input) {
    std::optional<std::size_t> first;
    for (const FileSlot& slot : draft.slots) {
      if (input.empty() || slot.property == input)
        first = std::min(first.value_or(SIZE_MAX), slot.image);
    }
    return first;
  };
  const MediaInput* input = source_input(draft);
  return first_in(input == nullptr ? std::string_view() : input->name);
}

// Whoever drew the mask for another convention sees why another part was changed.
std::string_view meaning_of(MaskConvention mask) noexcept {
  switch (mask) {
    case MaskConvention::alpha:
      return "this model changes what is transparent in it";
    case MaskConvention::white:
      return "this model changes what is white in it";
    case MaskConvention::black:
      return "this model changes what is black in it";
    case MaskConvention::either:
      break;
  }
  return "sent white and transparent where to change: this model's document does not say which of "
         "the two it looks at";
}

std::optional<Error> place_mask(Draft& draft) {
  const bool sent = draft.request.mask.has_value();
  // As OpenAI does it: what was erased of the picture is the mask that the model requires.
  const bool own = !sent && draft.plan.source &&
                   media::has_alpha(draft.request.picture(*draft.plan.source).bytes);
  if (!sent && !own) return std::nullopt;
  for (const MediaInput& input : draft.profile.media) {
    const Field* field = draft.schema.input(input.name);
    if (input.part != Part::mask || input.medium != Medium::image || input.min_items > 1) continue;
    if (own && (!field->required || draft.has(field))) continue;
    if (draft.has(field)) {
      draft.drop("mask", {}, fmt::format("dropped: '{}' has a value already", field->name));
      return std::nullopt;
    }
    if (own) draft.note("mask", "none was sent: the transparent part of the picture is it");
    draft.note("mask", std::string(meaning_of(draft.plan.mask)));
    draft.plan.mask_is_source = own;
    send_share(draft, Share{&input, field, {FileSlot::mask_image}}, own ? "image" : "mask");
    return std::nullopt;
  }
  if (own) return std::nullopt;
  return Error{ErrorKind::unsupported_parameter,
               "This model takes no mask. Leave 'mask' out, or use a model that inpaints.", "mask"};
}

// A model that takes a list of any length may look at some of it only.
void tell_unused(Draft& draft) {
  for (const MediaInput& input : draft.profile.media) {
    const Draft::Entry* entry = draft.find(draft.schema.input(input.name));
    if (entry == nullptr || !entry->value.is_array() || entry->value.size() <= input.most_used)
      continue;
    draft.note(entry->source == Source::openai ? "image" : input.name,
               fmt::format("{} pictures are sent as '{}', of which the model uses the {} {} only",
                           entry->value.size(), input.name, input.uses_last ? "last" : "first",
                           input.most_used));
  }
}

}  // namespace

const MediaInput* source_input(const Draft& draft) {
  const auto found = std::ranges::find_if(draft.profile.media, [&](const MediaInput& input) {
    const bool source = input.part == Part::source || input.part == Part::first;
    return source && is_picture(input) && draft.has(draft.schema.input(input.name));
  });
  return found == draft.profile.media.end() ? nullptr : &*found;
}

bool names_pictures(std::string_view name) {
  const MediaName read = read_media_name(name);
  return read.address && read.words.size() == 1 && medium_in(read.words) == Medium::image &&
         !words("words", "mask").has(read.words.front());
}

const MediaInput* pictures_meant(const Draft& draft, std::string_view name) {
  if (!names_pictures(name) || !draft.request.images.empty()) return nullptr;
  const auto found = std::ranges::find_if(draft.profile.media, [&](const MediaInput& input) {
    const bool main = input.part == Part::source || input.part == Part::first || input.required;
    return main && is_picture(input) && !draft.has(draft.schema.input(input.name));
  });
  return found == draft.profile.media.end() ? nullptr : &*found;
}

std::optional<Error> send_pictures(Draft& draft, const std::string& name, const Json& value,
                                   const MediaInput& input) {
  const Field& field = *draft.schema.input(input.name);
  const std::size_t count = value.is_array() ? value.size() : 1;
  if (count == 0 || count > input.max_items) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("This model takes at most {} picture{} here; {} came.",
                             input.max_items, input.max_items == 1 ? "" : "s", count),
                 name};
  }
  std::vector<Json> values;
  for (std::size_t i = 0; i < count; ++i) {
    std::string before;
    if (value.is_array()) append_step(before, i);
    std::string path;
    if (input.array) append_step(path, i);
    Json one = value.is_array() ? value.at(i) : value;
    if (!input.member.empty()) {
      append_step(path, input.member);
      one = Json::object({{input.member, std::move(one)}});
    }
    values.push_back(std::move(one));
    for (std::size_t k = 0; k < draft.request.attached.size(); ++k) {
      const AttachedFile& picture = draft.request.attached[k];
      if (picture.field == name && picture.path == before)
        draft.slots.push_back({draft.request.images.size() + k, field.name, path});
    }
  }
  Json sent = input.array ? Json::array(values) : values.front();
  if (std::optional<Error> error = schema::check(field, sent, name)) return error;
  draft.note(name, fmt::format("sent as '{}'", field.name));
  draft.send(field, std::move(sent), Source::native, name, "the model's own field");
  return std::nullopt;
}

std::optional<Error> place_images(Draft& draft) {
  draft.plan.mask = draft.settings.mask.value_or(draft.profile.mask);
  const auto count = static_cast<std::size_t>(
      std::ranges::count(draft.request.images, Medium::image, &InputFile::medium));
  std::vector<Share> shares;
  bool any_picture_input = false;
  for (const MediaInput& input : draft.profile.media) {
    const Field* field = draft.schema.input(input.name);
    if (!takes_picture(draft, input)) continue;
    any_picture_input = true;
    if (!draft.has(field)) shares.push_back({&input, field});
  }
  const bool edits = draft.request.intent != Intent::generation || count > 0;
  if (edits && !any_picture_input) {
    return Error{ErrorKind::edit_unsupported,
                 "This model takes no picture: it cannot edit or vary one.", "image"};
  }
  if (std::optional<Error> error = check_picture_arrives(draft)) return error;
  deal(shares, count);
  std::size_t placed = 0;
  for (const Share& share : shares) {
    placed += share.images.size();
    if (share.images.empty()) continue;
    if (share.images.size() < share.input->min_items) {
      return Error{ErrorKind::missing_parameter,
                   fmt::format("This model needs at least {} pictures in '{}'; {} came.",
                               share.input->min_items, share.field->name, share.images.size()),
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
  tell_unused(draft);
  draft.plan.source = source_of(draft);
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

class Rendering {
 public:
  Rendering(const std::vector<FileSlot>& slots, const std::vector<Body>& addresses,
            const Body& mask_address)
      : slots_(slots), addresses_(addresses), mask_address_(mask_address) {}

  Body run(const Json& input) {
    text_ = '{';
    const char* comma = "";
    for (const std::string_view property : input.keys()) {
      text_ += std::exchange(comma, ",") + json_string(property) + ':';
      property_ = property;
      path_.clear();
      append(*input.find(property));
    }
    text_ += '}';
    append_literal(body_, text_);
    return std::move(body_);
  }

 private:
  // What stands at `path_` within `property_`.
  void append(const Json& value) {
    const auto below = std::ranges::find_if(slots_, [&](const FileSlot& slot) {
      return slot.property == property_ && slot.path.starts_with(path_);
    });
    const auto here = std::ranges::find_if(slots_, [&](const FileSlot& slot) {
      return slot.property == property_ && slot.path == path_;
    });
    if (here != slots_.end()) return append_picture(here->image);
    if (below == slots_.end() || !(value.is_array() || value.is_object())) {
      text_ += value.dump();
      return;
    }
    const std::size_t length = path_.size();
    const char* comma = "";
    text_ += value.is_array() ? '[' : '{';
    for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
      text_ += std::exchange(comma, ",");
      append_step(path_, i);
      append(value.at(i));
      path_.resize(length);
    }
    for (const std::string_view member : value.keys()) {
      text_ += std::exchange(comma, ",") + json_string(member) + ':';
      append_step(path_, member);
      append(*value.find(member));
      path_.resize(length);
    }
    text_ += value.is_array() ? ']' : '}';
  }

  void append_picture(std::size_t image) {
    const bool mask = image == FileSlot::mask_image;
    if (!mask && image >= addresses_.size()) return append_address(body_, text_, Body());
    append_address(body_, text_, mask ? mask_address_ : addresses_[image]);
  }

  const std::vector<FileSlot>& slots_;
  const std::vector<Body>& addresses_;
  const Body& mask_address_;
  std::string_view property_;
  std::string path_;
  std::string text_;
  Body body_;
};

}  // namespace

Body render(const JobInput& input, const std::vector<Body>& addresses, const Body& mask_address) {
  if (input.slots.empty()) return Body(input.input.dump());
  return Rendering(input.slots, addresses, mask_address).run(input.input);
}

}  // namespace falproxy::inline v0::plan
