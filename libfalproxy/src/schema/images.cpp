#include "schema/images.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/text.hpp"

namespace falproxy::schema {
namespace {

using Words = std::vector<std::string_view>;

constexpr std::string_view address_words[] = {"b64",  "base64", "data", "uri",
                                              "uris", "url",    "urls"};
constexpr std::string_view picture_words[] = {"image",   "images",   "img",   "imgs",
                                              "mask",    "masks",    "photo", "photos",
                                              "picture", "pictures", "selfie"};
constexpr std::string_view other_media_words[] = {
    "archive", "audio", "checkpoint", "config", "dataset", "document", "file",     "lora",
    "loras",   "mesh",  "model",      "music",  "path",    "pdf",      "song",     "speech",
    "text",    "video", "videos",     "voice",  "webhook", "weights",  "workflow", "zip"};
constexpr std::string_view mask_words[] = {"mask", "masks"};
// Around these a mask stays the mask of the source.
constexpr std::string_view plain_mask_words[] = {"binary",  "edit",       "input",
                                                 "inpaint", "inpainting", "source"};
constexpr std::string_view control_words[] = {
    "canny", "conditioning", "control",  "controlnet", "controlnets", "depth",
    "edge",  "edges",        "guidance", "hed",        "layout",      "lineart",
    "mlsd",  "normal",       "openpose", "pidi",       "pose",        "scribble",
    "seg",   "segmentation", "sketch",   "softedge",   "structure",   "teed"};
constexpr std::string_view reference_words[] = {
    "adapter",    "appearance", "background",  "character", "characters", "clothes",
    "clothing",   "cloth",      "composition", "extra",     "face",       "faces",
    "garment",    "identity",   "ip",          "logo",      "material",   "object",
    "outfit",     "pattern",    "product",     "redux",     "ref",        "reference",
    "references", "second",     "style",       "subject",   "subjects",   "texture"};
constexpr std::string_view source_words[] = {"base",   "content", "first",   "frame",      "human",
                                             "init",   "initial", "inpaint", "inpainting", "input",
                                             "inputs", "main",    "model",   "original",   "person",
                                             "source", "src",     "start",   "target"};

template <std::size_t n>
bool among(const std::string_view (&words)[n], std::string_view word) {
  return std::ranges::find(words, word) != std::end(words);
}

template <std::size_t n>
bool any_among(const std::string_view (&words)[n], const Words& tokens) {
  return std::ranges::any_of(tokens, [&](std::string_view token) { return among(words, token); });
}

template <std::size_t n>
bool all_among(const std::string_view (&words)[n], const Words& tokens) {
  return std::ranges::all_of(tokens, [&](std::string_view token) { return among(words, token); });
}

bool is_number(std::string_view word) { return std::ranges::all_of(word, is_digit); }

// "mask_image_url" is the words mask, image and that it is an address.
struct Name {
  Words words;
  bool address = false;
};

Name split(std::string_view name) {
  Name parts;
  for_each_part(name, '_', [&](std::string_view word) {
    if (!word.empty()) parts.words.push_back(word);
  });
  // A number tells one of several apart: "image_url_2".
  while (!parts.words.empty() &&
         (among(address_words, parts.words.back()) || is_number(parts.words.back()))) {
    parts.address = parts.address || !is_number(parts.words.back());
    parts.words.pop_back();
  }
  return parts;
}

bool mentions(std::string_view text, std::initializer_list<std::string_view> words) {
  const std::string lower = to_lower(text);
  return std::ranges::any_of(
      words, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

bool has_picture_limits(const FalLimits& limits) {
  return limits.max_width || limits.max_height || limits.min_width || limits.min_height ||
         limits.min_aspect_ratio || limits.max_aspect_ratio;
}

// Does a property of this name take the address of a picture (where its type lets it)?
bool names_picture(const Name& name, const Field& field) {
  if (mentions(field.description, {"zip", "archive"})) return false;
  if (name.words.empty())
    return name.address && mentions(field.description, {"image", "picture", "photo"});
  const std::string_view noun = name.words.back();
  if (name.address) {
    if (among(picture_words, noun)) return true;
    if (among(other_media_words, noun)) return false;
    // "face_url": the noun alone does not tell.
    return any_among(picture_words, name.words) ||
           mentions(field.description, {"image", "picture", "photo", "mask"});
  }
  // "image", "garment_image": the address of a picture, or words about one?
  if (!among(picture_words, noun)) return false;
  return has_picture_limits(field.limits) ||
         mentions(field.description, {"url", "base64", "data uri", "upload"});
}

bool takes_free_string(const Field& field) {
  if (!field.branches.empty()) return std::ranges::any_of(field.branches, takes_free_string);
  return field.types.string && field.allowed.empty();
}

// The shape of the field that is an array; null: none is.
const Field* find_array(const Field& field) {
  if (field.items != nullptr) return &field;
  for (const Field& branch : field.branches) {
    if (branch.items != nullptr) return &branch;
  }
  return nullptr;
}

ImageRole role_of(Words words) {
  if (any_among(mask_words, words)) {
    std::erase_if(words, [](std::string_view word) { return among(picture_words, word); });
    return all_among(plain_mask_words, words) ? ImageRole::mask : ImageRole::other;
  }
  std::erase_if(
      words, [](std::string_view word) { return among(picture_words, word) || is_number(word); });
  if (any_among(control_words, words)) return ImageRole::control;
  if (any_among(reference_words, words)) return ImageRole::reference;
  return all_among(source_words, words) ? ImageRole::source : ImageRole::other;
}

// The member of an object that holds the address of its picture.
const Field* picture_member(const Field& object) {
  for (const Field& member : object.properties) {
    const Name name = split(member.name);
    const bool plain_url = name.words.empty() && name.address;
    if (takes_free_string(member) && (plain_url || names_picture(name, member))) return &member;
  }
  for (const Field& branch : object.branches) {
    if (const Field* member = picture_member(branch)) return member;
  }
  return nullptr;
}

std::optional<ImageField> as_image(const Field& field) {
  const Name name = split(field.name);
  const Field* array = find_array(field);
  const Field& value = array != nullptr ? *array->items : field;

  ImageField image;
  image.name = field.name;
  image.array = array != nullptr && !takes_free_string(field);
  image.required = field.required;
  if (image.array) {
    if (array->max_items == 0) return std::nullopt;
    image.min_items = std::max<std::size_t>(1, array->min_items.value_or(1));
    image.max_items = array->max_items.value_or(SIZE_MAX);
  }
  if (takes_free_string(field) || takes_free_string(value)) {
    if (!names_picture(name, field)) return std::nullopt;
    image.role = role_of(name.words);
    // Ideogram's image_urls lend their style, whatever their name promises.
    if (image.role == ImageRole::source && !field.required &&
        mentions(field.description, {"style"})) {
      image.role = ImageRole::reference;
    }
    return image;
  }
  const Field* member = picture_member(value);
  if (member == nullptr) return std::nullopt;
  const Name inner = split(member->name);
  const bool named = any_among(picture_words, name.words);
  if (!named && !names_picture(inner, *member)) return std::nullopt;
  image.member = member->name;
  Words words = name.words;
  words.insert(words.end(), inner.words.begin(), inner.words.end());
  image.role = role_of(std::move(words));
  // What else such an object needs, no request has: it is never where the picture to work on goes.
  if (!named && image.role == ImageRole::source) image.role = ImageRole::other;
  return image;
}

}  // namespace

std::vector<ImageField> find_image_fields(const std::vector<Field>& inputs) {
  std::vector<ImageField> images;
  for (const Field& field : inputs) {
    if (auto image = as_image(field)) images.push_back(*std::move(image));
  }
  if (std::ranges::find(images, ImageRole::source, &ImageField::role) == images.end()) {
    const auto first = std::ranges::find_if(images, [](const ImageField& image) {
      return image.required && image.role != ImageRole::mask;
    });
    if (first != images.end()) first->role = ImageRole::source;
  }
  std::ranges::stable_sort(
      images, {}, [](const ImageField& image) { return std::pair(!image.required, image.role); });
  return images;
}

}  // namespace falproxy::schema
