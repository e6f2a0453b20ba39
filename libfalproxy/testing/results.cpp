#include "results.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "decimal.hpp"

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

constexpr std::uint32_t variants =
    32;  // different pictures of one size: load tests meet a warm cache soon
constexpr std::uint32_t default_edge = 1024;
constexpr int most_pictures = 16;

struct Size {
  std::uint32_t width = default_edge;
  std::uint32_t height = default_edge;
};

const json* find(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const json* property(const Model& model, const char* name) {
  const json* properties = find(model.input(), "properties");
  return properties == nullptr ? nullptr : find(*properties, name);
}

/// The value in the input, or the document's default.
const json* value_of(const Model& model, const json& input, const char* name) {
  if (const json* given = find(input, name)) return given;
  const json* known = property(model, name);
  return known == nullptr ? nullptr : find(*known, "default");
}

std::string text_of(const Model& model, const json& input, const char* name) {
  const json* value = value_of(model, input, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::uint32_t edge(const json* value, std::uint32_t otherwise) {
  if (value == nullptr || !value->is_number()) return otherwise;
  return static_cast<std::uint32_t>(std::clamp(value->get<double>(), 1.0, 14142.0));
}

/// `W<separator>H`; none where the text is anything else.
std::optional<std::pair<double, double>> pair_of(std::string_view text, char separator) {
  const std::size_t at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const double first = number_in(text.substr(0, at));
  const double second = number_in(text.substr(at + 1));
  if (first <= 0 || second <= 0) return std::nullopt;
  return std::pair(first, second);
}

std::optional<Size> size_of_word(std::string_view word) {
  struct Preset {
    std::string_view name;
    Size size;
  };
  static constexpr Preset presets[] = {
      {"square_hd", {1024, 1024}},    {"square", {512, 512}},
      {"portrait_4_3", {768, 1024}},  {"portrait_16_9", {576, 1024}},
      {"landscape_4_3", {1024, 768}}, {"landscape_16_9", {1024, 576}},
      {"portrait_3_2", {1024, 1536}}, {"landscape_3_2", {1536, 1024}},
      {"auto_2K", {2048, 2048}},      {"auto_3K", {3072, 3072}},
      {"auto_4K", {4096, 4096}},
  };
  for (const Preset& preset : presets) {
    if (preset.name == word) return preset.size;
  }
  if (const auto pixels = pair_of(word, 'x')) {
    return Size{static_cast<std::uint32_t>(std::min(pixels->first, 14142.0)),
                static_cast<std::uint32_t>(std::min(pixels->second, 14142.0))};
  }
  return std::nullopt;
}

double area_of(std::string_view resolution) {
  struct Row {
    std::string_view name;
    double edge;
  };
  static constexpr Row rows[] = {{"0.5K", 512}, {"1K", 1024},   {"2K", 2048},   {"4K", 4096},
                                 {"480p", 640}, {"720p", 1024}, {"1080p", 1440}};
  for (const Row& row : rows) {
    if (row.name == resolution) return row.edge * row.edge;
  }
  return static_cast<double>(default_edge) * default_edge;
}

/// The size with the area of `resolution` and the shape of `ratio`, in steps of 16 as most models
/// have it.
Size size_of_ratio(double ratio, std::string_view resolution) {
  const double width = std::sqrt(area_of(resolution) * ratio);
  const auto step = [](double pixels) {
    return static_cast<std::uint32_t>(std::max(std::round(pixels / 16), 1.0)) * 16;
  };
  return {step(width), step(width / ratio)};
}

Size size_of(const Model& model, const json& input) {
  if (const json* size = value_of(model, input, "image_size")) {
    if (size->is_object())
      return {edge(find(*size, "width"), 512), edge(find(*size, "height"), 512)};
    if (size->is_string())
      return size_of_word(size->get_ref<const std::string&>()).value_or(Size{});
  }
  const json* width = value_of(model, input, "width");
  const json* height = value_of(model, input, "height");
  if (width != nullptr && height != nullptr)
    return {edge(width, default_edge), edge(height, default_edge)};

  const std::string resolution = text_of(model, input, "resolution");
  std::string ratio = text_of(model, input, "aspect_ratio");
  if (const json* object = value_of(model, input, "aspect_ratio");
      object != nullptr && object->is_object()) {
    if (const json* inner = find(*object, "ratio"); inner != nullptr && inner->is_string())
      ratio = *inner;
  }
  if (const auto pixels = size_of_word(ratio)) return *pixels;
  if (const auto parts = pair_of(ratio, ':'))
    return size_of_ratio(parts->first / parts->second, resolution);
  return resolution.empty() ? Size{} : size_of_ratio(1, resolution);
}

int count_of(const Model& model, const json& input) {
  for (const char* name : {"num_images", "max_images", "num_samples", "num_results"}) {
    if (property(model, name) == nullptr) continue;
    const json* count = value_of(model, input, name);
    if (count != nullptr && count->is_number())
      return std::clamp(count->get<int>(), 1, most_pictures);
  }
  return 1;
}

std::string format_of(const Model& model, const json& input) {
  for (const char* name : {"output_format", "format", "image_format"}) {
    if (std::string word = text_of(model, input, name); !word.empty()) return word;
  }
  return "png";
}

std::uint32_t hash(std::string_view text, std::uint64_t seed) {
  std::uint64_t value = 1469598103934665603u ^ seed;  // FNV-1a
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return static_cast<std::uint32_t>(value ^ value >> 32);
}

/// Something of the type that `schema` wants.
json placeholder(const Model& model, const json& schema) {
  const json& resolved = model.resolve(schema);
  if (const json* otherwise = find(resolved, "default")) return *otherwise;
  if (const json* allowed = find(resolved, "enum"); allowed != nullptr && !allowed->empty())
    return (*allowed)[0];
  const json* type = find(resolved, "type");
  if (type == nullptr) return nullptr;
  if (*type == "string") return "";
  if (*type == "integer") return 0;
  if (*type == "number") return 0.0;
  if (*type == "boolean") return false;
  if (*type == "array") return json::array();
  return json::object();
}

/// Gives `object` every property that `schema` requires and nobody has filled in.
void fill_required(const Model& model, const json& schema, json& object) {
  const json* required = find(schema, "required");
  const json* properties = find(schema, "properties");
  if (required == nullptr || properties == nullptr) return;
  for (const json& name : *required) {
    if (!name.is_string() || object.contains(name.get_ref<const std::string&>())) continue;
    const json* known = find(*properties, name.get_ref<const std::string&>().c_str());
    object[name.get_ref<const std::string&>()] =
        known == nullptr ? json() : placeholder(model, *known);
  }
}

json write_picture(const Model& model, const json* unresolved, const Picture& picture,
                   std::string url, std::size_t index) {
  static const json says_nothing = json::object();
  const json& schema = model.resolve(unresolved == nullptr ? says_nothing : *unresolved);
  const json* properties = find(schema, "properties");
  json entry = json::object();
  const auto put = [&](const char* name, json value) {
    if (properties == nullptr || properties->contains(name)) entry[name] = std::move(value);
  };
  put("url", std::move(url));
  put("content_type", media_type(picture.format));
  put("width", picture.width);
  put("height", picture.height);
  if (properties != nullptr && properties->contains("file_name")) {
    entry["file_name"] =
        "image_" + std::to_string(index) + "." + std::string(extension(picture.format));
  }
  fill_required(model, schema, entry);
  return entry;
}

}  // namespace

std::int64_t seed_of(const json& input, std::int64_t otherwise) {
  const json* seed = find(input, "seed");
  return seed != nullptr && seed->is_number() ? seed->get<std::int64_t>() : otherwise;
}

std::string prompt_of(const json& input) {
  const json* prompt = find(input, "prompt");
  return prompt != nullptr && prompt->is_string() ? prompt->get<std::string>() : std::string();
}

PicturePlan plan_pictures(const Model& model, const json& input, std::int64_t seed) {
  PicturePlan plan;
  const std::string prompt = prompt_of(input);
  const json* outputs = find(model.output(), "properties");
  plan.flagged = outputs != nullptr && outputs->contains("has_nsfw_concepts") &&
                 prompt.find("nsfw") != std::string::npos;
  const json* sync = value_of(model, input, "sync_mode");
  plan.data_uri = sync != nullptr && *sync == true;
  const Size size = size_of(model, input);
  const int count = count_of(model, input);
  for (int i = 0; i < count; ++i) {
    Picture picture;
    picture.width = size.width;
    picture.height = size.height;
    picture.variant =
        hash(prompt, static_cast<std::uint64_t>(seed) + static_cast<std::uint64_t>(i)) % variants;
    picture.format = format_named(format_of(model, input));
    picture.transparent = picture.format != PictureFormat::jpeg &&
                          text_of(model, input, "background") == "transparent";
    picture.black = plan.flagged;
    plan.pictures.push_back(picture);
  }
  return plan;
}

json write_result(const Model& model, const json& input, const PicturePlan& plan,
                  const ResultFacts& facts,
                  const std::function<std::string(const Picture&, std::size_t)>& address) {
  const json& schema = model.output();
  const json* properties = find(schema, "properties");
  const json* images = properties == nullptr ? nullptr : find(*properties, "images");
  const json* image = properties == nullptr ? nullptr : find(*properties, "image");
  json result = json::object();
  if (images != nullptr ||
      image == nullptr) {  // a document that says nothing: most models have `images`
    json list = json::array();
    const json* items = images == nullptr ? nullptr : find(*images, "items");
    for (std::size_t i = 0; i < plan.pictures.size(); ++i) {
      list.push_back(
          write_picture(model, items, plan.pictures[i], address(plan.pictures[i], i), i));
    }
    result["images"] = std::move(list);
  }
  if (image != nullptr) {
    result["image"] =
        write_picture(model, image, plan.pictures.front(), address(plan.pictures.front(), 0), 0);
  }
  const auto put = [&](const char* name, json value) {
    if (properties != nullptr && properties->contains(name)) result[name] = std::move(value);
  };
  put("seed", facts.seed);
  put("prompt", prompt_of(input));
  put("timings", {{"inference", facts.inference_seconds}});
  put("has_nsfw_concepts", std::vector<bool>(plan.pictures.size(), plan.flagged));
  put("description", "A landscape with hills, a sun and balloons.");
  fill_required(model, schema, result);
  return result;
}

}  // namespace falproxy::inline v0::testing
