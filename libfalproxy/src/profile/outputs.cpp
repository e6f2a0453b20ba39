#include "profile/outputs.hpp"

#include <algorithm>
#include <string_view>

#include "profile/media_inputs.hpp"
#include "profile/names.hpp"
#include "profile/shapes.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::profile {
namespace {

using schema::Field;

constexpr int deepest = 3;

// "image-to-video" makes a video; none of a word that names no medium.
std::optional<Medium> medium_of_category(std::string_view category) {
  for (const auto& [medium, ending] :
       {std::pair(Medium::image, "-to-image"), std::pair(Medium::video, "-to-video"),
        std::pair(Medium::audio, "-to-audio"), std::pair(Medium::audio, "-to-speech"),
        std::pair(Medium::text, "-to-text"), std::pair(Medium::mesh, "-to-3d")}) {
    if (category.ends_with(ending)) return medium;
  }
  return std::nullopt;
}

class Finder {
 public:
  explicit Finder(const schema::ModelSchema& schema)
      : category_(medium_of_category(schema.category)) {
    look_at(schema.outputs, {}, 0);
    if (schema.outputs.empty()) {
      found_.makes = category_;
    } else {
      choose();
    }
  }

  [[nodiscard]] Outputs take() { return std::move(found_); }

 private:
  struct Candidate {
    Output output;
    std::string name;  // of the member that holds it
  };

  void look_at(const std::vector<Field>& fields, const std::string& prefix, int depth) {
    for (const Field& field : fields) {
      const Field* elements = elements_of(field);
      const std::string path =
          prefix + field.name + (elements != nullptr || field.types.array ? "[]" : "");
      look_at_value(field, elements == nullptr ? field : *elements, path, depth);
    }
  }

  void look_at_value(const Field& field, const Field& value, const std::string& path, int depth) {
    if (const Field* address = address_in(value)) {
      if (const auto medium = medium_of(field))
        all_.push_back({{path + '.' + address->name, *medium}, field.name});
      return;
    }
    const MediaName name = read_media_name(field.name);
    if (value.types.string && name.address) {
      if (const auto medium = medium_of(field)) all_.push_back({{path, *medium}, field.name});
    } else if (value.types.string && words("outputs", "text").has(field.name)) {
      all_.push_back({{path, Medium::text}, field.name});
    } else if (value.types.string && words("outputs", "text.beside").has(field.name)) {
      texts_beside_.push_back({path, Medium::text});
    } else if (value.types.object && &value != &field &&
               words("outputs", "times").has(field.name)) {
      if (found_.times.empty()) found_.times = path;
    } else {
      look_within(field, value, path, depth);
    }
  }

  void look_within(const Field& field, const Field& value, const std::string& path, int depth) {
    const std::size_t before = all_.size();
    if (depth < deepest) {
      for_each_shape(value,
                     [&](const Field& shape) { look_at(shape.properties, path + '.', depth + 1); });
    }
    const schema::Types& types = value.types;
    if (all_.size() != before || (types.any() && !types.array && !types.object)) return;
    // "images": a list of which the document says no more.
    if (const auto medium = medium_in(read_media_name(field.name).words))
      all_.push_back({{path, *medium}, field.name});
  }

  static const Field* address_in(const Field& value) {
    for (const Word& name : words("outputs", "address")) {
      const Field* member = member_of(value, name.text);
      if (member != nullptr && (member->types.string || !member->types.any())) return member;
    }
    return nullptr;
  }

  [[nodiscard]] std::optional<Medium> medium_of(const Field& field) const {
    if (const auto medium = medium_in(read_media_name(field.name).words)) return medium;
    if (const auto medium = medium_told(field.description)) return medium;
    return words("outputs", "image").has(field.name) ? category_ : std::nullopt;
  }

  void choose() {
    const auto has = [&](std::optional<Medium> medium) {
      return std::ranges::any_of(all_,
                                 [&](const Candidate& one) { return one.output.medium == medium; });
    };
    const auto file = std::ranges::find_if(
        all_, [](const Candidate& one) { return one.output.medium != Medium::text; });
    if (category_ && has(category_)) {
      found_.makes = category_;
    } else if (file != all_.end()) {
      found_.makes = file->output.medium;
    } else if (!all_.empty()) {
      found_.makes = Medium::text;
    }
    if (!found_.makes) return;
    if (*found_.makes != Medium::text) found_.times.clear();
    share_out();
  }

  // What has a usual name is what the endpoint is for; else what comes first is.
  void share_out() {
    const auto is_main = [&](const Candidate& one) {
      const bool listed =
          *found_.makes <= Medium::text && words("outputs", name_of(*found_.makes)).has(one.name);
      return one.output.medium == found_.makes && listed;
    };
    const bool any_listed = std::ranges::any_of(all_, is_main);
    for (Candidate& one : all_) {
      const bool own = one.output.medium == found_.makes;
      const bool main = any_listed ? is_main(one) : own && found_.main.empty();
      if (main && !(own && one.output.medium == Medium::text && !found_.main.empty())) {
        found_.main.push_back(std::move(one.output));
      } else if (one.output.medium != Medium::text) {
        found_.beside.push_back(std::move(one.output));
      }
    }
    std::ranges::move(texts_beside_, std::back_inserter(found_.beside));
  }

  const std::optional<Medium> category_;
  std::vector<Candidate> all_;
  std::vector<Output> texts_beside_;
  Outputs found_;
};

}  // namespace

Outputs find_outputs(const schema::ModelSchema& schema) { return Finder(schema).take(); }

}  // namespace falproxy::inline v0::profile
